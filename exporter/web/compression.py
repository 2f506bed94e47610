"""gzip for whoever takes it, made in a thread so that no piece of it holds the event loop."""

import asyncio
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.metrics.negotiation import gzip_accepted

# Below this the header of gzip eats what it saves.
_WORTH_BYTES = 1024
_LEVEL = 1
_GZIP_HEADER = 16 + zlib.MAX_WBITS


class Compression:
    """Compresses the answers of all routes, piece by piece as they come.

    A route need not know of it: it answers plain, in one body or in pieces.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Compress what ``app`` answers."""
        self._app = app
        # One of our own: the event loop's threads may all be waiting for a dead name server.
        # It ends with the application.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gzip")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            accepted = gzip_accepted(Headers(scope=scope).get("accept-encoding"))
            send = _Answer(send, self._thread, accepted=accepted)
        await self._app(scope, receive, send)


class _Answer:
    """One answer on its way; its head waits for the first piece, which decides."""

    def __init__(self, send: Send, thread: ThreadPoolExecutor, *, accepted: bool) -> None:
        self._send = send
        self._thread = thread
        self._accepted = accepted
        self._start: Message | None = None
        self._compressor: zlib._Compress | None = None

    async def __call__(self, message: Message) -> None:
        """Send one message of the answer on."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            await self._begin(start, message)
        compressor = self._compressor
        if compressor is None:
            await self._send(message)
            return
        more = message.get("more_body", False)
        pack = compressor.compress if more else partial(_last, compressor)
        packed = await asyncio.get_running_loop().run_in_executor(
            self._thread, pack, message.get("body", b"")
        )
        if packed or not more:
            await self._send({**message, "body": packed})

    async def _begin(self, start: Message, first: Message) -> None:
        headers = MutableHeaders(raw=list(start.get("headers", ())))
        headers.add_vary_header("Accept-Encoding")
        long = first.get("more_body", False) or len(first.get("body", b"")) >= _WORTH_BYTES
        if self._accepted and long and "content-encoding" not in headers:
            self._compressor = zlib.compressobj(_LEVEL, wbits=_GZIP_HEADER)
            headers["content-encoding"] = "gzip"
            del headers["content-length"]
        await self._send({**start, "headers": headers.raw})


def _last(compressor: "zlib._Compress", piece: bytes) -> bytes:
    return compressor.compress(piece) + compressor.flush()
