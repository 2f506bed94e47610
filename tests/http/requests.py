"""Requests as the layers above the wire's transport make them."""

import httpx

from exporter.http.deadline import Deadline


def get(url: str | httpx.URL, seconds: float = 5.0, max_bytes: int = 1 << 20) -> httpx.Request:
    """Return a GET with a deadline of ``seconds`` and a bound for its body."""
    return httpx.Request("GET", url, extensions=extensions(seconds, max_bytes))


def extensions(seconds: float = 5.0, max_bytes: int = 1 << 20) -> dict[str, object]:
    """Return the extensions that the wire's transport reads."""
    return {"deadline": Deadline(seconds), "max_bytes": max_bytes}
