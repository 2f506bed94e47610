"""The routes. They read state and never probe, save for ``/probe``, which asks the scheduler."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from time import perf_counter

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.metrics.exposition import Exposition, probe_text
from exporter.metrics.negotiation import Format, gzip_accepted, negotiate
from exporter.model import ProbeResult, Target
from exporter.probe.report import as_json, waterfall
from exporter.state import StateStore
from exporter.web.page import StatusPage
from exporter.web.target_choice import TargetChoiceError, choose_target

_PATIENCE_MAX_SECONDS = 120.0
# What a probe may wait for its turn when nobody says how long they will.
_WAIT_SECONDS = 10.0
# What blackbox_exporter leaves of Prometheus' timeout for the answer to travel.
_PATIENCE_OFFSET = 0.5
_PROBES_AT_ONCE = 64
_STATIC = Path(__file__).parent / "static"
_POLICY = (
    b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none';"
    b" frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class ReloadRefusedError(Exception):
    """The new configuration cannot be used; the message lists every mistake."""


@dataclass(frozen=True, slots=True)
class Running:
    """What the routes read of the running program, and the two things that they can ask of it.

    ``not_ready`` gives the reason why the program is not ready, None when it is. ``reload``
    raises `ReloadRefusedError`. ``probe_now`` takes a target and the seconds there are for it.
    """

    state: StateStore
    exposition: Exposition
    scraped: Callable[[float], None]
    config_yaml: Callable[[], str]
    not_ready: Callable[[], str | None]
    reload: Callable[[], Awaitable[None]]
    probe_now: Callable[[Target, float], Awaitable[ProbeResult]]
    clock_time: Callable[[], float]
    version: str


def web_application(running: Running) -> Starlette:
    """Return the routes over a running program."""
    routes = _Routes(running)
    return Starlette(
        routes=[
            Route("/", routes.index),
            Route("/static/status.css", routes.style),
            Route("/metrics", routes.metrics),
            Route("/probe", routes.probe),
            Route("/config", routes.config),
            Route("/-/healthy", routes.healthy),
            Route("/-/ready", routes.ready),
            Route("/-/reload", routes.reload, methods=["POST"]),
        ],
        middleware=[Middleware(_SafeHeaders)],
    )


class _Routes:
    def __init__(self, running: Running) -> None:
        self._running = running
        self._page = StatusPage(running.version)
        self._style = (_STATIC / "status.css").read_bytes()
        self._probing = 0

    async def index(self, _request: Request) -> Response:
        html = self._page.render(self._running.state, self._running.clock_time())
        return Response(html, media_type="text/html")

    async def style(self, _request: Request) -> Response:
        return Response(
            self._style, media_type="text/css", headers={"cache-control": "max-age=3600"}
        )

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
            target = choose_target(self._running.state, request.query_params)
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

    async def config(self, _request: Request) -> Response:
        return PlainTextResponse(self._running.config_yaml())

    async def healthy(self, _request: Request) -> Response:
        return PlainTextResponse("console-exporter is healthy\n")

    async def ready(self, _request: Request) -> Response:
        reason = self._running.not_ready()
        if reason is not None:
            return PlainTextResponse(f"not ready: {reason}\n", 503)
        return PlainTextResponse("console-exporter is ready\n")

    async def reload(self, _request: Request) -> Response:
        try:
            await self._running.reload()
        except ReloadRefusedError as error:
            return PlainTextResponse(f"{error}\n", 400)
        return PlainTextResponse("configuration reloaded\n")


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


class _SafeHeaders:
    """Puts headers on every answer that keep a browser from being used against us."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, receive, sending)
