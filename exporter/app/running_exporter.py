"""The running exporter as the web server and signals see it."""

import asyncio
from collections.abc import Callable

import structlog

from exporter.app.exporter import Exporter
from exporter.clock import Clock
from exporter.config.config import Config
from exporter.config.errors import ConfigError
from exporter.config.rendering import as_yaml
from exporter.config.secret import SecretUnreadableError
from exporter.model import ProbeResult, ProjectStatus, Target
from exporter.process.systemd import Notifier
from exporter.web.exporter_view import ReloadRefusedError

log = structlog.get_logger(__name__)


class RunningExporter:
    """The `ExporterView` of an exporter.

    ``load`` reads the configuration for a reload, which is reported to ``systemd``.
    """

    def __init__(
        self,
        exporter: Exporter,
        *,
        load: Callable[[], Config],
        systemd: Notifier,
        clock: Clock,
    ) -> None:
        self.state = exporter.state
        self.exposition = exporter.exposition
        self.shard = exporter.shard
        self.version = exporter.version
        self._exporter = exporter
        self._load = load
        self._systemd = systemd
        self._clock = clock
        self._started = asyncio.Event()

    async def start(self) -> None:
        """Start probing; reloads wait for this."""
        await self._exporter.start()
        self._started.set()

    def clock_time(self) -> float:
        """Return Unix time in seconds."""
        return self._clock.time()

    def projects(self) -> list[ProjectStatus]:
        """Return the status of each project."""
        return self._exporter.projects()

    def elsewhere(self) -> list[Target]:
        """Return the targets that other shards probe."""
        return self._exporter.elsewhere()

    def config_yaml(self) -> str:
        """Return the configuration in use, without secrets."""
        return as_yaml(self._exporter.config)

    def not_ready(self) -> str | None:
        """Return the reason why the exporter is not ready, or None."""
        return "shutting down" if self._exporter.draining else None

    def incomplete(self) -> str | None:
        """Return the reason why the list of servers may be incomplete, or None."""
        return self._exporter.incomplete()

    def scraped(self, seconds: float) -> None:
        """Record that a scrape took ``seconds``."""
        self._exporter.instruments.scraped(seconds)

    async def probe_now(self, target: Target, max_seconds: float) -> ProbeResult:
        """Probe a target within ``max_seconds``."""
        return await self._exporter.on_demand.probe_now(target, max_seconds)

    async def reload(self) -> None:
        """Read the configuration again and apply it; raises `ReloadRefusedError`."""
        # The server files read by the start must not overwrite those of a reload.
        await self._started.wait()
        self._systemd.reloading()
        status = "configuration invalid, the previous one stays active"
        try:
            await self._exporter.reload(self._load)
            status = f"{len(self.state)} servers"
        except (ConfigError, OSError, SecretUnreadableError) as error:
            for line in str(error).splitlines():
                log.error("configuration reload failed", error=line)  # noqa: TRY400 - no traceback
            raise ReloadRefusedError(str(error)) from None
        finally:
            self._systemd.ready(status)
