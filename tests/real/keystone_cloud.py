"""A CloudDC that asks a real Keystone about every token it is shown, as the real one asks IAM."""

import contextlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.real.keystone import Keystone

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

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            token = self.headers.get("X-Auth-Token", "")
            good = keystone.validate(token) == _OK
            cloud.tokens.append(token)
            body = address if good else refusal
            self.send_response(_OK if good else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    cloud.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
