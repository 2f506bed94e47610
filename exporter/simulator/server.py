"""Run the simulated cloud inside a program or a test, or as a separate process."""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from exporter.simulator.clock import Clock
from exporter.simulator.control import Control
from exporter.simulator.scenario import Scenario
from exporter.simulator.scenario_file import load_scenario
from exporter.simulator.section import ScenarioError
from exporter.simulator.simulator import Simulator

_BODY_MAX_BYTES = 1 << 20
# Tokens and security tokens are long headers.
_HEADER_MAX_BYTES = 128 * 1024
_BACKLOG = 1024
# Requests that hang on purpose must not delay the shutdown.
_SHUTDOWN_SECONDS = 0.1


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
    application = web.Application(client_max_size=_BODY_MAX_BYTES)
    application.add_routes(Control(simulator).routes())
    application.add_routes(simulator.routes())
    runner = web.AppRunner(
        application,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        max_line_size=_HEADER_MAX_BYTES,
        max_field_size=_HEADER_MAX_BYTES,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=ssl_context, backlog=_BACKLOG).start()
        scheme = "https" if ssl_context else "http"
        shown_host = f"[{host}]" if ":" in host else host
        simulator.url = f"{scheme}://{shown_host}:{runner.addresses[0][1]}"
        yield simulator
    finally:
        await runner.cleanup()


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
        scenario = replace(scenario, seed=seed)
    if servers is not None:
        first, *others = scenario.projects
        scenario = replace(scenario, projects=(replace(first, generate=servers), *others))
    return scenario


def _failed(message: str) -> int:
    sys.stderr.write(f"console-exporter: {message}\n")
    return 1
