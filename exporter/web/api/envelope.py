"""Build JSON responses in the envelope of Prometheus' API, streaming long arrays.

`{"status": "success", "data": …}`, or `{"status": "error", "errorType": …, "error": …}`, so that
clients of Prometheus' API can read them.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import islice

from starlette.responses import Response, StreamingResponse

# Not cached, because the data changes with every probe.
_HEADERS = {"content-type": "application/json", "cache-control": "no-store"}
# Rendering this many takes about a millisecond.
_ITEMS_AT_ONCE = 50
_ERROR_TYPES = {404: "not_found", 503: "unavailable"}


def success(data: object) -> Response:
    """Return a successful response with ``data``."""
    return Response(as_bytes({"status": "success", "data": data}), headers=_HEADERS)


def failure(message: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error response; ``message`` tells the client what to do."""
    kind = _ERROR_TYPES.get(status, "bad_data")
    body = as_bytes({"status": "error", "errorType": kind, "error": message})
    return Response(body, status, {**_HEADERS, **(headers or {})})


def success_with(fields: Mapping[str, object], name: str, items: Iterable[object]) -> Response:
    """Return a successful response with ``fields`` and a streamed array named ``name``.

    Each of ``items`` is consumed just before it is rendered.
    """
    whole = as_bytes({"status": "success", "data": {**fields, name: []}})
    end = len(b"]}}")
    return StreamingResponse(_in_slices(whole[:-end], items, whole[-end:]), headers=_HEADERS)


def bare_array(items: Iterable[object]) -> Response:
    """Return a streamed array without an envelope."""
    return StreamingResponse(_in_slices(b"[", items, b"]"), headers=_HEADERS)


def as_bytes(value: object) -> bytes:
    """Return a value as compact JSON in ASCII, so that lone surrogates can be encoded."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


async def _in_slices(head: bytes, items: Iterable[object], tail: bytes) -> AsyncIterator[bytes]:
    """Yield an array in pieces; the event loop runs between two pieces."""
    separator, remaining = head, iter(items)
    while piece := b",".join(map(as_bytes, islice(remaining, _ITEMS_AT_ONCE))):
        yield separator + piece
        separator = b","
        await asyncio.sleep(0)
    yield (head if separator is head else b"") + tail
