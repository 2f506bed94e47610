"""Translate pydantic errors into findings: what was expected, what was found, how to fix it."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from exporter.config.config import (
    AgencyAuth,
    AkskAuth,
    ConfigFile,
    Console,
    Discovery,
    Global,
    PasswordAuth,
    Project,
    RateLimit,
    ServerEntry,
    Tls,
    TokenAuth,
)
from exporter.config.errors import Finding, Location
from exporter.config.files import SectionError
from exporter.config.section import known_keys
from exporter.config.value_checks import described, shown

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

# Sections by the key that leads to them, logins by their type.
SECTIONS: dict[str, type] = {
    "": ConfigFile,
    "global": Global,
    "projects": Project,
    "token": TokenAuth,
    "password": PasswordAuth,
    "aksk": AkskAuth,
    "agency": AgencyAuth,
    "rate_limit": RateLimit,
    "tls": Tls,
    "console": Console,
    "servers": ServerEntry,
    "discovery": Discovery,
}
_MESSAGES = {
    "missing": "is missing; this key is required",
    "too_short": "expected at least one entry, got none",
    "too_long": "expected at most {max_length} entries",
}
_AUTH_TYPES_TEXT = "token, password, aksk or agency"
# Mappings with keys that the user chooses, so that an error may be in a key.
_CHECKED_KEYS = ("labels", "basic_auth_users")

Sections = Mapping[str, type]


def explain(error: "ValidationError", sections: Sections = SECTIONS) -> list[Finding]:
    """Return one finding per error; ``sections`` maps the key of a section to its class."""
    errors = error.errors(include_url=False)
    above = {details["loc"][:end] for details in errors for end in range(len(details["loc"]))}
    return [_finding(details, sections) for details in errors if not _follows(details, above)]


def _follows(details: "ErrorDetails", above: set[Location]) -> bool:
    """Return whether an error is the consequence of another."""
    kind = details["type"]
    # pydantic counts only the valid items of a tuple.
    return kind == "default_factory_not_called" or (kind == "too_short" and details["loc"] in above)


def _finding(details: "ErrorDetails", sections: Sections) -> Finding:
    kind, given = details["type"], details["input"]
    location = _without_tag(details["loc"])
    if kind == "value_error":
        return _value_finding(location, details["ctx"]["error"])
    if kind == "unexpected_keyword_argument":
        return _unknown_key(details["loc"], sections)
    if kind == "union_tag_not_found" and isinstance(given, dict):
        return Finding((*location, "type"), f"is missing; expected {_AUTH_TYPES_TEXT}")
    if kind == "union_tag_invalid" and isinstance(given, dict):
        got = shown(given.get("type"))
        return Finding((*location, "type"), f"expected {_AUTH_TYPES_TEXT}, got {got}")
    if kind in _MESSAGES:
        return Finding(location, _MESSAGES[kind].format(**details.get("ctx", {})))
    shape = "a list" if kind == "tuple_type" else "a mapping"
    return Finding(location, f"expected {shape}, got {described(given)}")


def _value_finding(location: Location, error: ValueError) -> Finding:
    if isinstance(error, SectionError):
        return Finding(location[:-1], str(error))
    if location[-1] == "[key]" and location[-3:-2] and location[-3] in _CHECKED_KEYS:
        return Finding(location[:-1], str(error), on_key=True)
    return Finding(location, str(error))


def _unknown_key(location: Location, sections: Sections) -> Finding:
    *above, key = location
    finding_location = _without_tag(location)
    section = next((step for step in reversed(above) if isinstance(step, str)), "")
    keys = known_keys(sections[section])
    similar = get_close_matches(str(key)[:64], keys, n=1)
    hint = f"did you mean {similar[0]}?" if similar else f"expected one of {', '.join(keys)}"
    return Finding(finding_location, f"unknown key; {hint}", on_key=True)


def _without_tag(location: Location) -> Location:
    """Remove the login type that pydantic inserts after ``auth``."""
    if location[2:3] == ("auth",) and location[0] == "projects":
        return (*location[:3], *location[4:])
    return location
