"""Faults and quotas: when they are active, and which settings they support."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator import ScenarioError
from exporter.simulator.scenario import (
    Fault,
    FaultKind,
    Operation,
    QuotaBody,
    QuotaKind,
    QuotaSpec,
    RetryAfter,
    Scheduled,
)
from exporter.simulator.section import parse

_NEEDED: dict[str, dict[str, Any]] = {"status": {"status": 502}, "slow": {"seconds": 1}}
_ANY = "slow hang reset drop garbage"
_HTTP = f"{_ANY} status cut empty endless gzip_bomb redirect"
_SECONDS = st.integers(0, 500)


def test_default_span_contains_all_times() -> None:
    assert Scheduled().active_at(0)
    assert Scheduled().active_at(1e9)


def test_recurring_span_covers_the_start_of_each_period() -> None:
    scheduled = Scheduled(start=20, every=120, lasting=30)
    active = [now for now in range(300) if scheduled.active_at(now)]
    assert active == [*range(20, 50), *range(140, 170), *range(260, 290)]


def test_last_start_is_returned_after_the_span_has_ended() -> None:
    assert Scheduled(start=20, end=30).last_start(1000) == 20
    assert Scheduled(start=20, end=300, every=100, lasting=1).last_start(1000) == 220
    assert Scheduled(start=20).last_start(19.9) is None


@given(start=_SECONDS, length=st.integers(1, 500), every=st.integers(1, 60), now=_SECONDS)
def test_span_contains_only_times_within_its_bounds(
    start: int, length: int, every: int, now: int
) -> None:
    scheduled = Scheduled(start=start, end=start + length, every=every, lasting=every / 2)
    inside = start <= now < start + length
    assert scheduled.active_at(now) == (inside and (now - start) % every < every / 2)


@given(start=_SECONDS, every=st.integers(1, 60), now=_SECONDS)
def test_last_start_is_within_one_period(start: int, every: int, now: int) -> None:
    last_start = Scheduled(start=start, every=every, lasting=every).last_start(now)
    if now < start:
        assert last_start is None
    else:
        assert last_start is not None
        assert 0 <= now - last_start < every


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
    assert parse(QuotaSpec, document, "quota") == QuotaSpec(
        limit=200,
        window=300,
        kind=QuotaKind.FIXED_WINDOW,
        retry_after=RetryAfter.DATE,
        body=QuotaBody.IMETAL,
        start=10,
        end=3600,
        every=120,
        lasting=30,
    )


def test_quota_window_must_be_whole_seconds() -> None:
    with pytest.raises(ScenarioError, match=r"quota\.window: must be a whole number of seconds"):
        parse(QuotaSpec, {"limit": 1, "window": "1500ms"}, "quota")


def test_default_operation_of_a_fault_is_remote_console() -> None:
    assert parse(Fault, {"kind": "hang"}, "") == Fault(
        kind=FaultKind.HANG, operation=Operation.REMOTE_CONSOLE
    )
    assert parse(Fault, {"kind": "hang", "operation": "any"}, "").operation is Operation.ANY


@pytest.mark.parametrize(
    ("operation", "kinds"),
    [
        ("remote_console", f"{_HTTP} html bad_json bad_url"),
        ("list_servers", f"{_HTTP} html bad_json bad_url"),
        ("any", f"{_HTTP} html bad_json bad_url"),
        ("console_page", f"{_HTTP} content_type"),
        ("console_websocket", f"{_ANY} status no_upgrade"),
        ("console_rfb", f"{_ANY} endless close trickle refuse busy"),
    ],
)
def test_operation_supports_only_its_kinds_of_faults(operation: str, kinds: str) -> None:
    rejected = []
    for kind in FaultKind:
        document = {"kind": kind.value, "operation": operation, **_NEEDED.get(kind, {})}
        try:
            fault = parse(Fault, document, "faults[3]")
        except ScenarioError as error:
            assert str(error).startswith("faults[3].")  # noqa: PT017 - checked for each kind
            rejected.append(kind.value)
        else:
            assert (fault.kind, fault.operation) == (kind, operation)
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
            "f.code: expected at least 1000, got '999'",
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
        parse(Fault, document, "f")
    assert str(caught.value).startswith(message)


def test_console_fault_can_be_limited_to_some_servers() -> None:
    document = {"kind": "close", "operation": "console_rfb", "servers": "db-*", "fraction": 0.5}
    assert parse(Fault, document, "") == Fault(
        kind=FaultKind.CLOSE,
        servers="db-*",
        fraction=0.5,
        operation=Operation.CONSOLE_RFB,
        code=1011,
    )


def test_unlisted_supports_no_operation() -> None:
    assert parse(Fault, {"kind": "unlisted", "servers": "db-*"}, "") == Fault(
        kind=FaultKind.UNLISTED, servers="db-*"
    )
    with pytest.raises(ScenarioError, match=r"f\.operation: unknown key"):
        parse(Fault, {"kind": "unlisted", "operation": "remote_console"}, "f")
