"""Which servers a request asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import TypeVar

from starlette.datastructures import QueryParams

from exporter.model import Target
from exporter.state import TargetState
from exporter.web.errors import RequestRefusedError
from exporter.web.health_state import HealthState, health_state_of

_Word = TypeVar("_Word", bound=StrEnum)

_LIMIT_MAX = 10_000
_TEXT_MAX = 256
_SHOWN_MAX = 64
_BAD_REQUEST = 400
_OFTEN = ("project", "state")
_ONE = ("q", "limit", "after", "format")


@unique
class ResponseFormat(StrEnum):
    """A form to answer in."""

    JSON = "json"
    HTTP_SD = "http_sd"


@dataclass(frozen=True, slots=True)
class ServerQuery:
    """Which servers are asked for, in which form.

    Empty sets and texts ask for all. ``text`` is case-folded, ``after`` a `place`, ``limit``
    None when there is none.
    """

    projects: frozenset[str]
    states: frozenset[HealthState]
    text: str
    after: str
    limit: int | None
    form: ResponseFormat

    def wants(self, state: TargetState, now: float) -> bool:
        """Return whether a server is asked for, whatever its place."""
        target = state.target
        if self.projects and target.key.project not in self.projects:
            return False
        if self.states and health_state_of(state, now) not in self.states:
            return False
        return not self.text or any(self.text in text.casefold() for text in _texts(target))


def place(target: Target) -> str:
    """Return where a server stands in the order of all answers: ``project/server_id``."""
    return f"{target.key.project}/{target.key.server_id}"


def server_query(parameters: QueryParams) -> ServerQuery:
    """Return what a request asks for; raises `RequestRefusedError`."""
    check_parameters(parameters, once=_ONE, often=_OFTEN)
    states = (_word("state", text, HealthState) for text in parameters.getlist("state"))
    return ServerQuery(
        projects=frozenset(parameters.getlist("project")),
        states=frozenset(states),
        text=parameters.get("q", "").casefold(),
        after=parameters.get("after", ""),
        limit=_limit(parameters["limit"]) if "limit" in parameters else None,
        form=_word("format", parameters.get("format", ResponseFormat.JSON), ResponseFormat),
    )


def check_parameters(
    parameters: QueryParams, *, once: Sequence[str] = (), often: Sequence[str] = ()
) -> None:
    """Refuse parameters that are not known, given twice or too long.

    Others may ignore what they do not know. Here a filter that is misspelt would be answered
    with the whole fleet. Raises `RequestRefusedError`.
    """
    known = (*often, *once)
    there_are = f"there are {', '.join(known)}" if known else "there are none here"
    for name, text in parameters.multi_items():
        if name not in known:
            raise _refused(f"unknown parameter {name[:_SHOWN_MAX]!r}; {there_are}")
        if len(text) > _TEXT_MAX:
            raise _refused(f"parameter {name} is longer than {_TEXT_MAX} characters")
    for name in once:
        if len(parameters.getlist(name)) > 1:
            raise _refused(f"parameter {name} is given more than once")


def _texts(target: Target) -> tuple[str, ...]:
    return (target.name, target.key.server_id, *(text for _, text in target.labels))


def _word(name: str, text: str, words: type[_Word]) -> _Word:
    try:
        return words(text)
    except ValueError:
        raise _refused(f"parameter {name} must be one of {', '.join(words)}") from None


def _limit(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= _LIMIT_MAX:
        raise _refused(f"parameter limit must be a whole number from 1 to {_LIMIT_MAX}")
    return number


def _refused(message: str) -> RequestRefusedError:
    return RequestRefusedError(message, _BAD_REQUEST)
