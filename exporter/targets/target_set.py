"""Join the servers of all sources of all projects into one target set."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from exporter.config.config import Project
from exporter.model import Target, TargetKey
from exporter.targets.source import Source, sources_of
from exporter.targets.static import project_targets

_Set = dict[TargetKey, Target]
# Marks a source that has not been read yet. Compared by identity: an empty source has its own dict.
_NOT_READ: _Set = {}


@dataclass(frozen=True, slots=True)
class TargetChanges:
    """Changes of the target set: ``put`` has new or changed targets, ``gone`` removed ones."""

    put: list[Target]
    gone: list[TargetKey]

    def slices(self, size: int) -> Iterator["TargetChanges"]:
        """Split into changes of at most ``size`` targets, removals first."""
        for start in range(0, len(self.gone), size):
            yield TargetChanges([], self.gone[start : start + size])
        for start in range(0, len(self.put), size):
            yield TargetChanges(self.put[start : start + size], [])


class TargetSet:
    """Holds the last set of each source of each project; `Source` defines the precedence.

    Targets for which ``owns`` is false belong to other shards: known, but not in the set.
    """

    def __init__(self, owns: Callable[[TargetKey], bool] = lambda _key: True) -> None:
        self._owns = owns
        self._sets: dict[str, dict[Source, _Set]] = {}

    def reconfigure(
        self,
        projects: Iterable[Project],
        before: Mapping[str, Project],
        files: Mapping[str, list[Target] | None],
    ) -> None:
        """Replace the projects; ``before`` has the previous ones.

        ``files`` has the targets of each project's server files, None if they could not be read.
        Discovered servers stay if the project has the same endpoint and project id; they take on
        the project's new settings.
        """
        sets: dict[str, dict[Source, _Set]] = {}
        for project in projects:
            previous = self._sets.get(project.name, {}) if _same(project, before) else {}
            of_files = files.get(project.name)
            has = sources_of(project)
            sets[project.name] = {Source.STATIC: _by_key(project_targets(project))}
            if Source.FILE in has:
                sets[project.name][Source.FILE] = (
                    previous.get(Source.FILE, _NOT_READ) if of_files is None else _by_key(of_files)
                )
            if Source.CLOUD in has:
                listed = previous.get(Source.CLOUD, _NOT_READ)
                if listed and _settings(before[project.name]) != _settings(project):
                    listed = {
                        key: _with_settings(target, project) for key, target in listed.items()
                    }
                sets[project.name][Source.CLOUD] = listed
        self._sets = sets

    def put(self, project: str, source: Source, targets: Iterable[Target]) -> TargetChanges:
        """Replace the set of a source; return the changes of the target set."""
        before = self._sets[project]
        old, new = before.get(source, _NOT_READ), _by_key(targets)
        after = {**before, source: new}
        changes = TargetChanges([], [])
        for key in filter(self._owns, old | new):
            target = _winning(after, key)
            if target is None:
                changes.gone.append(key)
            elif target != _winning(before, key):
                changes.put.append(target)
        self._sets[project] = after
        return changes

    def of(self, project: str) -> list[Target]:
        """Return the targets of one project."""
        return [target for target in self._joined(project) if self._owns(target.key)]

    def elsewhere(self) -> list[Target]:
        """Return the targets of other shards."""
        joined = (target for project in self._sets for target in self._joined(project))
        return [target for target in joined if not self._owns(target.key)]

    def _joined(self, project: str) -> Iterable[Target]:
        sets = self._sets.get(project, {})
        joined: _Set = {}
        for source in Source:
            joined = sets.get(source, _NOT_READ) | joined if joined else sets.get(source, _NOT_READ)
        return joined.values()

    def all(self) -> list[Target]:
        """Return the whole target set, project by project."""
        return [target for project in self._sets for target in self.of(project)]

    def awaited(self) -> list[tuple[str, Source]]:
        """Return each project and source that has not been read yet."""
        return [
            (project, source)
            for project, sets in self._sets.items()
            for source, found in sets.items()
            if found is _NOT_READ
        ]

    def size(self, project: str, source: Source) -> int:
        """Return the number of servers that a source lists, on all shards."""
        return len(self._sets.get(project, {}).get(source, _NOT_READ))

    def contributed(self, project: str, source: Source) -> int:
        """Return the number of targets in the set that come from this source."""
        sets = self._sets[project]
        keys = sets.get(source, _NOT_READ).keys()
        listed_before: set[TargetKey] = set()
        for one in Source:
            if one is source:
                break
            # Python iterates over the smaller set, usually the static or file list.
            listed_before |= sets.get(one, _NOT_READ).keys() & keys
        return sum(map(self._owns, keys - listed_before))


def _winning(sets: Mapping[Source, _Set], key: TargetKey) -> Target | None:
    """Return the entry for a server of the first source that lists it."""
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
    """Return the project settings that apply to servers listed by the cloud."""
    return project.region, project.interval, project.timeout, project.depth


def _with_settings(target: Target, project: Project) -> Target:
    """Return a discovered target with its project's settings."""
    return replace(
        target,
        region=project.region,
        interval=project.interval,
        timeout=project.timeout,
        depth=project.depth,
    )
