"""The transport that reports every request to the metrics."""

import asyncio
from time import perf_counter

import httpx

from exporter.cloud.api_error import ApiError
from exporter.cloud.observer import RequestObserver
from exporter.http.errors import BadResponseError, NoResponseError

_THROTTLED = 429
_FIRST_ERROR = 400


class ObservedTransport(httpx.AsyncBaseTransport):
    """Passes requests on and reports what became of each.

    Reads ``operation`` and ``server_id`` from a request's extensions.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, observer: RequestObserver) -> None:
        self._transport = transport
        self._observer = observer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send and report; raises as the wrapped transport does."""
        operation: str = request.extensions["operation"]
        server_id: str = request.extensions.get("server_id", "")
        observer = self._observer
        observer.request_started(operation)
        started = perf_counter()
        try:
            response = await self._transport.handle_async_request(request)
        except asyncio.CancelledError:
            # The server was removed, or the program ends: no failure of the cloud.
            observer.request_cancelled()
            raise
        except BaseException as error:
            status = 0
            if isinstance(error, NoResponseError | BadResponseError):
                status = error.status
            observer.request_finished(
                operation,
                status or None,
                perf_counter() - started,
                error_code="",
                server_id=server_id,
                request_id="",
            )
            raise
        status = response.status_code
        if status == _THROTTLED:
            observer.throttled()
        api_error = ApiError.of(response)
        observer.request_finished(
            operation,
            status,
            response.extensions.get("seconds", perf_counter() - started),
            error_code=api_error.code if status >= _FIRST_ERROR else "",
            server_id=server_id,
            request_id=api_error.request_id,
        )
        return response

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._transport.aclose()
