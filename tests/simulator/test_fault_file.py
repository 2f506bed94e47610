"""Faults and quotas are parsed strictly, with the settings that each kind supports."""

from typing import Any

import pytest

from exporter.simulator import ScenarioError
from exporter.simulator.fault_file import parse_fault, parse_quota
from exporter.simulator.scenario import (
    Fault,
    FaultKind,
    Operation,
    QuotaBody,
    QuotaKind,
    QuotaSpec,
    RetryAfter,
    Span,
)

_NEEDED: dict[str, dict[str, Any]] = {"status": {"status": 502}, "slow": {"seconds": 1}}
_ANY = "slow hang reset drop garbage"
_HTTP = f"{_ANY} status cut empty endless gzip_bomb redirect"


def test_all_settings_of_a_quota_are_parsed() -> None:
    document: dict[str, Any] = {
        "limit": 200,
        "window": "5m",
        "kind": "fixed_window",
        "retry_after": "date",
        "body": "imetal",
        "from": "10s",
        "until": "1h",
        "every": "2m",
        "for": 30,
    }
    assert parse_quota(document, "quota") == QuotaSpec(
        200, 300, QuotaKind.FIXED_WINDOW, RetryAfter.DATE, QuotaBody.IMETAL, Span(10, 3600, 120, 30)
    )


def test_quota_window_must_be_whole_seconds() -> None:
    with pytest.raises(ScenarioError, match=r"quota\.window: must be a whole number of seconds"):
        parse_quota({"limit": 1, "window": "1500ms"}, "quota")


def test_default_operation_of_a_fault_is_remote_console() -> None:
    assert parse_fault({"kind": "hang"}, "") == Fault(
        FaultKind.HANG, operation=Operation.REMOTE_CONSOLE
    )
    assert parse_fault({"kind": "hang", "operation": "any"}, "").operation is None


@pytest.mark.parametrize(
    ("operation", "kinds"),
    [
        ("remote_console", f"{_HTTP} html bad_json bad_url"),
        ("list_servers", f"{_HTTP} html bad_json bad_url"),
        ("any", f"{_HTTP} html bad_json bad_url"),
        ("console_page", f"{_HTTP} content_type"),
        ("console_websocket", f"{_ANY} status no_upgrade"),
        ("console_rfb", f"{_ANY} endless close trickle"),
    ],
)
def test_operation_supports_only_its_kinds_of_faults(operation: str, kinds: str) -> None:
    rejected = []
    for kind in FaultKind:
        document = {"kind": kind.value, "operation": operation, **_NEEDED.get(kind, {})}
        try:
            fault = parse_fault(document, "faults[3]")
        except ScenarioError as error:
            assert str(error).startswith("faults[3].")  # noqa: PT017 - checked for each kind
            rejected.append(kind.value)
        else:
            assert (fault.kind, fault.operation or "any") == (kind, operation)
    assert sorted(rejected) == sorted(set(FaultKind) - set(kinds.split()))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"kind": "close", "operation": "console_page"},
            (
                "f.kind: console_page supports only status, slow, hang, reset, drop, garbage,"
                " cut, empty, endless, gzip_bomb, redirect, content_type, not close"
            ),
        ),
        ({"kind": "trickle"}, "f.kind: remote_console supports only"),
        ({"kind": "no_upgrade", "operation": "any"}, "f.kind: any supports only"),
        (
            {"kind": "close", "operation": "console_rfb", "code": 999},
            "f.code: expected a whole number from 1000 to 4999, got '999'",
        ),
        ({"kind": "hang", "operation": "console_rfb", "code": 1011}, "f.code: unknown key"),
        (
            {"kind": "status", "operation": "console_page", "status": 502, "shape": "snake"},
            "f.shape: unknown key",
        ),
        ({"kind": "status", "operation": "console_websocket"}, "f.status: missing"),
        ({"kind": "iam_down", "operation": "console_page"}, "f.operation: unknown key"),
        ({"kind": "hang", "operation": "console"}, "f.operation: expected one of remote_console,"),
    ],
)
def test_invalid_fault_is_rejected(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_fault(document, "f")
    assert str(caught.value).startswith(message)


def test_console_fault_can_be_limited_to_some_servers() -> None:
    document = {"kind": "close", "operation": "console_rfb", "servers": "db-*", "fraction": 0.5}
    assert parse_fault(document, "") == Fault(
        FaultKind.CLOSE, "db-*", 0.5, operation=Operation.CONSOLE_RFB, code=1011
    )


def test_unlisted_applies_only_to_the_server_list() -> None:
    assert parse_fault({"kind": "unlisted", "servers": "db-*"}, "") == Fault(
        FaultKind.UNLISTED, "db-*", operation=Operation.LIST_SERVERS
    )
    with pytest.raises(ScenarioError, match=r"f\.operation: unknown key"):
        parse_fault({"kind": "unlisted", "operation": "remote_console"}, "f")
