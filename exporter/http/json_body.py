"""Read a response's body as JSON, bounded in the time that takes."""

import json
from typing import Any

import httpx

# Parsing this many values takes 15 ms, during which nothing else runs; documented bodies have a
# few dozen.
_VALUES_MAX = 50_000
_KEY = "json"


def json_body(response: httpx.Response) -> Any:  # noqa: ANN401 - the shape is the caller's to check
    """Return the body as JSON, or None when it is not JSON or has too many values.

    It is parsed once.
    """
    parsed = response.extensions
    if _KEY not in parsed:
        parsed[_KEY] = _parsed(response.content)
    return parsed[_KEY]


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - JSON
    if sum(map(body.count, (b",", b"[", b"{"))) > _VALUES_MAX:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
