"""What Prometheus asks for: ``/metrics``, and one probe on demand at ``/probe``."""

import json
from collections.abc import AsyncIterator
from math import isfinite
from time import perf_counter

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from exporter.metrics.exposition import probe_text
from exporter.metrics.negotiation import Format, gzip_accepted, negotiate
from exporter.model import Target
from exporter.probe.report import as_json, waterfall
from exporter.web.running import Running
from exporter.web.target_choice import TargetChoiceError, choose_target

_PATIENCE_MAX_SECONDS = 120.0
# What a probe may wait for its turn when nobody says how long they will.
_WAIT_SECONDS = 10.0
# What blackbox_exporter leaves of Prometheus' timeout for the answer to travel.
_PATIENCE_OFFSET = 0.5
_PROBES_AT_ONCE = 64


def scraping_routes(running: Running) -> list[BaseRoute]:
    """Return ``/metrics`` and ``/probe`` over a running program."""
    routes = _Scraping(running)
    return [Route("/metrics", routes.metrics), Route("/probe", routes.probe)]


class _Scraping:
    def __init__(self, running: Running) -> None:
        self._running = running
        self._probing = 0

    async def metrics(self, request: Request) -> Response:
        started = perf_counter()
        form = negotiate(request.headers.get("accept"))
        names = frozenset(request.query_params.getlist("name[]"))
        headers = {"vary": "Accept, Accept-Encoding"}
        exposition = self._running.exposition
        if gzip_accepted(request.headers.get("accept-encoding")):
            headers["content-encoding"] = "gzip"
            pieces = exposition.gzipped(form, names)
        else:
            pieces = exposition.plain(form, names)

        async def timed() -> AsyncIterator[bytes]:
            async for piece in pieces:
                yield piece
            self._running.scraped(perf_counter() - started)

        headers["content-type"] = form.content_type
        return StreamingResponse(timed(), headers=headers)

    async def probe(self, request: Request) -> Response:
        try:
            target = choose_target(self._running, request.query_params)
            patience = _patience(request, target)
        except TargetChoiceError as error:
            return PlainTextResponse(f"{error}\n", error.status)
        if self._probing >= _PROBES_AT_ONCE:
            return PlainTextResponse(
                f"{_PROBES_AT_ONCE} probes on demand are running already; ask again later\n", 503
            )
        self._probing += 1
        try:
            result = await self._running.probe_now(target, patience)
        finally:
            self._probing -= 1
        form = negotiate(request.headers.get("accept"))
        if request.query_params.get("debug") == "true":
            told = json.dumps(as_json(result), indent=2)
            metrics = probe_text(result, Format.TEXT).decode()
            return PlainTextResponse(f"{waterfall(result)}\n{told}\n\n{metrics}")
        return Response(probe_text(result, form), headers={"content-type": form.content_type})


def _patience(request: Request, target: Target) -> float:
    """Return the seconds there are for a probe; Prometheus says when it will give up."""
    header = request.headers.get("x-prometheus-scrape-timeout-seconds")
    if header is None:
        return target.timeout + _WAIT_SECONDS
    try:
        seconds = float(header)
    except ValueError:
        seconds = 0.0
    if not isfinite(seconds) or seconds <= 0:
        raise TargetChoiceError(
            "header X-Prometheus-Scrape-Timeout-Seconds must be a number of seconds above 0", 400
        )
    offset = _PATIENCE_OFFSET if seconds > 2 * _PATIENCE_OFFSET else 0.0
    return min(seconds - offset, _PATIENCE_MAX_SECONDS)
