"""Run the exporter until a signal ends it: listen, probe, answer, reload, drain."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop

from exporter import log as logging_setup
from exporter.app import Exporter
from exporter.clock import SystemClock
from exporter.config.config import Config
from exporter.config.load import ConfigError, load
from exporter.config.secret import SecretUnreadableError
from exporter.log_writer import LogWriter
from exporter.plan import plans
from exporter.web.application import web_application
from exporter.web.listening import ListenError, WebServer, listen
from exporter.web.running import ReloadRefusedError, Running

_LAST_WORDS_SECONDS = 0.5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The flags of ``serve``; ``config_file`` is read again at each reload."""

    config_file: Path
    listen_address: str
    log_level: str
    log_format: str
    version: str


def serve(config: Config, settings: Settings) -> int:
    """Serve ``config`` until SIGTERM or SIGINT; return the exit status."""
    try:
        listening = listen(settings.listen_address)
    except ListenError as error:
        print(f"console-exporter: {error}", file=sys.stderr)  # noqa: T201
        return 1
    # uvloop: a fifth less CPU a probe, most of it in TLS.
    with listening, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(config, settings, listening))


async def _run(config: Config, settings: Settings, listening: socket.socket) -> int:
    clock = SystemClock()
    try:
        exporter = Exporter(config, version=settings.version, clock=clock)
    except (OSError, SecretUnreadableError) as error:
        print(f"console-exporter: {error}", file=sys.stderr)  # noqa: T201
        return 1
    writer = LogWriter(_standard_error(), exporter.instruments.log_lost)
    logging_setup.configure(
        level=settings.log_level,
        form=settings.log_format,
        count=exporter.instruments.logged,
        stream=writer,
    )

    async def reload() -> None:
        try:
            await exporter.reload(lambda: load(settings.config_file, os.environ))
        except (ConfigError, OSError, SecretUnreadableError) as error:
            for line in str(error).splitlines():
                log.error("configuration not reloaded", mistake=line)  # noqa: TRY400 - a mistake of theirs
            raise ReloadRefusedError(str(error)) from None
        _warn_of_plans(exporter.config)

    server = WebServer(
        web_application(
            Running(
                state=exporter.state,
                projects=exporter.projects,
                exposition=exporter.exposition,
                scraped=exporter.instruments.scraped,
                config_yaml=lambda: exporter.config.as_yaml,
                not_ready=lambda: "shutting down" if exporter.draining else None,
                reload=reload,
                probe_now=exporter.scheduler.probe_now,
                clock_time=clock.time,
                version=settings.version,
            )
        )
    )
    ended = asyncio.Event()
    _on_signals(ended, reload)
    _warn_of_plans(config)
    exporter.start()
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    host, port = listening.getsockname()[:2]
    log.info(
        "listening", address=f"{host}:{port}", targets=len(exporter.state), version=settings.version
    )
    await asyncio.wait(
        {serving, asyncio.create_task(ended.wait())}, return_when=asyncio.FIRST_COMPLETED
    )
    log.info("stopping")
    # Probes end first, so that a last scrape sees them.
    await exporter.stop()
    server.should_exit = True
    await serving
    writer.drain(_LAST_WORDS_SECONDS)
    return 0


def _standard_error() -> int:
    """Return its descriptor; where it was closed before the start, that number may be a socket."""
    stream = sys.__stderr__
    return stream.fileno() if stream else os.open(os.devnull, os.O_WRONLY)


def _warn_of_plans(config: Config) -> None:
    for plan in plans(config):
        if not plan.fits:
            log.warning("the probes do not fit the rate limit", plan=str(plan))


def _on_signals(ended: asyncio.Event, reload: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    reloading: set[asyncio.Task[None]] = set()

    async def reload_quietly() -> None:
        # What was wrong has been logged.
        with contextlib.suppress(ReloadRefusedError):
            await reload()

    def hang_up() -> None:
        task = loop.create_task(reload_quietly())
        reloading.add(task)
        task.add_done_callback(reloading.discard)

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
