"""Routes for Prometheus: ``/metrics``, and probes on demand at ``/probe``."""

import json
from collections.abc import AsyncIterator
from time import perf_counter

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from exporter.metrics.exposition import probe_text
from exporter.metrics.negotiation import Format, negotiate
from exporter.probe.result_format import as_json, waterfall
from exporter.web.errors import RequestRefusedError
from exporter.web.exporter_view import ExporterView
from exporter.web.probe_requests import ProbeRequests
from exporter.web.target_lookup import choose_target


def scraping_routes(view: ExporterView, on_demand: ProbeRequests) -> list[BaseRoute]:
    """Return ``/metrics`` and ``/probe`` of a running exporter."""
    routes = _Scraping(view, on_demand)
    return [Route("/metrics", routes.metrics), Route("/probe", routes.probe)]


class _Scraping:
    def __init__(self, view: ExporterView, on_demand: ProbeRequests) -> None:
        self._view = view
        self._on_demand = on_demand

    async def metrics(self, request: Request) -> Response:
        started = perf_counter()
        text_format = negotiate(request.headers.get("accept"))
        names = frozenset(request.query_params.getlist("name[]"))
        pieces = self._view.exposition.pieces(text_format, names)

        async def timed() -> AsyncIterator[bytes]:
            async for piece in pieces:
                yield piece
            self._view.scraped(perf_counter() - started)

        headers = {"content-type": text_format.content_type, "vary": "Accept"}
        return StreamingResponse(timed(), headers=headers)

    async def probe(self, request: Request) -> Response:
        try:
            target = choose_target(self._view, request.query_params)
            result = await self._on_demand.probe(target, request.headers)
        except RequestRefusedError as error:
            return PlainTextResponse(f"{error}\n", error.status)
        text_format = negotiate(request.headers.get("accept"))
        if request.query_params.get("debug") == "true":
            result_json = json.dumps(as_json(result), indent=2)
            metrics = probe_text(result, Format.TEXT).decode()
            return PlainTextResponse(f"{waterfall(result)}\n{result_json}\n\n{metrics}")
        headers = {"content-type": text_format.content_type}
        return Response(probe_text(result, text_format), headers=headers)
