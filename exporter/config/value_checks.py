"""Check single values and convert them.

Every check raises `ValueError`, whose message says what was expected and how to write it. The
message repeats the value only if it cannot be a secret: never a value from the environment, never
the value of a secret field.
"""

import re
from collections.abc import Callable
from typing import Any

from exporter.config.duration import format_duration, parse_duration
from exporter.config.environment import Expanded, Plain
from exporter.config.host_pattern import HostPattern
from exporter.config.url_rules import is_host
from exporter.model import Stage

Check = Callable[[object], Any]

AUTO = "auto"
"""Find the WebSocket path by trying the known ones."""
PATH_NAMES = ("server_name", "server_id", "region")
"""Placeholders of a WebSocket path template, written in braces."""

RESERVED_LABELS = (
    *("project", "server_id", "server", "region", "depth"),
    *("power_state", "health_state"),
)

SERVER_ID = r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$"
SERVER_NAME_MAX = 128
LABEL_VALUE_MAX = 256

LABEL_SOURCE = r"^(location|tags)\..{1,128}$"

_SHOWN_MAX = 64
_REGEX_MAX = 512
_PATH = re.compile(r"/[!-\[\]-~]{0,511}")


def described(value: object) -> str:
    """Return what a value is, for messages: a mapping, a list, text or nothing."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else "text"


def shown(value: object) -> str:
    """Return a value for a message: short, on one line, never from the environment."""
    if not isinstance(value, str):
        return described(value)
    if isinstance(value, Expanded):
        return "another value from the environment"
    short = value if len(value) <= _SHOWN_MAX else value[:_SHOWN_MAX] + "…"
    return repr(str(short))


def text_of(value: object, expected: str) -> str:
    """Return a value's text; an unquoted number or ``on`` is the text as written."""
    if isinstance(value, str):
        return str(value)
    raise ValueError(f"expected {expected}, got {described(value)}")


def matching(pattern: str, expected: str) -> Check:
    """Return a check for text that matches a pattern."""
    whole = re.compile(pattern)

    def check(value: object) -> str:
        text = text_of(value, expected)
        if not whole.fullmatch(text):
            raise ValueError(f"expected {expected}, got {shown(value)}")
        return text

    return check


def printable(limit: int, *, without: str = "") -> Check:
    """Return a check for 1 to ``limit`` printable characters without surrounding spaces."""
    expected = f"1 to {limit} printable characters without leading or trailing spaces"
    if without:
        expected += f", and without {without}"

    def check(value: object) -> str:
        text = text_of(value, "text")
        if (
            not 0 < len(text) <= limit
            or not text.isprintable()
            or text != text.strip()
            or any(character in without for character in text)
        ):
            raise ValueError(f"expected {expected}, got {shown(value)}")
        return text

    return check


server_id = matching(SERVER_ID, "an id of 1 to 64 letters, digits, dots, - or _")
server_name = printable(SERVER_NAME_MAX)
_label_text = printable(LABEL_VALUE_MAX)


def label_value(value: object) -> str:
    """Check a label value, which may be empty."""
    return "" if value == "" else str(_label_text(value))


def label_name(value: object) -> str:
    """Check a label name."""
    text = str(matching(r"^[a-zA-Z_][a-zA-Z0-9_]{0,127}$", "a label name such as rack_id")(value))
    if text.startswith("__"):
        raise ValueError(
            "expected a label name that does not begin with __, which Prometheus reserves"
        )
    if text in RESERVED_LABELS:
        raise ValueError(
            f"expected another label name; the exporter uses {', '.join(RESERVED_LABELS)}"
        )
    return text


def project_name(value: object) -> str:
    """Check a project's name, which is used as a label and in the paths of status pages."""
    text = str(printable(64, without="/")(value))
    if text in {".", ".."}:
        raise ValueError(f"expected a name other than . and .., got {shown(value)}")
    return text


def duration(low: float, high: float) -> Check:
    """Return a check for durations from ``low`` to ``high`` seconds."""
    bounds = f"from {format_duration(low)} to {format_duration(high)}"

    def check(value: object) -> float:
        if isinstance(value, float):
            # Inherited from another section, where it has been checked.
            return value
        expected = "a duration such as 30s or 1h30m"
        text = text_of(value, expected)
        try:
            seconds = parse_duration(text)
        except ValueError:
            hint = "; add a unit, such as s" if text.isdigit() else ""
            raise ValueError(f"expected {expected}, got {shown(value)}{hint}") from None
        if not low <= seconds <= high:
            raise ValueError(f"expected a duration {bounds}, got {shown(value)}")
        return seconds

    return check


