"""Faults and quotas are read strictly: each kind with what it has, where it makes sense."""

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
_EACH = "slow hang reset drop garbage"
_HTTP = f"{_EACH} status cut empty endless gzip_bomb redirect"


def test_a_quota_is_read_whole() -> None:
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


def test_a_quota_is_counted_over_whole_seconds() -> None:
    with pytest.raises(ScenarioError, match=r"quota\.window: must be whole seconds"):
        parse_quota({"limit": 1, "window": "1500ms"}, "quota")


def test_a_fault_is_for_the_console_address_unless_it_says_otherwise() -> None:
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
        ("console_websocket", f"{_EACH} status no_upgrade"),
        ("console_rfb", f"{_EACH} endless close trickle"),
    ],
)
def test_an_operation_fails_in_the_ways_that_make_sense_for_it(operation: str, kinds: str) -> None:
    refused = []
    for kind in FaultKind:
        document = {"kind": kind.value, "operation": operation, **_NEEDED.get(kind, {})}
        try:
            fault = parse_fault(document, "faults[3]")
        except ScenarioError as error:
            assert str(error).startswith("faults[3].")  # noqa: PT017 - one of many
            refused.append(kind.value)
        else:
            assert (fault.kind, fault.operation or "any") == (kind, operation)
    assert sorted(refused) == sorted(set(FaultKind) - set(kinds.split()))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"kind": "close", "operation": "console_page"},
            (
                "f.kind: console_page fails only by status, slow, hang, reset, drop, garbage,"
                " cut, empty, endless, gzip_bomb, redirect, content_type, not close"
            ),
        ),
        ({"kind": "trickle"}, "f.kind: remote_console fails only by"),
        ({"kind": "no_upgrade", "operation": "any"}, "f.kind: any fails only by"),
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
def test_a_fault_that_makes_no_sense_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_fault(document, "f")
    assert str(caught.value).startswith(message)


def test_a_fault_of_the_console_can_be_for_some_servers_alone() -> None:
    document = {"kind": "close", "operation": "console_rfb", "servers": "db-*", "fraction": 0.5}
    assert parse_fault(document, "") == Fault(
        FaultKind.CLOSE, "db-*", 0.5, operation=Operation.CONSOLE_RFB, code=1011
    )


def test_servers_can_be_missing_in_the_list_and_in_nothing_else() -> None:
    assert parse_fault({"kind": "unlisted", "servers": "db-*"}, "") == Fault(
        FaultKind.UNLISTED, "db-*", operation=Operation.LIST_SERVERS
    )
    with pytest.raises(ScenarioError, match=r"f\.operation: unknown key"):
        parse_fault({"kind": "unlisted", "operation": "remote_console"}, "f")
