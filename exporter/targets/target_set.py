"""The target set: what the sources of all projects yield, joined."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from exporter.config.config import Project
from exporter.model import Target, TargetKey
from exporter.targets.source import Source, sources_of
from exporter.targets.static import project_targets

_Set = dict[TargetKey, Target]
# What a source has that has sent no set yet. One that yields no server has sent an empty one.
_NOTHING: _Set = {}


@dataclass(frozen=True, slots=True)
class TargetChanges:
    """What is new or different in the target set, and what is gone from it."""

    put: list[Target]
    gone: list[TargetKey]

    def slices(self, size: int) -> Iterator["TargetChanges"]:
        """Yield the same in parts of at most ``size`` targets, what is gone first."""
        for start in range(0, len(self.gone), size):
            yield TargetChanges([], self.gone[start : start + size])
        for start in range(0, len(self.put), size):
            yield TargetChanges(self.put[start : start + size], [])


class TargetSet:
    """Keeps the last whole set of each project and source; `Source` says which entry stands."""

    def __init__(self, keeps: Callable[[TargetKey], bool] = lambda _key: True) -> None:
        """Start with no project. What ``keeps`` denies is known, and not of the target set."""
        self._keeps = keeps
        self._sets: dict[str, dict[Source, _Set]] = {}

    def reconfigure(
        self,
        projects: Iterable[Project],
        before: Mapping[str, Project],
        files: Mapping[str, list[Target] | None],
    ) -> None:
        """Go over to other projects; ``before`` are those until now.

        ``files`` are the targets of each project's server files, None where they could not be
        read. What was discovered stays where it is of the same project of the cloud, under the
        settings that the project has now.
        """
        sets: dict[str, dict[Source, _Set]] = {}
        for project in projects:
            kept = self._sets.get(project.name, {}) if _same(project, before) else {}
            of_files = files.get(project.name)
            has = sources_of(project)
            sets[project.name] = {Source.STATIC: _by_key(project_targets(project))}
            if Source.FILE in has:
                sets[project.name][Source.FILE] = (
                    kept.get(Source.FILE, _NOTHING) if of_files is None else _by_key(of_files)
                )
            if Source.CLOUD in has:
                listed = kept.get(Source.CLOUD, _NOTHING)
                if listed and _settings(before[project.name]) != _settings(project):
                    listed = {key: _settled(target, project) for key, target in listed.items()}
                sets[project.name][Source.CLOUD] = listed
        self._sets = sets

    def put(self, project: str, source: Source, targets: Iterable[Target]) -> TargetChanges:
        """Take the whole set of a source; return what that changes in the target set."""
        before = self._sets[project]
        old, new = before.get(source, _NOTHING), _by_key(targets)
        after = {**before, source: new}
        changes = TargetChanges([], [])
        for key in filter(self._keeps, old | new):
            target = _standing(after, key)
            if target is None:
                changes.gone.append(key)
            elif target != _standing(before, key):
                changes.put.append(target)
        self._sets[project] = after
        return changes

    def of(self, project: str) -> list[Target]:
        """Return the targets of one project."""
        return [target for target in self._joined(project) if self._keeps(target.key)]

    def elsewhere(self) -> list[Target]:
        """Return what the sources yield and the target set does not keep."""
        joined = (target for project in self._sets for target in self._joined(project))
        return [target for target in joined if not self._keeps(target.key)]

    def _joined(self, project: str) -> Iterable[Target]:
        sets = self._sets.get(project, {})
        joined: _Set = {}
        for source in Source:
            joined = sets.get(source, _NOTHING) | joined if joined else sets.get(source, _NOTHING)
        return joined.values()

    def all(self) -> list[Target]:
        """Return the whole target set, project by project."""
        return [target for project in self._sets for target in self.of(project)]

    def awaited(self) -> list[tuple[str, Source]]:
        """Return each project and source whose first set has not come yet."""
        return [
            (project, source)
            for project, sets in self._sets.items()
            for source, found in sets.items()
            if found is _NOTHING
        ]

    def size(self, project: str, source: Source) -> int:
        """Return how many servers a source yields, listed by others or not, kept or not."""
        return len(self._sets.get(project, {}).get(source, _NOTHING))

    def yielded(self, project: str, source: Source) -> int:
        """Return how many targets of the set come from a source, as the first to list them."""
        sets = self._sets[project]
        keys = sets.get(source, _NOTHING).keys()
        listed_before: set[TargetKey] = set()
        for one in Source:
            if one is source:
                break
            # The shorter is walked through: what people list, as a rule.
            listed_before |= sets.get(one, _NOTHING).keys() & keys
        return sum(map(self._keeps, keys - listed_before))


def _standing(sets: Mapping[Source, _Set], key: TargetKey) -> Target | None:
    """Return the entry of the first source that lists a server."""
    return next((sets[source][key] for source in Source if key in sets.get(source, ())), None)


def _by_key(targets: Iterable[Target]) -> _Set:
    return {target.key: target for target in targets}


def _same(project: Project, before: Mapping[str, Project]) -> bool:
    old = before.get(project.name)
    return old is not None and (old.endpoint, old.project_id) == (
        project.endpoint,
        project.project_id,
    )


def _settings(project: Project) -> tuple[object, ...]:
    """Return what a project decides for the servers that the cloud lists."""
    return project.region, project.interval, project.timeout, project.depth


def _settled(target: Target, project: Project) -> Target:
    """Return a discovered target under its project's settings."""
    return replace(
        target,
        region=project.region,
        interval=project.interval,
        timeout=project.timeout,
        depth=project.depth,
    )
