"""The transport that takes a permit of the rate limit for every request, just before the wire."""

import math

import httpx

from exporter.http.errors import BadResponseError, NoResponseError
from exporter.ratelimit.throttle import Throttle

URGENT = -math.inf
"""The due time of requests that others wait for: log-ins, lists, and repeated requests."""


# Signatures and tokens that have waited longer are made again before they are sent.
_AGED_SECONDS = 10.0


class RateLimitedTransport(httpx.AsyncBaseTransport):
    """Passes requests on at the pace of a throttle, the earliest due first.

    Reads from a request's extensions ``due`` (monotonic seconds; `URGENT` if absent),
    ``on_permit``, which is called with the seconds waited when the first permit is granted, and
    ``refresh``, which renews the credentials of a request that has waited long. The wait is added
    to ``deadline.waited`` and is no part of any latency.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, throttle: Throttle) -> None:
        self._transport = transport
        self._throttle = throttle

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait for a permit, then send; raises as the wrapped transport does.

        A GET whose kept connection had ended is repeated once, on a new connection and with a
        permit of its own.
        """
        try:
            return await self._send(request)
        except NoResponseError as error:
            if not error.stale or request.method != "GET" or "fresh" in request.extensions:
                raise
        request.extensions.update(due=URGENT, fresh=True)
        try:
            return await self._send(request)
        finally:
            del request.extensions["fresh"]

    async def _send(self, request: httpx.Request) -> httpx.Response:
        extensions = request.extensions
        permit = await self._throttle.permit(extensions.get("due", URGENT))
        extensions["deadline"].waited += permit.waited
        if on_permit := extensions.pop("on_permit", None):
            on_permit(permit.waited)
        if permit.waited > _AGED_SECONDS and (refresh := extensions.get("refresh")):
            try:
                refresh(request)
            except BaseException:
                self._throttle.give_back()
                raise
        response: httpx.Response | None = None
        status: int | None = None
        try:
            response = await self._transport.handle_async_request(request)
            status = response.status_code
        except (NoResponseError, BadResponseError) as error:
            status = error.status or None
            raise
        finally:
            self._throttle.answered(permit, status, response)
        return response

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._transport.aclose()
