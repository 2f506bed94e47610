"""Find the configured target that a request names; nothing else can be probed."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

from exporter.model import Stage, Target
from exporter.targets import TargetNotFoundError, find_target
from exporter.web.errors import RequestRefusedError
from exporter.web.exporter_view import ExporterView

_BAD_REQUEST = 400
_NOT_FOUND = 404


def choose_target(view: ExporterView, query: Mapping[str, str]) -> Target:
    """Return the target that ``target=ID_OR_NAME[&project=][&depth=]`` names.

    An id takes precedence over a name. Raises `RequestRefusedError`, also for a target of another
    shard.
    """
    wanted = query.get("target", "")
    if not wanted:
        raise RequestRefusedError(
            "parameter target is missing; give the id or name of a server", _BAD_REQUEST
        )
    known = chain((state.target for state in view.state), view.elsewhere())
    try:
        target = find_target(known, wanted, query.get("project"))
    except TargetNotFoundError as error:
        status = _BAD_REQUEST if error.found else _NOT_FOUND
        raise RequestRefusedError(str(error), status) from None
    if view.state.get(target.key) is None:
        raise wrong_shard_error(view, target)
    return with_depth(target, query.get("depth"))


def wrong_shard_error(view: ExporterView, target: Target) -> RequestRefusedError:
    """Return the error that names the shard which probes a target."""
    shard = view.shard
    return RequestRefusedError(
        f"this is {shard}, but shard {shard.owner(target.key)} probes this server; ask that one",
        _NOT_FOUND,
    )


def with_depth(target: Target, depth: str | None) -> Target:
    """Return a copy of a target with ``depth``, or the target itself if that is None.

    Raises `RequestRefusedError` for an unknown depth.
    """
    if depth is None:
        return target
    if depth not in set(Stage):
        raise RequestRefusedError(
            f"parameter depth must be one of {', '.join(Stage)}", _BAD_REQUEST
        )
    return replace(target, depth=Stage(depth))
