"""Run the exporter and its web server until SIGTERM or SIGINT."""

import asyncio
import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop
from starlette.types import ASGIApp

from exporter.app.exporter import Exporter
from exporter.app.running_exporter import RunningExporter
from exporter.app.signals import handle_signals
from exporter.clock import Clock, SystemClock
from exporter.config.config import Config
from exporter.config.load import load
from exporter.config.secret import SecretUnreadableError
from exporter.process import log as logging_setup
from exporter.process.log_writer import LogWriter
from exporter.process.systemd import InheritedSocketError, Notifier, inherited_sockets
from exporter.state.errors import StateFileError, StateFileInUseError
from exporter.state.saved_state import SavedState
from exporter.state.state_file import StateFile
from exporter.targets.sharding import UNSHARDED, Shard
from exporter.web.access.external_url import DIRECT, ExternalUrl
from exporter.web.access.guard import HEALTH_PATHS, guarded
from exporter.web.access.live_config import OPEN, LiveConfig, Rules
from exporter.web.application import web_application
from exporter.web.server import ListenError, WebServer, address_text, listen_all

_LOG_DRAIN_SECONDS = 0.5
# The process must exit within 5 s of SIGTERM; an orderly shutdown takes at most 4.5 s.
_FORCED_EXIT_SECONDS = 4.8

log = structlog.get_logger(__name__)


# The event loop releases the GIL at each TLS operation, and waits for this long to get it back
# while a thread is busy, such as with reading a large configuration. With Python's default of 5 ms
# a reload with 50,000 servers stopped all probing for two seconds.
_SWITCH_SECONDS = 0.0001


@dataclass(frozen=True, slots=True)
class Access:
    """The flags for access to the web server.

    ``rules`` is the content of ``--web.config.file`` at the start.
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
    shard: Shard = UNSHARDED
    state_file: Path | None = None


def serve(config: Config, settings: Settings) -> int:
    """Serve ``config`` until SIGTERM or SIGINT; return the exit status."""
    try:
        listening = _listening(settings)
    except (ListenError, InheritedSocketError) as error:
        print(f"console-exporter: {error}", file=sys.stderr)  # noqa: T201
        return 1
    sys.setswitchinterval(_SWITCH_SECONDS)
    # uvloop takes a fifth less CPU per probe, mostly in TLS.
    with (
        contextlib.ExitStack() as closing,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        for one in listening:
            closing.enter_context(one)
        return runner.run(_run(config, settings, listening))


def _listening(settings: Settings) -> list[socket.socket]:
    """Return the sockets passed by systemd, or open the configured ones."""
    inherited = inherited_sockets(os.environ)
    if not inherited and settings.access.systemd_socket:
        raise InheritedSocketError(
            "--web.systemd-socket is set, but systemd passed no socket;"
            " start the socket unit or remove the flag"
        )
    return inherited or listen_all(settings.listen_addresses)


async def _run(config: Config, settings: Settings, listening: list[socket.socket]) -> int:
    clock = SystemClock()
    systemd = Notifier(os.environ, clock)
    levels: list[str] = []
    _configure_log(settings, levels.append)
    try:
        exporter = _exporter(config, settings, clock)
    except (OSError, SecretUnreadableError, StateFileInUseError) as error:
        print(f"console-exporter: {error}", file=sys.stderr)  # noqa: T201
        return 1
    writer = LogWriter(_standard_error(), exporter.instruments.log_lost)
    _configure_log(settings, exporter.instruments.logged, writer)
    for level in levels:
        exporter.instruments.logged(level)
    running = RunningExporter(
        exporter, load=lambda: load(settings.config_file, os.environ), systemd=systemd, clock=clock
    )
    server = _web_server(web_application(running), settings.access, clock)
    ended = handle_signals(running.reload)
    await running.start()
    serving = asyncio.create_task(server.serve(listening))
    for one in listening:
        address, targets = address_text(one), len(exporter.state)
        log.info("listening", address=address, targets=targets, version=settings.version)
    systemd.ready(f"{len(exporter.state)} servers")
    alive = asyncio.create_task(systemd.keep_alive())
    await asyncio.wait(
        {serving, asyncio.create_task(ended.wait())}, return_when=asyncio.FIRST_COMPLETED
    )
    log.info("stopping")
    _force_exit_later()
    systemd.stopping()
    # Probes end first, so that a last scrape includes their results.
    await exporter.stop()
    server.should_exit = True
    await serving
    alive.cancel()
    writer.drain(_LOG_DRAIN_SECONDS)
    return 0


def _configure_log(
    settings: Settings, count: Callable[[str], None], stream: LogWriter | None = None
) -> None:
    logging_setup.configure(
        level=settings.log_level, form=settings.log_format, count=count, stream=stream
    )


def _exporter(config: Config, settings: Settings, clock: Clock) -> Exporter:
    """Build the exporter; raises `OSError`, `SecretUnreadableError` or `StateFileInUseError`."""
    state_file = StateFile(settings.state_file, clock.time) if settings.state_file else None
    return Exporter(
        config,
        version=settings.version,
        clock=clock,
        shard=settings.shard,
        state_file=state_file,
        saved_state=_saved_state(state_file),
    )


def _force_exit_later() -> None:
    """Exit in time even if storage hangs; Python would wait for the state file's thread."""
    timer = threading.Timer(_FORCED_EXIT_SECONDS, os._exit, [0])
    timer.daemon = True
    timer.start()


def _standard_error() -> int:
    """Return the descriptor of standard error, or of /dev/null if it was closed at the start.

    In that case descriptor 2 may be a socket.
    """
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
        # Probing without saved state is better than not probing.
        log.warning("saved state not loaded", why=str(error))
        return SavedState()
