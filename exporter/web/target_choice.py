"""Which configured target a request to ``/probe`` means; nothing else can be probed."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

from exporter.model import Stage, Target
from exporter.targets import TargetNotFoundError, find_target
from exporter.web.running import Running

_BAD_REQUEST = 400
_NOT_FOUND = 404


class TargetChoiceError(Exception):
    """A request names no single configured target; ``status`` is the HTTP status to answer."""

    def __init__(self, message: str, status: int) -> None:
        """Keep the status beside the message."""
        super().__init__(message)
        self.status = status


def choose_target(running: Running, query: Mapping[str, str]) -> Target:
    """Return the target that ``target=ID_OR_NAME[&project=][&depth=]`` means.

    An id goes before a name. Raises `TargetChoiceError`, also for a target of another shard.
    """
    wanted = query.get("target", "")
    if not wanted:
        raise TargetChoiceError(
            "parameter target is missing: the id or name of a server", _BAD_REQUEST
        )
    known = chain((state.target for state in running.state), running.elsewhere())
    try:
        target = find_target(known, wanted, query.get("project"))
    except TargetNotFoundError as error:
        raise TargetChoiceError(str(error), _BAD_REQUEST if error.found else _NOT_FOUND) from None
    if running.state.get(target.key) is None:
        shard = running.shard
        raise TargetChoiceError(
            f"this is {shard}, and shard {shard.owner(target.key)} probes this server: ask there",
            _NOT_FOUND,
        )
    depth = query.get("depth")
    if depth is None:
        return target
    if depth not in set(Stage):
        raise TargetChoiceError(f"parameter depth must be one of {', '.join(Stage)}", _BAD_REQUEST)
    return replace(target, depth=Stage(depth))
