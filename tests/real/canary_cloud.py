"""A cloud that puts secrets into every part of its responses.

Its consoles do so too: in query, cookies, page and close reasons.
"""

import contextlib
import json
from collections.abc import Iterator
from itertools import count

from tests.real.broken_servers import Request
from tests.real.raw_console import TEXT, close, frame, switching
from tests.real.threaded_server import QuietHandler, serving

CANARY = "CANARYSECRET"


class CanaryCloud:
    """The requests received so far."""

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.handshakes = 0
        self.saw_password = False


@contextlib.contextmanager
def canary_cloud() -> Iterator[CanaryCloud]:
    """Run the cloud on a free loopback port until the block ends."""
    cloud = CanaryCloud()
    counter, pages, handshakes = count(), count(), count()
    console = f"https://{CANARY}.example/vnc/vnc_auto.html?token={CANARY}"
    responses: list[tuple[int, bytes]] = [
        (200, json.dumps({"url": console}).encode()),
        (200, json.dumps({"url": f"ftp://u:{CANARY}@h/?token={CANARY}"}).encode()),
        (200, f"<html>{CANARY}</html>".encode()),
        (500, json.dumps({"error_code": "iMetal.0099", "error_msg": f"token={CANARY}"}).encode()),
        (400, json.dumps({"error_code": CANARY, "error_msg": CANARY}).encode()),
        (401, json.dumps({"error_code": "APIGW.0307", "error_msg": CANARY}).encode()),
        (302, b""),
        (429, json.dumps({"error_code": "APIGW.0308", "error_msg": CANARY}).encode()),
    ]

    class Handler(QuietHandler):
        def _respond(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", console)
            self.send_header("Set-Cookie", f"token={CANARY}")
            self.send_header("X-Request-Id", "req-1")
            self.send_header("X-Subject-Token", f"{CANARY}-token")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:  # noqa: N802 - named by the library
            if "Upgrade" in self.headers:
                cloud.handshakes += 1
                _serve_websocket(self, next(handshakes))
                return
            if self.path.startswith("/vnc/"):
                _serve_page(self, next(pages))
                return
            cloud.requests += 1
            number = next(counter)
            if number % 11 == 10:
                # Truncated in the middle of a secret.
                self.wfile.write(f"HTTP/1.1 200 {CANARY}\r\nX: {CANARY}".encode())
                self.close_connection = True
                return
            if "deep" in self.path:
                local = (
                    f"{cloud.url}/vnc/host.region/vnc_auto.html?token={CANARY}&password={CANARY}"
                )
                self._respond(200, json.dumps({"url": local}).encode())
                return
            self._respond(*responses[number % len(responses)])

        def do_POST(self) -> None:  # noqa: N802 - named by the library
            body = self.rfile.read(int(self.headers["Content-Length"]))
            cloud.saw_password |= CANARY.encode() in body
            token = {"token": {"expires_at": "2100-01-01T00:00:00.000000Z"}}
            self._respond(201, json.dumps(token).encode())

    with serving(Handler) as cloud.url:
        yield cloud


def _serve_page(handler: QuietHandler, number: int) -> None:
    if number % 4:
        handler.send_response(200)
    else:
        handler.send_response(502, CANARY)
    body = f"<title>{CANARY}</title>".encode()
    handler.send_header("Content-Type", "text/html")
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Set-Cookie", f"session={CANARY}; Path=/")
    handler.end_headers()
    handler.wfile.write(body)


def _serve_websocket(handler: QuietHandler, number: int) -> None:
    handler.close_connection = True
    if number % 6 == 0:
        handler.send_error(403, CANARY, CANARY)
        return
    if number % 6 == 1:
        handler.send_response(302)
        handler.send_header("Location", f"/vnc/websockify?token={CANARY}")
        handler.end_headers()
        return
    headers = {name.lower(): value for name, value in handler.headers.items()}
    bytes_to_send = (
        frame(b"RFB 003.008\n"),
        frame(CANARY.encode()),
        close(4003, CANARY.encode()),
        frame(f"RFB 003.{CANARY}".encode(), TEXT),
    )[number % 6 - 2]
    handler.wfile.write(switching(Request("GET", handler.path, headers)) + bytes_to_send)
