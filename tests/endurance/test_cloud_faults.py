"""Tests of concurrent faults: each project's cloud fails in its own way, one stays healthy.

`Environment.run_faults` asserts that other projects are unaffected, that all recover in time, and
that no resources leak.
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
    DEEP_PROJECT,
    LOGIN,
    LOGIN_RECOVERY_SECONDS,
    QUOTA,
    TIMEOUT,
    TO_CLOUD,
    Environment,
    Fault,
    Observation,
    environment,
)
from tests.real.machine_stalls import retry_until_undisturbed
from tests.real.nginx import nginx, passing
from tests.real.programs import Program

pytestmark = pytest.mark.alone

GATED = ("down", "resets", "stopped", "forgotten", "untrusted", "renewed")
PROJECTS = dict.fromkeys((*GATED, "slow", LOGIN, DEEP_PROJECT), 4) | {QUOTA: 6}
EXPIRY = "console_tls_certificate_expiry_timestamp_seconds"
REACHABLE = "console_api_reachable"
FAILURES = "console_probe_failures_total"
ENDS = datetime.now(UTC).replace(microsecond=0) + timedelta(days=5)
# After a quota cut the rate rises slowly until every server has been probed.
QUOTA_RECOVERY_SECONDS = 100.0


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Observation]:
    """Return the metrics of each project before, during and after its fault."""
    folders = [
        tmp_path_factory.mktemp(name) for name in ("environment", "stopped", "other", "renewed")
    ]
    return retry_until_undisturbed(lambda: _run_faults(*folders))


@pytest.mark.parametrize("project", ["down", "resets", "stopped", "untrusted"])
def test_an_unreachable_cloud_changes_no_verdict(
    seen: dict[str, Observation], project: str
) -> None:
    one = seen[project]
    assert set(one.outcomes) == {"unreachable"}
    assert one.verdicts == {1}
    assert one.during.total(REACHABLE, project=project) == 0
    assert one.after.total(REACHABLE, project=project) == 1


def test_a_half_open_connection_fails_at_most_one_probe(
    seen: dict[str, Observation],
) -> None:
    assert set(seen["forgotten"].around) == {"success", "timeout"}
    assert seen["forgotten"].around["timeout"] <= PROJECTS["forgotten"]
    assert set(seen["forgotten"].outcomes) == {"success"}


def test_slow_responses_are_slow_successes(seen: dict[str, Observation]) -> None:
    assert set(seen["slow"].around) == {"success"}
    took = "console_probe_duration_seconds"
    assert all(
        0.3 < seconds < TIMEOUT for seconds in seen["slow"].during.each(took, "slow").values()
    )
    assert all(seconds < 0.3 for seconds in seen["slow"].after.each(took, "slow").values())


def test_a_renewed_certificate_changes_the_expiry_metric(
    seen: dict[str, Observation],
) -> None:
    assert set(seen["renewed"].outcomes) == {"success"}
    assert seen["renewed"].during.total(EXPIRY, project="renewed") == ENDS.timestamp()
    assert seen["renewed"].after.total(EXPIRY, project="renewed") != ENDS.timestamp()


@pytest.mark.parametrize(
    ("project", "outcomes"),
    [(LOGIN, {"unauthorized"}), (QUOTA, {"success", "throttled", "skipped"})],
)
def test_failed_logins_and_quotas_change_no_verdict(
    seen: dict[str, Observation], project: str, outcomes: set[str]
) -> None:
    one = seen[project]
    assert set(one.outcomes) <= outcomes
    assert one.outcomes.keys() & {"unauthorized", "throttled", "skipped"}
    assert one.verdicts == {1}
    assert one.after.each(FAILURES, project) == one.before.each(FAILURES, project)


def _run_faults(
    environment_folder: Path, stopped_folder: Path, other_folder: Path, renewed_folder: Path
) -> dict[str, Observation]:
    with ExitStack() as running:
        ours = running.enter_context(environment(environment_folder, PROJECTS, GATED))
        good = ours.certificates
        stopped = running.enter_context(
            _front(ours, stopped_folder, good.write_good(stopped_folder))
        )
        other = running.enter_context(
            _front(ours, other_folder, Certificates().write_good(other_folder))
        )
        renewed = running.enter_context(
            _front(ours, renewed_folder, good.write_good(renewed_folder, not_after=ENDS))
        )
        # Through its own nginx from the start, so that open connections stop.
        running.enter_context(ours.gates["stopped"].redirected_to(_port(stopped)))
        faults = {
            "down": Fault(ours.gates["down"].closed()),
            "resets": Fault(ours.gates["resets"].resetting()),
            "stopped": Fault(_halted(stopped)),
            "forgotten": Fault(ours.gates["forgotten"].half_open()),
            "untrusted": Fault(ours.gates["untrusted"].redirected_to(_port(other))),
            "renewed": Fault(ours.gates["renewed"].redirected_to(_port(renewed))),
            "slow": Fault(ours.cloud_fault("slow", kind="slow", seconds=0.3)),
            LOGIN: Fault(ours.cloud_fault(LOGIN, kind="iam_down"), LOGIN_RECOVERY_SECONDS),
            QUOTA: Fault(ours.quota(QUOTA, limit=1, window=2), QUOTA_RECOVERY_SECONDS),
        }
        # Tokens expire within 3 s.
        return ours.run_faults(faults, settle=4.5)


@contextmanager
def _front(ours: Environment, folder: Path, pem: PemFiles) -> Iterator[Program]:
    """Run another nginx in front of the cloud."""
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
