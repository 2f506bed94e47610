"""Compress responses with gzip, slice by slice, without blocking the event loop.

ISA-L compresses a scrape four to five times as fast as zlib's fastest level, and smaller. A slice
takes less time than handing it to a thread would.
"""

import asyncio
import zlib
from collections.abc import Iterator

from isal import isal_zlib
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.metrics.negotiation import gzip_accepted

# Shorter bodies are not worth the overhead of gzip.
_MIN_BYTES = 1024
_LEVEL = 1
_GZIP_HEADER = 16 + zlib.MAX_WBITS
# Compressed in about 0.1 ms.
_SLICE_BYTES = 64 * 1024


class Compression:
    """Compress responses for clients that accept gzip; works for whole and streamed bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            accepted = gzip_accepted(Headers(scope=scope).get("accept-encoding"))
            send = _CompressingSend(send, accepted=accepted)
        await self._app(scope, receive, send)


class _CompressingSend:
    """Send one response, compressed if it is long enough.

    The start message is held back until the first part of the body shows the length.
    """

    def __init__(self, send: Send, *, accepted: bool) -> None:
        self._send = send
        self._accepted = accepted
        self._start: Message | None = None
        self._compressor: isal_zlib.Compress | None = None

    async def __call__(self, message: Message) -> None:
        """Send one ASGI message of the response."""
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
        for piece in _slices(message.get("body", b"")):
            if compressed := compressor.compress(piece):
                await self._send({**message, "body": compressed, "more_body": True})
            await asyncio.sleep(0)
        if not message.get("more_body", False):
            await self._send({**message, "body": compressor.flush()})

    async def _begin(self, start: Message, first: Message) -> None:
        headers = MutableHeaders(raw=list(start.get("headers", ())))
        headers.add_vary_header("Accept-Encoding")
        long = first.get("more_body", False) or len(first.get("body", b"")) >= _MIN_BYTES
        if self._accepted and long and "content-encoding" not in headers:
            self._compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_HEADER)
            headers["content-encoding"] = "gzip"
            del headers["content-length"]
        await self._send({**start, "headers": headers.raw})


def _slices(body: bytes) -> Iterator[memoryview]:
    view = memoryview(body)
    return (view[at : at + _SLICE_BYTES] for at in range(0, len(body), _SLICE_BYTES))
