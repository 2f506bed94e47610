"""What goes wrong, in scenario files and over the levers: faults and quotas, when and for whom."""

import math
from typing import Any

from exporter.simulator.scenario import (
    CONSOLE_OPERATIONS,
    LOGIN_FAULTS,
    Fault,
    FaultKind,
    Operation,
    QuotaBody,
    QuotaKind,
    QuotaSpec,
    RetryAfter,
    Shape,
    Span,
)
from exporter.simulator.section import (
    ScenarioError,
    Section,
    choice,
    duration,
    number,
    some_time,
    text,
    whole,
)

_MAX_COUNT = 1_000_000_000
_OF_ALL = {FaultKind.SLOW, FaultKind.HANG, FaultKind.RESET, FaultKind.DROP, FaultKind.GARBAGE}
_OF_HTTP = {
    *(FaultKind.STATUS, FaultKind.CUT, FaultKind.EMPTY, FaultKind.ENDLESS, FaultKind.GZIP_BOMB),
    FaultKind.REDIRECT,
}
_OF_API = {*_OF_ALL, *_OF_HTTP, FaultKind.HTML, FaultKind.BAD_JSON, FaultKind.BAD_URL}
_OF_CONSOLE = {
    Operation.CONSOLE_PAGE: {*_OF_ALL, *_OF_HTTP, FaultKind.CONTENT_TYPE},
    Operation.CONSOLE_WEBSOCKET: {*_OF_ALL, FaultKind.STATUS, FaultKind.NO_UPGRADE},
    Operation.CONSOLE_RFB: {*_OF_ALL, FaultKind.ENDLESS, FaultKind.CLOSE, FaultKind.TRICKLE},
}
_ON_ONE_SERVER = {Operation.REMOTE_CONSOLE, *CONSOLE_OPERATIONS}


def parse_quota(value: object, path: str) -> QuotaSpec:
    """Make a quota of plain data; raises `ScenarioError`."""
    section = Section(value, path)
    quota = QuotaSpec(
        limit=section.need("limit", whole(1, _MAX_COUNT)),
        window=section.need("window", _whole_seconds),
        kind=section.take("kind", choice(QuotaKind), QuotaKind.TOKEN_BUCKET),
        retry_after=section.take("retry_after", choice(RetryAfter), RetryAfter.NONE),
        body=section.take("body", choice(QuotaBody), QuotaBody.APIG),
        active=_span(section, path),
    )
    section.end()
    return quota


def parse_fault(value: object, path: str) -> Fault:
    """Make a fault of plain data; raises `ScenarioError`."""
    section = Section(value, path)
    kind = section.need("kind", choice(FaultKind))
    fault = Fault(
        kind=kind,
        project=section.take("project", text, None),
        active=_span(section, path),
        **_own(section, kind, path),
    )
    section.end()
    return fault


def _own(section: Section, kind: FaultKind, path: str) -> dict[str, Any]:
    if kind in LOGIN_FAULTS:
        return {}
    if kind is FaultKind.UNLISTED:
        return {"operation": Operation.LIST_SERVERS, **_whom(section)}
    return _details(section, kind, path)


def _whom(section: Section) -> dict[str, Any]:
    return {
        "servers": section.take("servers", text, None),
        "fraction": section.take("fraction", number(0, 1), None),
    }


def _details(section: Section, kind: FaultKind, path: str) -> dict[str, Any]:
    """Read what faults of an answer have, and of the rest only what this kind has."""
    operation: Operation | None = section.take("operation", _operation, Operation.REMOTE_CONSOLE)
    if kind not in _kinds(operation):
        kinds = ", ".join(known for known in FaultKind if known in _kinds(operation))
        raise ScenarioError(f"{path}.kind: {operation or 'any'} fails only by {kinds}, not {kind}")
    whom = _whom(section)
    if any(value is not None for value in whom.values()) and operation not in _ON_ONE_SERVER:
        raise ScenarioError(
            f"{path}: only remote_console and console_* can fail for some servers alone"
        )
    details: dict[str, Any] = {"operation": operation, **whom}
    if kind is FaultKind.STATUS:
        details["status"] = section.need("status", whole(400, 599))
    if kind is FaultKind.STATUS and operation not in CONSOLE_OPERATIONS:
        details["error_code"] = section.take("error_code", text, None)
        details["shape"] = section.take("shape", choice(Shape), None)
    if kind is FaultKind.SLOW:
        details["seconds"] = section.need("seconds", duration)
    if kind is FaultKind.CLOSE:
        details["code"] = section.take("code", whole(1000, 4999), 1011)
    if kind in {FaultKind.REDIRECT, FaultKind.BAD_URL}:
        details["url"] = section.take("url", text, None)
    return details


def _kinds(operation: Operation | None) -> set[FaultKind]:
    return _OF_API if operation is None else _OF_CONSOLE.get(operation, _OF_API)


def _operation(value: object, path: str) -> Operation | None:
    return None if value == "any" else choice(Operation)(value, path)


def _span(section: Section, path: str) -> Span:
    span = Span(
        start=section.take("from", duration, 0.0),
        end=section.take("until", duration, math.inf),
        every=section.take("every", some_time, None),
        lasting=section.take("for", some_time, math.inf),
    )
    if span.end <= span.start:
        raise ScenarioError(f"{path}.until: must come after from")
    if (span.every is None) != math.isinf(span.lasting):
        raise ScenarioError(f"{path}: every and for go together")
    if span.every is not None and span.lasting > span.every:
        raise ScenarioError(f"{path}.for: must not be longer than every")
    return span


def _whole_seconds(value: object, path: str) -> int:
    seconds = some_time(value, path)
    if not seconds.is_integer():
        raise ScenarioError(f"{path}: must be whole seconds")
    return int(seconds)
