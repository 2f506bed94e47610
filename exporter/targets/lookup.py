"""Find a target by its id or name."""

from collections.abc import Iterable

from exporter.model import Target


class TargetNotFoundError(Exception):
    """No target, or more than one, has the given id or name; the message says what to do.

    ``found`` is the number of matching targets.
    """

    def __init__(self, message: str, found: int) -> None:
        super().__init__(message)
        self.found = found


def find_target(targets: Iterable[Target], wanted: str, project: str | None = None) -> Target:
    """Return the target with this id or else this name; raises `TargetNotFoundError`."""
    candidates = [target for target in targets if project in {None, target.key.project}]
    found = [target for target in candidates if target.key.server_id == wanted] or [
        target for target in candidates if target.name == wanted
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise TargetNotFoundError("no configured server has this id or name", 0)
    projects = sorted({target.key.project for target in found})
    fix = f"set the project to one of {', '.join(projects)}" if len(projects) > 1 else "use the id"
    raise TargetNotFoundError(f"several servers have this name or id: {fix}", len(found))
