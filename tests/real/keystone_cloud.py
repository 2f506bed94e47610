"""A CloudDC that asks a real Keystone about every token it is shown, as the real one asks IAM."""

import contextlib
import json
from collections.abc import Iterator

from tests.real.keystone import Keystone
from tests.real.threaded_server import QuietHandler, serving

_OK = 200


class KeystoneCloud:
    """What it was shown; ``url`` is where it is."""

    def __init__(self) -> None:
        self.url = ""
        self.tokens: list[str] = []


@contextlib.contextmanager
def keystone_cloud(keystone: Keystone) -> Iterator[KeystoneCloud]:
    """Run it on a free port of loopback until the block ends."""
    cloud = KeystoneCloud()
    address = json.dumps({"url": "https://console.example/vnc/vnc_auto.html?token=t"}).encode()
    refusal = json.dumps({"error_code": "APIGW.0307", "error_msg": "update the token"}).encode()

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            token = self.headers.get("X-Auth-Token", "")
            good = keystone.validate(token) == _OK
            cloud.tokens.append(token)
            body = address if good else refusal
            self.send_response(_OK if good else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as cloud.url:
        yield cloud
