"""Parse plain data strictly: the base of all models, their field types, and errors with a path."""

import re
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

_T = TypeVar("_T")

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_DURATION_LENGTH_MAX = 32
_UNITS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_SECONDS_MAX = 1e9
_SHOWN_MAX = 80
_MESSAGES = {
    "rule": "{message}",
    "missing": "missing",
    "extra_forbidden": "unknown key",
    "invalid_key": "unknown key",
    "too_short": "at least one is required",
    "greater_than": "must be greater than {gt:g}",
}
_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "enum": "one of {expected}",
    "float_type": "a number",
    "greater_than_equal": "at least {ge:g}",
    "int_type": "a whole number",
    "less_than_equal": "at most {le:g}",
    "model_type": "a mapping",
    "string_pattern_mismatch": "letters, digits, '-', '_' or '.'",
    "string_too_short": "a non-empty string",
    "string_type": "a non-empty string",
    "tuple_type": "a list",
}


class ScenarioError(Exception):
    """An invalid scenario; the message names the path and what was expected."""


class Section(BaseModel):
    """A mapping of a scenario, which rejects unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _SECONDS_MAX:
        return float(value)
    is_short = isinstance(value, str) and len(value) <= _DURATION_LENGTH_MAX
    found = _DURATION.fullmatch(str(value)) if is_short else None
    if not found or not any(found.groups()):
        raise PydanticCustomError("duration", "a duration such as 30s, 1h30m or 0.5")
    return sum(int(count) * unit for count, unit in zip(found.groups(0), _UNITS, strict=True))


def _whole_seconds(value: object) -> int:
    seconds = _seconds(value)
    if not seconds.is_integer():
        raise wrong("must be a whole number of seconds")
    return int(seconds)


def _not_null(value: object) -> object:
    if value is None:
        raise PydanticCustomError("null", "a value")
    return value


Text = Annotated[str, Field(strict=True, min_length=1)]
Identifier = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9._-]{1,128}$")]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
Seconds = Annotated[float, BeforeValidator(_seconds)]
"""Seconds, as a number or in Prometheus' format: ``1h30m``, ``80ms``."""
PositiveSeconds = Annotated[Seconds, Field(gt=0)]
WholeSeconds = Annotated[int, BeforeValidator(_whole_seconds), Field(gt=0)]
NOT_NULL = BeforeValidator(_not_null)
"""Reject ``null`` in a field whose default is None."""


def wrong(message: str, key: str = "") -> PydanticCustomError:
    """Return the error of a value, or of its key ``key``, for validators to raise."""
    return PydanticCustomError("rule", "{message}", {"message": message, "key": key})


def parse(kind: type[_T], document: object, path: str = "") -> _T:
    """Return plain data at ``path`` as a value; raises `ScenarioError` at the first error."""
    try:
        return TypeAdapter(kind).validate_python(document, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ScenarioError(_explained(error.errors(include_url=False)[0], path)) from None


def _explained(error: ErrorDetails, path: str) -> str:
    kind, context = error["type"], error.get("ctx", {})
    for step in (*error["loc"], context.get("key", "")):
        if isinstance(step, int):
            path += f"[{step}]"
        elif step and step != "[key]":
            path += f".{step}" if path else step
    if kind in _MESSAGES:
        return f"{path}: {_MESSAGES[kind].format(**context)}"
    if kind == "enum":
        context["expected"] = context["expected"].replace("'", "").replace(" or ", ", ")
    expected = _EXPECTED.get(kind, error["msg"]).format(**context)
    return f"{path or 'document'}: expected {expected}, got {str(error['input'])[:_SHOWN_MAX]!r}"
