"""Responses as the wire's transport returns them."""

from collections.abc import Mapping

import httpx


def received(
    status: int,
    headers: Mapping[str, str] | httpx.Headers | None = None,
    body: bytes = b"",
    seconds: float = 0.1,
) -> httpx.Response:
    """Return a response that took ``seconds`` on the wire."""
    return httpx.Response(status, headers=headers, content=body, extensions={"seconds": seconds})
