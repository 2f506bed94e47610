"""Run the exporter's web server in the test's event loop, on a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.types import ASGIApp

from exporter.web.access.live_config import OPEN, LiveConfig, Rules
from exporter.web.connections import DEFAULT_LIMITS, Limits
from exporter.web.server import WebServer, listen
from tests.conftest import FakeClock


@dataclass(frozen=True, slots=True)
class Served:
    """A running server and its access rules."""

    port: int
    live: LiveConfig


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, rules: Rules = OPEN, limits: Limits = DEFAULT_LIMITS
) -> AsyncIterator[Served]:
    """Serve ``app`` on a free loopback port until the block ends."""
    listening = listen("127.0.0.1:0")
    port = listening.getsockname()[1]
    live = LiveConfig(rules, FakeClock().time)
    server = WebServer(app, live, limits)
    running = asyncio.create_task(server.serve([listening]))
    try:
        yield Served(port, live)
    finally:
        server.should_exit = True
        await running
