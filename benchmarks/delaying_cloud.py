"""Simulated cloud for `latency` that delays each response and logs the actual delay.

Anything that a client records beyond the delay is the network and the client. Therefore this server
does little else, and takes times where bytes arrive and leave. The delay, 5 to 150 ms, depends on
the number at the end of the server's id.

A line of its log is ``id, Unix time of arrival, seconds of delay, first on its connection``. The
log is written at SIGTERM.
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
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)
SHORTEST, STEPS = 0.005, 146

RequestLog = list[tuple[str, float, float, bool]]


def delay_of(server_id: str) -> float:
    """Return the delay of responses about a server, in seconds."""
    number = int(server_id.rpartition("-")[2])
    # Servers with adjacent numbers, which a client requests in sequence, get different delays.
    return SHORTEST + number * 37 % STEPS / 1000


class Connection(asyncio.Protocol):
    """A connection of a client; logs its requests in ``log``."""

    def __init__(self, log: RequestLog) -> None:
        self._log = log
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._first = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        # uvloop's transport has the methods of asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Receive a request, in one or more pieces."""
        arrived, at = time.perf_counter(), time.time()
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        server_id = self._received.split(b"/", 5)[4].decode()
        self._received = b""
        asyncio.get_running_loop().call_later(
            delay_of(server_id), self._respond, server_id, arrived, at
        )

    def _respond(self, server_id: str, arrived: float, at: float) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._log.append((server_id, at, time.perf_counter() - arrived, self._first))
        self._transport.write(RESPONSE)
        self._first = False


async def run(certificate: Path, key: Path, path: Path) -> None:
    """Serve until SIGTERM, then write the log."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    log: RequestLog = []
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(
        lambda: Connection(log), "127.0.0.1", 0, ssl=context, backlog=1024
    )
    port = server.sockets[0].getsockname()[1]
    print(f"listening on https://127.0.0.1:{port}", flush=True)
    await ended.wait()
    await asyncio.to_thread(path.write_text, "".join(f"{json.dumps(line)}\n" for line in log))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("certificate", "key", "log"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(options.certificate, options.key, options.log))
