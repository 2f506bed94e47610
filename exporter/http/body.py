"""Hold a response's body as it arrives, and decode it: bounded, and in short steps.

Bodies are read as browsers and SDKs read them: several codings one after the other, gzip in several
members, deflate with or without its zlib header, and bytes after the end, which are ignored.
"""

import asyncio
import re
import zlib
from time import perf_counter
from typing import NamedTuple

_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
# Registered codings that were not asked for. Any other token, such as UTF-8, is no coding at all.
_UNSUPPORTED = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
_CODINGS_MAX = 3
_MEMBERS_MAX = 10_000
# What compression may add to a body that does not get smaller.
_OVERHEAD_BYTES = 64 * 1024
_GZIP_START = b"\x1f\x8b"
_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_ZEROS = re.compile(rb"\0*")
# One step takes a fraction of a millisecond.
_STEP_BYTES, _STEP_DECODED_BYTES = 16 * 1024, 64 * 1024
_STEP_SECONDS = 0.002


class BodyError(Exception):
    """A body that cannot be used; the message says why."""


class Decoded(NamedTuple):
    """A decoded body. If there is a ``problem``, ``data`` is what could be decoded."""

    data: bytes
    problem: str = ""


class BoundedBody:
    """A body that arrives in pieces, of at most ``max_bytes`` when it is decoded."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        """Decode by ``encoding``, the value of ``Content-Encoding``; unknown tokens are ignored."""
        tokens = [token.strip().lower() for token in encoding.split(",")]
        self._codings = [token for token in tokens if token in _COMPRESSED | _UNSUPPORTED]
        self._max_bytes = max_bytes
        self._received = bytearray()

    def add(self, piece: bytes) -> None:
        """Take one piece as it came; raises `BodyError` if the body is too large."""
        self._received += piece
        if len(self._received) > self._limit(len(self._codings)):
            raise BodyError(self._too_large())

    async def decoded(self) -> Decoded:
        """Return the decoded body. Must be called once, after the last piece."""
        data = bytes(self._received)
        if len(self._codings) > _CODINGS_MAX or not _COMPRESSED.issuperset(self._codings):
            return Decoded(data, "the response is in an encoding that was not asked for")
        problem = ""
        while self._codings and data:
            coding = self._codings.pop()
            limit = self._limit(len(self._codings))
            layer = await _inflated(data, coding, limit)
            if layer.problem and not layer.data:
                # It may not be compressed at all.
                return Decoded(data, problem or layer.problem)
            data, problem = layer.data, problem or layer.problem
            if len(data) > limit:
                data, problem = data[:limit], problem or self._too_large()
        return Decoded(data, problem)

    def _limit(self, codings: int) -> int:
        return self._max_bytes + (_OVERHEAD_BYTES if codings else 0)

    def _too_large(self) -> str:
        return f"the response is larger than {self._max_bytes} bytes"


async def _inflated(data: bytes, coding: str, limit: int) -> Decoded:
    """Undo one coding; at most ``limit`` and one bytes are decoded."""
    found = bytearray()
    at = 0
    since = perf_counter()
    window = _window(data[:2], coding)
    for _ in range(_MEMBERS_MAX):
        decoder = zlib.decompressobj(window)
        while not decoder.eof:
            step = data[at : at + _STEP_BYTES]
            room = min(_STEP_DECODED_BYTES, limit + 1 - len(found))
            before = decoder.copy()
            try:
                decoded = decoder.decompress(step, room)
            except zlib.error:
                found += _undamaged(before, step, room)
                return Decoded(bytes(found), f"the response is not the {coding} it claims to be")
            found += decoded
            if len(found) > limit:
                return Decoded(bytes(found))
            if not step and not decoded:
                return Decoded(bytes(found), f"the response's {coding} ends too early")
            at += len(step) - len(decoder.unconsumed_tail) - len(decoder.unused_data)
            if perf_counter() - since > _STEP_SECONDS:
                await asyncio.sleep(0)
                since = perf_counter()
        if padding := _ZEROS.match(data, at):
            at = padding.end()
        if window != _GZIP_WINDOW or not data.startswith(_GZIP_START, at):
            return Decoded(bytes(found))
    return Decoded(bytes(found), f"the response's {coding} has over {_MEMBERS_MAX} members")


def _window(start: bytes, coding: str) -> int:
    """Return zlib's window bits for data that starts with these two bytes.

    RFC 1950, 2.2: a zlib header starts with a byte of 0x08 to 0x78, and as a number both bytes are
    a multiple of 31.
    """
    if start == _GZIP_START or not start:
        return _GZIP_WINDOW
    if start[0] & 0x8F == zlib.DEFLATED and int.from_bytes(start, "big") % 31 == 0:
        return _ZLIB_WINDOW
    return _RAW_WINDOW if coding == "deflate" else _GZIP_WINDOW


def _undamaged(decoder: "zlib._Decompress", data: bytes, room: int) -> bytes:
    """Decode as much of damaged data as is in order."""
    found = b""
    size = len(data)
    while size and len(found) < room:
        attempt = decoder.copy()
        try:
            decoded = attempt.decompress(data[:size], room - len(found))
        except zlib.error:
            size //= 2
        else:
            found += decoded
            decoder, data = attempt, data[size:]
            size = min(size, len(data))
    return found
