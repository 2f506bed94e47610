"""Apply configurations and discovered targets to the running components."""

import asyncio
from collections.abc import Callable, Mapping

from exporter.app.projects import Projects
from exporter.app.target_updates import TargetUpdates
from exporter.clock import Clock
from exporter.config.config import Config
from exporter.metrics.instruments import Instruments
from exporter.model import Target
from exporter.process import gc_tuning
from exporter.targets.discoverers import Discoverers
from exporter.targets.source import Source


class ActiveConfig:
    """The configuration in use; it and the discovered targets change one at a time.

    ``config`` is applied immediately. Raises `OSError` or `SecretUnreadableError`.
    """

    def __init__(
        self,
        config: Config,
        *,
        projects: Projects,
        targets: TargetUpdates,
        instruments: Instruments,
        clock: Clock,
    ) -> None:
        self._projects = projects
        self._targets = targets
        self._instruments = instruments
        self._clock = clock
        self._discoverers = Discoverers(
            send=self._discovered,
            observer_of=lambda name: instruments.project(name).discovery,
            clock=clock,
        )
        self._change_lock = asyncio.Lock()
        self._apply(config, {})

    async def start(self) -> None:
        """Read the server files and start discovery; the cloud's server lists follow later."""
        files = await self._discoverers.read_files(self.config.projects)
        for discovery, targets in files.items():
            if targets is not None:
                await self._discovered(discovery.project.name, Source.FILE, targets)
        gc_tuning.freeze()
        self._discoverers.update(self._projects, files, self._targets.listed)

    async def reload(self, load: Callable[[], Config]) -> None:
        """Load a configuration and apply it. On error the current configuration stays active.

        Unchanged targets keep phase, counters and history; unchanged projects keep their request
        rate and token. Exceptions of ``load`` propagate.
        """
        async with self._change_lock:
            gc_tuning.pause()
            try:
                config = await asyncio.to_thread(load)
                files = await self._discoverers.read_files(config.projects)
                self._apply(config, {one.project.name: found for one, found in files.items()})
            except Exception:
                self._instruments.config_refused()
                raise
            finally:
                gc_tuning.resume()
            self._discoverers.update(self._projects, files, self._targets.listed)

    async def stop(self) -> None:
        """Stop discovery."""
        await self._discoverers.stop()

    def _apply(self, config: Config, files: Mapping[str, list[Target] | None]) -> None:
        before = {name: parts.project for name, parts in self._projects.items()}
        # Can fail, so it comes first: no configuration is applied partly.
        rebuilt = self._projects.reconfigure(config.projects, self._targets.longest_probe)
        self._targets.reconfigure(config, before, files, rebuilt)
        self.config = config
        self._instruments.config_loaded(config.sha256, self._clock.time())

    async def _discovered(self, name: str, source: Source, targets: list[Target]) -> None:
        async with self._change_lock:
            await self._targets.put(self._projects[name].project, source, targets)
