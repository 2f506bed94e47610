"""Parse faults and quotas of scenario files and of the control API."""

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
    duration,
    integer,
    number,
    one_of,
    positive_duration,
    text,
)

_MAX_COUNT = 1_000_000_000
_ANY_KINDS = {FaultKind.SLOW, FaultKind.HANG, FaultKind.RESET, FaultKind.DROP, FaultKind.GARBAGE}
_HTTP_KINDS = {
    *(FaultKind.STATUS, FaultKind.CUT, FaultKind.EMPTY, FaultKind.ENDLESS, FaultKind.GZIP_BOMB),
    FaultKind.REDIRECT,
}
_API_KINDS = {*_ANY_KINDS, *_HTTP_KINDS, FaultKind.HTML, FaultKind.BAD_JSON, FaultKind.BAD_URL}
_CONSOLE_KINDS = {
    Operation.CONSOLE_PAGE: {*_ANY_KINDS, *_HTTP_KINDS, FaultKind.CONTENT_TYPE},
    Operation.CONSOLE_WEBSOCKET: {*_ANY_KINDS, FaultKind.STATUS, FaultKind.NO_UPGRADE},
    Operation.CONSOLE_RFB: {*_ANY_KINDS, FaultKind.ENDLESS, FaultKind.CLOSE, FaultKind.TRICKLE},
}
_PER_SERVER_OPERATIONS = {Operation.REMOTE_CONSOLE, *CONSOLE_OPERATIONS}


def parse_quota(value: object, path: str) -> QuotaSpec:
    """Parse a quota from plain data; raises `ScenarioError`."""
    section = Section(value, path)
    quota = QuotaSpec(
        limit=section.need("limit", integer(1, _MAX_COUNT)),
        window=section.need("window", _whole_seconds),
        kind=section.take("kind", one_of(QuotaKind), QuotaKind.TOKEN_BUCKET),
        retry_after=section.take("retry_after", one_of(RetryAfter), RetryAfter.NONE),
        body=section.take("body", one_of(QuotaBody), QuotaBody.APIG),
        active=_span(section, path),
    )
    section.end()
    return quota


def parse_fault(value: object, path: str) -> Fault:
    """Parse a fault from plain data; raises `ScenarioError`."""
    section = Section(value, path)
    kind = section.need("kind", one_of(FaultKind))
    fault = Fault(
        kind=kind,
        project=section.take("project", text, None),
        active=_span(section, path),
        **_kind_settings(section, kind, path),
    )
    section.end()
    return fault


def _kind_settings(section: Section, kind: FaultKind, path: str) -> dict[str, Any]:
    if kind in LOGIN_FAULTS:
        return {}
    if kind is FaultKind.UNLISTED:
        return {"operation": Operation.LIST_SERVERS, **_target_servers(section)}
    return _request_fault_settings(section, kind, path)


def _target_servers(section: Section) -> dict[str, Any]:
    return {
        "servers": section.take("servers", text, None),
        "fraction": section.take("fraction", number(0, 1), None),
    }


def _request_fault_settings(section: Section, kind: FaultKind, path: str) -> dict[str, Any]:
    """Parse the settings of a fault of requests: common ones and those of its kind."""
    operation: Operation | None = section.take("operation", _operation, Operation.REMOTE_CONSOLE)
    if kind not in _kinds(operation):
        kinds = ", ".join(known for known in FaultKind if known in _kinds(operation))
        raise ScenarioError(f"{path}.kind: {operation or 'any'} supports only {kinds}, not {kind}")
    target = _target_servers(section)
    if (
        any(value is not None for value in target.values())
        and operation not in _PER_SERVER_OPERATIONS
    ):
        raise ScenarioError(
            f"{path}: servers and fraction need the operation remote_console or console_*"
        )
    settings: dict[str, Any] = {"operation": operation, **target}
    if kind is FaultKind.STATUS:
        settings["status"] = section.need("status", integer(400, 599))
    if kind is FaultKind.STATUS and operation not in CONSOLE_OPERATIONS:
        settings["error_code"] = section.take("error_code", text, None)
        settings["shape"] = section.take("shape", one_of(Shape), None)
    if kind is FaultKind.SLOW:
        settings["seconds"] = section.need("seconds", duration)
    if kind is FaultKind.CLOSE:
        settings["code"] = section.take("code", integer(1000, 4999), 1011)
    if kind in {FaultKind.REDIRECT, FaultKind.BAD_URL}:
        settings["url"] = section.take("url", text, None)
    return settings


def _kinds(operation: Operation | None) -> set[FaultKind]:
    return _API_KINDS if operation is None else _CONSOLE_KINDS.get(operation, _API_KINDS)


def _operation(value: object, path: str) -> Operation | None:
    return None if value == "any" else one_of(Operation)(value, path)


def _span(section: Section, path: str) -> Span:
    span = Span(
        start=section.take("from", duration, 0.0),
        end=section.take("until", duration, math.inf),
        every=section.take("every", positive_duration, None),
        lasting=section.take("for", positive_duration, math.inf),
    )
    if span.end <= span.start:
        raise ScenarioError(f"{path}.until: must be later than from")
    if (span.every is None) != math.isinf(span.lasting):
        raise ScenarioError(f"{path}: every and for need each other")
    if span.every is not None and span.lasting > span.every:
        raise ScenarioError(f"{path}.for: must not be longer than every")
    return span


def _whole_seconds(value: object, path: str) -> int:
    seconds = positive_duration(value, path)
    if not seconds.is_integer():
        raise ScenarioError(f"{path}: must be a whole number of seconds")
    return int(seconds)