def number(low: float, high: float) -> Check:
    """Return a check for decimal numbers from ``low`` to ``high``."""
    pattern = re.compile(r"[0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15}")
    return _number(pattern, float, low, high, f"a number from {low:g} to {high:g}")


def whole_number(low: int, high: int) -> Check:
    """Return a check for whole numbers; a leading zero is rejected, because it may mean octal."""
    pattern = re.compile(r"0|[1-9][0-9]{0,14}")
    return _number(pattern, int, low, high, f"a whole number from {low} to {high}")


def _number(
    pattern: re.Pattern[str],
    convert: Callable[[str], float],
    low: float,
    high: float,
    expected: str,
) -> Check:
    def check(value: object) -> float:
        text = text_of(value, expected)
        if not isinstance(value, Plain):
            message = f"expected {expected}, got text in quotes; remove the quotes"
            raise ValueError(message)  # noqa: TRY004 - pydantic collects only ValueError
        if not pattern.fullmatch(text) or not low <= convert(text) <= high:
            raise ValueError(f"expected {expected}, got {shown(value)}")
        return convert(text)

    return check


def switch(value: object) -> bool:
    """Check a boolean: ``true`` or ``false``."""
    if not isinstance(value, Plain) or value not in {"true", "false"}:
        raise ValueError(f"expected true or false, got {shown(value)}")
    return value == "true"


def depth(value: object) -> Stage:
    """Check the depth of a probe."""
    expected = f"one of {', '.join(Stage)}"
    text = text_of(value, expected)
    if text not in set(Stage):
        raise ValueError(f"expected {expected}, got {shown(value)}")
    return Stage(text)


def host(value: object) -> str:
    """Check a host name or IP address."""
    text = text_of(value, "a host name")
    if not is_host(text):
        raise ValueError(f"expected a host name or IP address, got {shown(value)}")
    return text


def host_pattern(value: object) -> HostPattern:
    """Check an entry of ``allowed_hosts``."""
    expected = "a host such as console.example.com, *.example.com, 192.0.2.7 or 10.0.0.0/8"
    text = text_of(value, expected)
    try:
        return HostPattern.parse(text)
    except ValueError as error:
        raise ValueError(f"expected {expected}, optionally with :port; {error}") from None


def websocket_path(value: object) -> str:
    """Check the WebSocket path of consoles: ``auto`` or a template."""
    names = ", ".join(f"{{{name}}}" for name in PATH_NAMES)
    expected = f"{AUTO}, or a path such as /vnc/{{server_name}}/websockify"
    text = text_of(value, expected)
    if text == AUTO:
        return text
    if not _PATH.fullmatch(text) or text.startswith("//") or "#" in text:
        raise ValueError(f"expected {expected}, got {shown(value)}")
    fixed_text = re.sub(rf"\{{({'|'.join(PATH_NAMES)})\}}", "", text)
    if "{" in fixed_text or "}" in fixed_text:
        raise ValueError(f"expected {expected}, with only {names}; got {shown(value)}")
    return text


def origin(read: Callable[[str], str]) -> Check:
    """Return a check for URLs; ``read`` parses the text."""
    return lambda value: read(text_of(value, "a URL such as https://host"))


def name_regex(value: object) -> re.Pattern[str]:
    """Check a regular expression that matches names."""
    expected = f"a regular expression of at most {_REGEX_MAX} characters"
    text = text_of(value, expected)
    if len(text) > _REGEX_MAX:
        raise ValueError(f"expected {expected}")
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        # The error quotes the text, so it is left out for values from the environment.
        reason = "" if isinstance(value, Expanded) else f": {error}"
        raise ValueError(f"expected a regular expression, got {shown(value)}{reason}") from None


def label_source(value: object) -> str:
    """Check the name of a field in the cloud's record that is used as a label."""
    text = text_of(value, "a field such as location.rack or tags.team")
    if not re.fullmatch(LABEL_SOURCE, text) or not text.isprintable():
        raise ValueError(f"expected a field such as location.rack or tags.team, got {shown(value)}")
    return text
