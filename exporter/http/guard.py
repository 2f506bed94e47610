"""Restrict outgoing connections to allowed hosts.

Two checks apply to every connection: of the host of each request, redirects included, and of the
IP addresses that the host's name resolves to. The checked addresses are the ones connected to, so
changing the DNS record in between (DNS rebinding) has no effect.
"""

import socket
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.http.errors import ForbiddenAddressError, NoResponse, NoResponseError


class Guard(Protocol):
    """Decides which hosts may be connected to; every check raises `ForbiddenAddressError`."""

    def check_request(self, scheme: str, host: str, port: int) -> None:
        """Check the URL of a request."""

    def check_resolved(self, host: str, port: int, address: str) -> None:
        """Check one IP address that ``host`` resolves to."""


class GuardedResolver(AbstractResolver):
    """Resolves names by another resolver, and returns only the addresses that are allowed."""

    def __init__(self, guard: Guard, resolver: AbstractResolver) -> None:
        self._guard = guard
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the allowed addresses; raises `OSError`, `ForbiddenAddressError` if none is."""
        found = await self._resolver.resolve(host, port, family)
        allowed = []
        forbidden = None
        for one in found:
            try:
                self._guard.check_resolved(host, port, one["host"])
            except ForbiddenAddressError as error:
                forbidden = error
            else:
                allowed.append(one)
        if forbidden is not None and not allowed:
            raise forbidden
        return allowed

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()


def guarded_requests(guard: Guard) -> aiohttp.ClientMiddlewareType:
    """Return a middleware that checks the URL of each request, redirects included."""

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
