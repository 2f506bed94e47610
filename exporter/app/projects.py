"""Hold the components of all projects, and rebuild those whose settings change."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from exporter.app.background_tasks import BackgroundTasks
from exporter.app.project import ProjectParts
from exporter.clock import Clock
from exporter.cloud.auth import Lockouts
from exporter.config.config import Project
from exporter.metrics.instruments import Instruments
from exporter.model import ProjectStatus
from exporter.process import gc_tuning
from exporter.state.saved_state import SavedProject, SavedState
from exporter.targets.sharding import Shard


class Projects(Mapping[str, ProjectParts]):
    """The components of each project in use, by name, in the order of the configuration.

    New components start with the request rate and login of ``saved``, if it has them.
    """

    def __init__(
        self,
        *,
        instruments: Instruments,
        saved: SavedState,
        shard: Shard,
        background: BackgroundTasks,
        clock: Clock,
    ) -> None:
        self._instruments = instruments
        self._saved = saved
        self._shard = shard
        self._background = background
        self._clock = clock
        self._lockouts = Lockouts(clock)
        self._parts: dict[str, ProjectParts] = {}

    def __getitem__(self, name: str) -> ProjectParts:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def statuses(self) -> list[ProjectStatus]:
        """Return the status of each project."""
        return [parts.status() for parts in self._parts.values()]

    async def snapshots(self) -> dict[str, SavedProject]:
        """Return what to save of each project, by the key under which it is restored."""
        return {parts.snapshot_key: await parts.snapshot() for parts in list(self._parts.values())}

    def reconfigure(
        self, projects: Sequence[Project], longest_probe: Callable[[Project], float]
    ) -> set[str]:
        """Use these projects from now on; return the names of those with new components.

        A project whose connection settings are unchanged keeps its components, with its request
        rate and login. Components that are no longer used are closed after ``longest_probe``
        seconds. Raises `OSError` or `SecretUnreadableError`; nothing is changed then.
        """
        reused = {
            project.name: replace(self._parts[project.name], project=project)
            for project in projects
            if project.name in self._parts and self._parts[project.name].can_serve(project)
        }
        built = self._built([one for one in projects if one.name not in reused])
        for name, parts in self._parts.items():
            if name not in reused:
                self._background.start(self._retire(parts, longest_probe(parts.project)))
            if name not in reused and name not in built:
                self._instruments.remove_project(name)
        self._parts = {one.name: (reused | built)[one.name] for one in projects}
        return set(built)

    async def aclose(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(parts.aclose() for parts in self._parts.values()))

    def _built(self, projects: Sequence[Project]) -> dict[str, ProjectParts]:
        """Build the components of these projects, or of none if one fails."""
        built: dict[str, ProjectParts] = {}
        try:
            for project in projects:
                built[project.name] = self._build(project)
        except BaseException:
            for project in projects:
                if project.name not in self._parts:
                    self._instruments.remove_project(project.name)
            for parts in built.values():
                self._background.start(parts.aclose())
            raise
        return built

    def _build(self, project: Project) -> ProjectParts:
        observer = self._instruments.add_project(project.name)
        parts = ProjectParts.build(project, observer, self._lockouts, self._clock, self._shard)
        parts.restore(self._saved.project(parts.snapshot_key))
        return parts

    async def _retire(self, parts: ProjectParts, grace: float) -> None:
        """Close a project's old connections after the last probes on them have ended."""
        try:
            await self._clock.sleep(grace)
        finally:
            # Also runs when the program stops during the wait.
            await parts.aclose()
        # The parts form reference cycles.
        gc_tuning.collect_frozen()
