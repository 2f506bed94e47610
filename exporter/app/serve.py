"""Run the exporter until a signal ends it: listen, probe, answer, reload, drain."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop
from starlette.types import ASGIApp

from exporter.app.exporter import Exporter
from exporter.clock import Clock, SystemClock
from exporter.config.config import Config
from exporter.config.load import ConfigError, load
from exporter.config.secret import SecretUnreadableError
from exporter.process import log as logging_setup
from exporter.process.log_writer import LogWriter
from exporter.process.systemd import InheritedSocketError, Notifier, inherited_sockets
from exporter.state.errors import StateFileError, StateFileInUseError
from exporter.state.saved_state import SavedState
from exporter.state.state_file import StateFile
from exporter.targets.sharding import ALONE, Shard
from exporter.web.access.external_url import DIRECT, ExternalUrl
from exporter.web.access.guard import HEALTH_PATHS, guarded
from exporter.web.access.live_config import OPEN, LiveConfig, Rules
from exporter.web.application import web_application
from exporter.web.exporter_view import ExporterView, ReloadRefusedError
from exporter.web.listening import ListenError, WebServer, address_text, listen_all

_LAST_WORDS_SECONDS = 0.5
# SIGTERM must be obeyed within 5 s; what comes before this takes 4.5 at the most.
_LAST_RESORT_SECONDS = 4.8

log = structlog.get_logger(__name__)


# The loop gives the interpreter away at each piece of TLS, and gets it back after so long where a
# thread is busy, as with reading a large configuration. Python's own 5 ms, several times a probe,
# stopped all probing for two seconds at 50,000 servers.
_SWITCH_SECONDS = 0.0001


@dataclass(frozen=True, slots=True)
class Access:
    """The flags about who may ask the web server, and how.

    ``rules`` are those of ``--web.config.file`` as they were at the start.
    """

    rules: Rules = OPEN
    external: ExternalUrl = DIRECT
    open_health_checks: bool = False
    systemd_socket: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The flags of ``serve``; ``config_file`` is read again at each reload."""

    config_file: Path
    listen_addresses: tuple[str, ...]
    log_level: str
    log_format: str
    version: str
    access: Access = Access()
    shard: Shard = ALONE
    state_file: Path | None = None


def serve(config: Config, settings: Settings) -> int:
    """Serve ``config`` until SIGTERM or SIGINT; return the exit status."""
    try:
        listening = _listening(settings)
    except (ListenError, InheritedSocketError) as error:
        print(f"console-exporter: {error}", file=sys.stderr)  # noqa: T201
        return 1
    sys.setswitchinterval(_SWITCH_SECONDS)
    # uvloop: a fifth less CPU a probe, most of it in TLS.
    with (
        contextlib.ExitStack() as closing,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        for one in listening:
            closing.enter_context(one)
        return runner.run(_run(config, settings, listening))


def _listening(settings: Settings) -> list[socket.socket]:
    """Return the sockets that systemd has opened for us, else open our own."""
    inherited = inherited_sockets(os.environ)
    if not inherited and settings.access.systemd_socket:
        raise InheritedSocketError(
            "--web.systemd-socket is set, and systemd handed over no socket;"
            " start the socket unit, or leave the flag out"
        )
    return inherited or listen_all(settings.listen_addresses)


async def _run(config: Config, settings: Settings, listening: list[socket.socket]) -> int:
    clock = SystemClock()
    systemd = Notifier(os.environ, clock)
    early: list[str] = []
    logging_setup.configure(level=settings.log_level, form=settings.log_format, count=early.append)
    state_file = StateFile(settings.state_file, clock.time) if settings.state_file else None
    try:
        saved_state = _saved_state(state_file)
        exporter = Exporter(
            config,
            version=settings.version,
            clock=clock,
            shard=settings.shard,
            state_file=state_file,
            saved_state=saved_state,
        )
    except (OSError, SecretUnreadableError, StateFileInUseError) as error:
        print(f"console-exporter: {error}", file=sys.stderr)  # noqa: T201
        return 1
    writer = LogWriter(_standard_error(), exporter.instruments.log_lost)
    logging_setup.configure(
        level=settings.log_level,
        form=settings.log_format,
        count=exporter.instruments.logged,
        stream=writer,
    )
    for level in early:
        exporter.instruments.logged(level)

    started = asyncio.Event()

    async def reload() -> None:
        # What a start reads and what a reload reads would come in any order.
        await started.wait()
        systemd.reloading()
        status = "the configuration has mistakes, the one before it is in force"
        try:
            await exporter.reload(lambda: load(settings.config_file, os.environ))
            status = f"{len(exporter.state)} servers"
        except (ConfigError, OSError, SecretUnreadableError) as error:
            for line in str(error).splitlines():
                log.error("configuration not reloaded", error=line)  # noqa: TRY400 - a mistake of theirs
            raise ReloadRefusedError(str(error)) from None
        finally:
            systemd.ready(status)
        _warn_of_plans(exporter)

    application = web_application(
        ExporterView(
            state=exporter.state,
            projects=exporter.projects,
            exposition=exporter.exposition,
            scraped=exporter.instruments.scraped,
            config_yaml=lambda: exporter.config.as_yaml,
            not_ready=lambda: "shutting down" if exporter.draining else None,
            incomplete=exporter.incomplete,
            reload=reload,
            probe_now=exporter.scheduler.probe_now,
            clock_time=clock.time,
            version=settings.version,
            shard=settings.shard,
            elsewhere=exporter.elsewhere,
        )
    )
    server = _web_server(application, settings.access, clock)
    ended = asyncio.Event()
    _on_signals(ended, reload)
    await exporter.start()
    started.set()
    _warn_of_plans(exporter)
    serving = asyncio.create_task(server.serve(listening))
    for one in listening:
        log.info(
            "listening",
            address=address_text(one),
            targets=len(exporter.state),
            version=settings.version,
        )
    systemd.ready(f"{len(exporter.state)} servers")
    alive = asyncio.create_task(systemd.keep_alive())
    await asyncio.wait(
        {serving, asyncio.create_task(ended.wait())}, return_when=asyncio.FIRST_COMPLETED
    )
    log.info("stopping")
    _end_anyway()
    systemd.stopping()
    # Probes end first, so that a last scrape sees them.
    await exporter.stop()
    server.should_exit = True
    await serving
    alive.cancel()
    writer.drain(_LAST_WORDS_SECONDS)
    return 0


def _end_anyway() -> None:
    """End the process in time, even where storage hangs: its thread would be waited for."""
    last_resort = threading.Timer(_LAST_RESORT_SECONDS, os._exit, [0])
    last_resort.daemon = True
    last_resort.start()


def _standard_error() -> int:
    """Return its descriptor; where it was closed before the start, that number may be a socket."""
    stream = sys.__stderr__
    return stream.fileno() if stream else os.open(os.devnull, os.O_WRONLY)


def _web_server(application: ASGIApp, access: Access, clock: Clock) -> WebServer:
    live = LiveConfig(access.rules, clock.time)
    open_paths = HEALTH_PATHS if access.open_health_checks else ()
    return WebServer(guarded(application, live, access.external, clock, open_paths), live)


def _saved_state(state_file: StateFile | None) -> SavedState:
    """Return what the state file holds; raises `StateFileInUseError`."""
    if state_file is None:
        return SavedState()
    try:
        return state_file.load()
    except StateFileInUseError:
        raise
    except StateFileError as error:
        # Better to probe without a memory than not at all.
        log.warning("starting without what was known before", why=str(error))
        return SavedState()


def _warn_of_plans(exporter: Exporter) -> None:
    for plan in exporter.plans():
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
