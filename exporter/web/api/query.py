"""Parse the query parameters of the API and filter servers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import TypeVar

from starlette.datastructures import QueryParams

from exporter.model import Target
from exporter.state import TargetState
from exporter.web.errors import RequestRefusedError
from exporter.web.health_state import HealthState, health_state_of

_Member = TypeVar("_Member", bound=StrEnum)

_LIMIT_MAX = 10_000
_TEXT_MAX = 256
_SHOWN_MAX = 64
_BAD_REQUEST = 400
_REPEATABLE = ("project", "state")
_SINGLE = ("q", "limit", "after", "format")


@unique
class ResponseFormat(StrEnum):
    """Format of the list of servers."""

    JSON = "json"
    HTTP_SD = "http_sd"


@dataclass(frozen=True, slots=True)
class ServerQuery:
    """The requested servers, page and format.

    Empty sets and texts match all. ``text`` is case-folded, ``after`` is a `position`, ``limit``
    None means no limit.
    """

    projects: frozenset[str]
    states: frozenset[HealthState]
    text: str
    after: str
    limit: int | None
    response_format: ResponseFormat

    def matches(self, state: TargetState, now: float) -> bool:
        """Return whether a server matches the filters, on any page."""
        target = state.target
        if self.projects and target.key.project not in self.projects:
            return False
        if self.states and health_state_of(state, now) not in self.states:
            return False
        return not self.text or any(self.text in text.casefold() for text in _texts(target))


def position(target: Target) -> str:
    """Return the sort key of a server, which is used for paging: ``project/server_id``."""
    return f"{target.key.project}/{target.key.server_id}"


def server_query(parameters: QueryParams) -> ServerQuery:
    """Parse the query parameters of a request. Raises `RequestRefusedError`."""
    check_parameters(parameters, single=_SINGLE, repeatable=_REPEATABLE)
    states = (_member("state", text, HealthState) for text in parameters.getlist("state"))
    return ServerQuery(
        projects=frozenset(parameters.getlist("project")),
        states=frozenset(states),
        text=parameters.get("q", "").casefold(),
        after=parameters.get("after", ""),
        limit=_limit(parameters["limit"]) if "limit" in parameters else None,
        response_format=_member(
            "format", parameters.get("format", ResponseFormat.JSON), ResponseFormat
        ),
    )


def check_parameters(
    parameters: QueryParams, *, single: Sequence[str] = (), repeatable: Sequence[str] = ()
) -> None:
    """Reject parameters that are unknown, too long, or repeated although not ``repeatable``.

    Unknown parameters are not ignored, because a misspelt filter would then return the whole
    fleet. Raises `RequestRefusedError`.
    """
    known = (*repeatable, *single)
    supported = f"supported are {', '.join(known)}" if known else "this path supports none"
    for name, text in parameters.multi_items():
        if name not in known:
            raise _refused(f"unknown parameter {name[:_SHOWN_MAX]!r}; {supported}")
        if len(text) > _TEXT_MAX:
            raise _refused(f"parameter {name} is longer than {_TEXT_MAX} characters")
    for name in single:
        if len(parameters.getlist(name)) > 1:
            raise _refused(f"parameter {name} is given more than once")


def _texts(target: Target) -> tuple[str, ...]:
    return (target.name, target.key.server_id, *(text for _, text in target.labels))


def _member(name: str, text: str, values: type[_Member]) -> _Member:
    try:
        return values(text)
    except ValueError:
        raise _refused(f"parameter {name} must be one of {', '.join(values)}") from None


def _limit(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= _LIMIT_MAX:
        raise _refused(f"parameter limit must be a whole number from 1 to {_LIMIT_MAX}")
    return number


def _refused(message: str) -> RequestRefusedError:
    return RequestRefusedError(message, _BAD_REQUEST)
