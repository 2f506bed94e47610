"""Which target an id or a name means."""

from collections.abc import Iterable

from exporter.model import Target


class TargetNotFoundError(Exception):
    """No target, or more than one, has the id or name asked for; the message says what to do."""

    def __init__(self, message: str, found: int) -> None:
        """Keep the number of targets ``found`` beside the message."""
        super().__init__(message)
        self.found = found


def find_target(targets: Iterable[Target], wanted: str, project: str | None = None) -> Target:
    """Return the one target with this id, else with this name; raises `TargetNotFoundError`."""
    candidates = [target for target in targets if project in {None, target.key.project}]
    found = [target for target in candidates if target.key.server_id == wanted] or [
        target for target in candidates if target.name == wanted
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise TargetNotFoundError("no configured server has this id or name", 0)
    projects = sorted({target.key.project for target in found})
    cure = f"name the project, one of {', '.join(projects)}" if len(projects) > 1 else "use its id"
    raise TargetNotFoundError(f"several servers have this name or id: {cure}", len(found))
