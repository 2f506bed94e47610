"""A cloud whose every answer is full of secrets, in all the places where one can stand."""

import contextlib
import json
from collections.abc import Iterator
from itertools import count

from tests.real.threaded_server import QuietHandler, serving

CANARY = "CANARYSECRET"


class CanaryCloud:
    """What came in so far."""

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.saw_password = False


@contextlib.contextmanager
def canary_cloud() -> Iterator[CanaryCloud]:
    """Run it on a free port of loopback until the block ends."""
    cloud = CanaryCloud()
    turns = count()
    console = f"https://{CANARY}.example/vnc/vnc_auto.html?token={CANARY}"
    answers: list[tuple[int, bytes]] = [
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
        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", console)
            self.send_header("Set-Cookie", f"token={CANARY}")
            self.send_header("X-Request-Id", "req-1")
            self.send_header("X-Subject-Token", f"{CANARY}-token")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:  # noqa: N802 - the library's name
            cloud.requests += 1
            turn = next(turns)
            if turn % 11 == 10:
                # Broken off in the middle of a secret.
                self.wfile.write(f"HTTP/1.1 200 {CANARY}\r\nX: {CANARY}".encode())
                self.close_connection = True
                return
            self._answer(*answers[turn % len(answers)])

        def do_POST(self) -> None:  # noqa: N802 - the library's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            cloud.saw_password |= CANARY.encode() in body
            token = {"token": {"expires_at": "2100-01-01T00:00:00.000000Z"}}
            self._answer(201, json.dumps(token).encode())

    with serving(Handler) as cloud.url:
        yield cloud
