"""Run the exporter and its web server until SIGTERM or SIGINT."""

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
from exporter.config.rendering import as_yaml
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
from exporter.web.exporter_view import ExporterView, ReloadRefusedError
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
    levels_before: list[str] = []
    logging_setup.configure(
        level=settings.log_level, form=settings.log_format, count=levels_before.append
    )
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
    for level in levels_before:
        exporter.instruments.logged(level)

    started = asyncio.Event()

    async def reload() -> None:
        # The start may still be reading server files, and must not replace those of a reload.
        await started.wait()
        systemd.reloading()
        status = "configuration invalid, the previous one stays active"
        try:
            await exporter.reload(lambda: load(settings.config_file, os.environ))
            status = f"{len(exporter.state)} servers"
        except (ConfigError, OSError, SecretUnreadableError) as error:
            for line in str(error).splitlines():
                log.error("configuration reload failed", error=line)  # noqa: TRY400 - no traceback
            raise ReloadRefusedError(str(error)) from None
        finally:
            systemd.ready(status)

    application = web_application(
        ExporterView(
            state=exporter.state,
            projects=exporter.projects,
            exposition=exporter.exposition,
            scraped=exporter.instruments.scraped,
            config_yaml=lambda: as_yaml(exporter.config),
            not_ready=lambda: "shutting down" if exporter.draining else None,
            incomplete=exporter.incomplete,
            reload=reload,
            probe_now=exporter.on_demand.probe_now,
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
    _force_exit_later()
    systemd.stopping()
    # Probes end first, so that a last scrape includes their results.
    await exporter.stop()
    server.should_exit = True
    await serving
    alive.cancel()
    writer.drain(_LOG_DRAIN_SECONDS)
    return 0


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


def _on_signals(ended: asyncio.Event, reload: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    reloading: set[asyncio.Task[None]] = set()

    async def reload_on_signal() -> None:
        # The error has been logged.
        with contextlib.suppress(ReloadRefusedError):
            await reload()

    def hang_up() -> None:
        task = loop.create_task(reload_on_signal())
        reloading.add(task)
        task.add_done_callback(reloading.discard)

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
