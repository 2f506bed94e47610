"""Read a response's body: decoded, and bounded before and after decoding."""

import zlib

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_IDENTITY = frozenset({"", "identity"})
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})


class BodyError(Exception):
    """A body that cannot be used; the message says why."""


class BoundedBody:
    """A body that arrives in pieces; at most ``max_bytes`` of it are held, decoded."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        """Decode by ``encoding``, the value of ``Content-Encoding``."""
        self._max_bytes = max_bytes
        self._data = bytearray()
        encoding = encoding.strip().lower()
        if encoding not in _IDENTITY | _COMPRESSED:
            raise BodyError("the response is in an encoding that was not asked for")
        self._decoder = None if encoding in _IDENTITY else zlib.decompressobj(_GZIP_OR_ZLIB)

    def add(self, piece: bytes) -> None:
        """Take one piece as it came; raises `BodyError`."""
        decoder = self._decoder
        if decoder is None:
            self._data += piece
        else:
            if decoder.eof:
                raise BodyError("more follows the end of the gzip")
            try:
                self._data += decoder.decompress(piece, self._max_bytes + 1 - len(self._data))
            except zlib.error:
                raise BodyError("the response is not the gzip it claims to be") from None
            if decoder.unused_data:
                raise BodyError("more follows the end of the gzip")
        if len(self._data) > self._max_bytes:
            raise BodyError(f"the response is larger than {self._max_bytes} bytes")

    def whole(self) -> bytes:
        """Return the body after its last piece; raises `BodyError` where it ends too early."""
        decoder = self._decoder
        if decoder and not decoder.eof and self._data:
            raise BodyError("the response's gzip ends too early")
        return bytes(self._data)
