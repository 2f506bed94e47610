"""Which configured target a request to ``/probe`` means; nothing else can be probed."""

from collections.abc import Mapping
from dataclasses import replace

from exporter.model import Stage, Target
from exporter.state import StateStore
from exporter.targets import TargetNotFoundError, find_target
from exporter.web.refusal import RequestRefusedError

_BAD_REQUEST = 400
_NOT_FOUND = 404


def choose_target(state: StateStore, query: Mapping[str, str]) -> Target:
    """Return the target that ``target=ID_OR_NAME[&project=][&depth=]`` means.

    An id goes before a name. Raises `RequestRefusedError`.
    """
    wanted = query.get("target", "")
    if not wanted:
        raise RequestRefusedError(
            "parameter target is missing: the id or name of a server", _BAD_REQUEST
        )
    try:
        target = find_target((known.target for known in state), wanted, query.get("project"))
    except TargetNotFoundError as error:
        status = _BAD_REQUEST if error.found else _NOT_FOUND
        raise RequestRefusedError(str(error), status) from None
    return to_depth(target, query.get("depth"))


def to_depth(target: Target, depth: str | None) -> Target:
    """Return a target that is probed to ``depth``, to its own where that is None.

    Raises `RequestRefusedError` when there is no such depth.
    """
    if depth is None:
        return target
    if depth not in set(Stage):
        raise RequestRefusedError(
            f"parameter depth must be one of {', '.join(Stage)}", _BAD_REQUEST
        )
    return replace(target, depth=Stage(depth))
