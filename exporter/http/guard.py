"""Keep connections to where they may lead, however an address was come by.

The guard stands at the two places that every connection passes: where a request names its host,
redirected or not, and where that host's name becomes an IP address. What is checked is what is
connected to, so a name that resolves to something else a moment later gains nothing.
"""

import socket
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.http.errors import ForbiddenAddressError, NoResponse, NoResponseError


class Guard(Protocol):
    """Knows where connections may lead; every check raises `ForbiddenAddressError`."""

    def check_request(self, scheme: str, host: str, port: int) -> None:
        """Check where a request goes to."""

    def check_resolved(self, host: str, port: int, address: str) -> None:
        """Check one IP address that ``host`` resolves to."""


class GuardedResolver(AbstractResolver):
    """Resolves names by another resolver, and keeps the addresses that are allowed."""

    def __init__(self, guard: Guard, resolver: AbstractResolver) -> None:
        """Ask ``resolver``, then ``guard``."""
        self._guard = guard
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the allowed addresses; raises `OSError`, `ForbiddenAddressError` if none is."""
        found = await self._resolver.resolve(host, port, family)
        allowed = []
        refusal = None
        for one in found:
            try:
                self._guard.check_resolved(host, port, one["host"])
            except ForbiddenAddressError as error:
                refusal = error
            else:
                allowed.append(one)
        if refusal is not None and not allowed:
            raise refusal
        return allowed

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()


def guarded_requests(guard: Guard) -> aiohttp.ClientMiddlewareType:
    """Return a middleware that checks where each request goes, those of redirects included."""

    async def check(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        url = request.url
        try:
            guard.check_request(url.scheme, url.raw_host or "", url.port or 0)
        except ForbiddenAddressError as error:
            raise NoResponseError(NoResponse.FORBIDDEN, str(error)) from None
        return await handler(request)

    return check
