"""A cloud that holds each answer for a while of its own, and writes down how long that was.

For `latency`: what a client records beyond that is the wire and the client. Therefore this server
does next to nothing else, and the moments are taken where bytes come and go. How long an answer is
held follows from the number that the server's id ends in: 5 to 150 ms.

A line of its book is ``id, Unix time of arrival, seconds held, first on its connection``; it is
written at SIGTERM.
"""

import argparse
import asyncio
import json
import signal
import ssl
import time
from pathlib import Path
from typing import cast

import uvloop

BODY = json.dumps({"url": "https://console.example:443/vnc/a/vnc_auto.html?token=abc"}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)
SHORTEST, STEPS = 0.005, 146

Book = list[tuple[str, float, float, bool]]


def held_for(server_id: str) -> float:
    """Return the seconds that answers about a server are held."""
    number = int(server_id.rpartition("-")[2])
    # Neighbours in number, which a client asks one after the other, are not alike.
    return SHORTEST + number * 37 % STEPS / 1000


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, book: Book) -> None:
        """Write down in ``book``."""
        self._book = book
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._first = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        # uvloop's is an asyncio.Transport in all but name.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take a request in, in as many pieces as it comes."""
        arrived, at = time.perf_counter(), time.time()
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        server_id = self._received.split(b"/", 5)[4].decode()
        self._received = b""
        asyncio.get_running_loop().call_later(
            held_for(server_id), self._answer, server_id, arrived, at
        )

    def _answer(self, server_id: str, arrived: float, at: float) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._book.append((server_id, at, time.perf_counter() - arrived, self._first))
        self._transport.write(ANSWER)
        self._first = False


async def run(certificate: Path, key: Path, path: Path) -> None:
    """Serve until SIGTERM, then write the book."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    book: Book = []
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(
        lambda: Connection(book), "127.0.0.1", 0, ssl=context, backlog=1024
    )
    port = server.sockets[0].getsockname()[1]
    print(f"listening on https://127.0.0.1:{port}", flush=True)
    await ended.wait()
    await asyncio.to_thread(path.write_text, "".join(f"{json.dumps(line)}\n" for line in book))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("certificate", "key", "book"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(options.certificate, options.key, options.book))
