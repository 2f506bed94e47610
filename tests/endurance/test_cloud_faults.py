"""Every project's cloud fails in a way of its own, all at once; one project's never does.

That others are left alone, that all are well again in time, and that nothing stays behind, is
asserted where the faults come and go.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.real.certificates import Certificates, PemFiles
from tests.real.endurance import (
    LOGIN,
    LOGIN_PATIENCE,
    QUOTA,
    TIMEOUT,
    TO_CLOUD,
    WITNESS,
    Fault,
    Seen,
    Stage,
    stage,
)
from tests.real.nginx import nginx, passing
from tests.real.programs import Program
from tests.real.standstill import undisturbed

pytestmark = pytest.mark.alone

GATED = ("down", "resets", "stopped", "forgotten", "untrusted", "renewed")
PROJECTS = dict.fromkeys((*GATED, "slow", LOGIN, WITNESS), 4) | {QUOTA: 6}
EXPIRY = "console_tls_certificate_expiry_timestamp_seconds"
FAILURES = "console_probe_failures_total"
ENDS = datetime.now(UTC).replace(microsecond=0) + timedelta(days=5)
# The pace rises slowly after a quota was cut, yet everybody gets a turn.
QUOTA_PATIENCE = 100.0


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """Return what the metrics showed of each project while its fault came and went."""
    folders = [tmp_path_factory.mktemp(name) for name in ("stage", "stopped", "other", "renewed")]
    return undisturbed(lambda: _endured(*folders))


@pytest.mark.parametrize(
    ("project", "outcomes"),
    [
        ("down", {"connect_error"}),
        ("resets", {"connect_error", "tls_error", "protocol_error"}),
        ("stopped", {"timeout"}),
        ("untrusted", {"tls_error"}),
    ],
)
def test_what_cannot_be_reached_is_a_failure_of_its_kind(
    seen: dict[str, Seen], project: str, outcomes: set[str]
) -> None:
    assert seen[project].outcomes
    assert set(seen[project].outcomes) <= outcomes
    assert seen[project].verdicts == {0}


def test_kept_connections_that_the_peer_forgot_cost_one_probe_each(seen: dict[str, Seen]) -> None:
    assert set(seen["forgotten"].around) == {"success", "timeout"}
    assert seen["forgotten"].around["timeout"] <= PROJECTS["forgotten"]
    assert set(seen["forgotten"].outcomes) == {"success"}


def test_slow_answers_are_successes_that_took_long(seen: dict[str, Seen]) -> None:
    assert set(seen["slow"].around) == {"success"}
    took = "console_probe_duration_seconds"
    assert all(
        0.3 < seconds < TIMEOUT for seconds in seen["slow"].during.each(took, "slow").values()
    )
    assert all(seconds < 0.3 for seconds in seen["slow"].after.each(took, "slow").values())


def test_a_renewed_certificate_is_a_success_with_another_expiry(seen: dict[str, Seen]) -> None:
    assert set(seen["renewed"].outcomes) == {"success"}
    assert seen["renewed"].during.total(EXPIRY, project="renewed") == ENDS.timestamp()
    assert seen["renewed"].after.total(EXPIRY, project="renewed") != ENDS.timestamp()


@pytest.mark.parametrize(
    ("project", "outcomes"),
    [(LOGIN, {"unauthorized"}), (QUOTA, {"success", "throttled", "skipped"})],
)
def test_what_says_nothing_of_the_consoles_turns_none_of_them(
    seen: dict[str, Seen], project: str, outcomes: set[str]
) -> None:
    one = seen[project]
    assert set(one.outcomes) <= outcomes
    assert one.outcomes.keys() & {"unauthorized", "throttled", "skipped"}
    assert one.verdicts == {1}
    assert one.after.each(FAILURES, project) == one.before.each(FAILURES, project)


def _endured(of_stage: Path, of_stopped: Path, of_other: Path, of_renewed: Path) -> dict[str, Seen]:
    with ExitStack() as running:
        ours = running.enter_context(stage(of_stage, PROJECTS, GATED))
        good = ours.certificates
        stopped = running.enter_context(_front(ours, of_stopped, good.write_good(of_stopped)))
        other = running.enter_context(_front(ours, of_other, Certificates().write_good(of_other)))
        renewed = running.enter_context(
            _front(ours, of_renewed, good.write_good(of_renewed, not_after=ENDS))
        )
        # Through its own nginx from the beginning, so that it is connections in use that stop.
        running.enter_context(ours.gates["stopped"].led_to(_port(stopped)))
        faults = {
            "down": Fault(ours.gates["down"].shut()),
            "resets": Fault(ours.gates["resets"].resetting()),
            "stopped": Fault(_halted(stopped)),
            "forgotten": Fault(ours.gates["forgotten"].half_open()),
            "untrusted": Fault(ours.gates["untrusted"].led_to(_port(other))),
            "renewed": Fault(ours.gates["renewed"].led_to(_port(renewed))),
            "slow": Fault(ours.cloud_fault("slow", kind="slow", seconds=0.3)),
            LOGIN: Fault(ours.cloud_fault(LOGIN, kind="iam_down"), LOGIN_PATIENCE),
            QUOTA: Fault(ours.quota(QUOTA, limit=1, window=2), QUOTA_PATIENCE),
        }
        # The tokens end within 3 s.
        return ours.endure(faults, settle=4.5)


@contextmanager
def _front(ours: Stage, folder: Path, pem: PemFiles) -> Iterator[Program]:
    """Run one more nginx before the cloud."""
    with nginx(folder, pem, passing("/", ours.cloud.url, TO_CLOUD)) as front:
        yield front


def _port(front: Program) -> int:
    return httpx.URL(front.url).port or 0


@contextmanager
def _halted(front: Program) -> Iterator[None]:
    pid = front.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
