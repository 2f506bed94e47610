"""Run the simulated cloud inside a program or a test, or as a separate process."""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from exporter.clock import Clock
from exporter.simulator.connection import (
    HttpProtocol,
    WebSocketProtocol,
    ended_with_connection,
)
from exporter.simulator.control import Control
from exporter.simulator.scenario import Scenario
from exporter.simulator.scenario_file import load_scenario
from exporter.simulator.section import ScenarioError
from exporter.simulator.simulator import Simulator

_BODY_MAX_BYTES = 1 << 20
# Tokens and security tokens are long headers.
_HEADER_MAX_BYTES = 128 * 1024
_BACKLOG = 1024
_IDLE_SECONDS = 3_600
_MESSAGE_MAX_BYTES = 64 * 1024


@asynccontextmanager
async def running_simulator(
    scenario: Scenario,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Simulator]:
    """Run a simulator until the block ends; port 0 takes any free port.

    Raises `OSError` if it cannot listen.
    """
    simulator = Simulator(scenario, clock)
    routes = [*Control(simulator).routes(), *simulator.routes()]
    config = _config(Starlette(routes=routes, max_body_size=_BODY_MAX_BYTES))
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: HttpProtocol(config, state, {}), host, port, ssl=ssl_context, backlog=_BACKLOG
    )
    try:
        scheme = "https" if ssl_context else "http"
        shown_host = f"[{host}]" if ":" in host else host
        simulator.url = f"{scheme}://{shown_host}:{server.sockets[0].getsockname()[1]}"
        yield simulator
    finally:
        server.close()
        # Do not wait for requests that hang on purpose.
        for connection in list(state.connections):
            connection.transport.abort()
        if state.tasks:
            await asyncio.wait(list(state.tasks))


def _config(application: Starlette) -> uvicorn.Config:
    config = uvicorn.Config(
        ended_with_connection(application),
        interface="asgi3",
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=_MESSAGE_MAX_BYTES,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        # Do not log every malformed request.
        log_level="error",
        access_log=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=_HEADER_MAX_BYTES,
        timeout_keep_alive=_IDLE_SECONDS,
    )
    config.load()
    return config


def run(  # noqa: PLR0913 - the command's flags
    listen_host: str,
    port: int,
    *,
    scenario: str,
    servers: int | None = None,
    seed: int | None = None,
    certificate: tuple[Path, Path] | None = None,
) -> int:
    """Run a simulator until SIGINT or SIGTERM; return the exit status.

    ``scenario`` is the name of a shipped scenario or a file. ``servers`` overrides the number of
    generated servers of its first project, ``seed`` its seed. With ``certificate``, the PEM files
    of a certificate and its key, everything is served over TLS.
    """
    try:
        loaded = _override(load_scenario(scenario), servers, seed)
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            try:
                context.load_cert_chain(*certificate)
            except OSError as error:
                return _failed(
                    f"cannot use {certificate[0]} with {certificate[1]}: {error.strerror}"
                )
        asyncio.run(_run(loaded, listen_host, port, context))
    except ScenarioError as error:
        return _failed(str(error))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        return _failed(
            f"cannot listen on {listen_host}:{port}: {reason}; choose another with --listen"
        )
    return 0


async def _run(scenario: Scenario, host: str, port: int, context: ssl.SSLContext | None) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with running_simulator(scenario, host=host, port=port, ssl_context=context) as simulator:
        sys.stdout.write(f"simulated cloud listening on {simulator.url}\n")
        sys.stdout.flush()
        await stopped.wait()


def _override(scenario: Scenario, servers: int | None, seed: int | None) -> Scenario:
    if seed is not None:
        scenario = scenario.model_copy(update={"seed": seed})
    if servers is not None:
        first, *others = scenario.projects
        first = first.model_copy(update={"generate": servers})
        scenario = scenario.model_copy(update={"projects": (first, *others)})
    return scenario


def _failed(message: str) -> int:
    sys.stderr.write(f"console-exporter: {message}\n")
    return 1
