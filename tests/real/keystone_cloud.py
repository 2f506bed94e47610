"""A CloudDC that validates every token with a real Keystone, as the real one does with IAM."""

import contextlib
import json
from collections.abc import Iterator

from tests.real.keystone import Keystone
from tests.real.threaded_server import QuietHandler, serving

_OK = 200


class KeystoneCloud:
    """The address of the cloud and the tokens that it received."""

    def __init__(self) -> None:
        self.url = ""
        self.tokens: list[str] = []


@contextlib.contextmanager
def keystone_cloud(keystone: Keystone) -> Iterator[KeystoneCloud]:
    """Run the cloud on a free loopback port until the block ends."""
    cloud = KeystoneCloud()
    address = json.dumps({"url": "https://console.example/vnc/vnc_auto.html?token=t"}).encode()
    error = json.dumps({"error_code": "APIGW.0307", "error_msg": "update the token"}).encode()

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - named by the library
            token = self.headers.get("X-Auth-Token", "")
            valid = keystone.validate(token) == _OK
            cloud.tokens.append(token)
            body = address if valid else error
            self.send_response(_OK if valid else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as cloud.url:
        yield cloud
