"""Texts for times, durations, throttle and login."""

from dataclasses import replace

import pytest

from exporter.model import ProbeResult, ProjectStatus, Stage
from exporter.outcome import Outcome
from exporter.web.pages.project_text import project_text
from exporter.web.pages.text import clock_text, duration_text, outcome_text
from tests.web.fake_exporter import NOW, result, target

QUIET = ProjectStatus("southwest", "cn-southwest-2", 5.0, 5.0, 0)
DB = target("db-01")


@pytest.mark.parametrize(
    ("status", "text", "slowed"),
    [
        (QUIET, "up to 5 requests per second", False),
        (
            replace(QUIET, limit=2.1, queue_length=3, resume_at=NOW + 10),
            (
                "slowed to 2.1 of 5 requests per second; 3 waiting;"
                " paused until 08:00:10 UTC after a 429"
            ),
            True,
        ),
        (
            replace(QUIET, limit=0.25, queue_length=1, resume_at=NOW - 10),
            (
                "slowed to 0.25 of 5 requests per second; 1 waiting;"
                " resumed at 07:59:50 UTC after a 429"
            ),
            True,
        ),
        (replace(QUIET, resume_at=NOW - 600), "up to 5 requests per second", False),
    ],
)
def test_throttle_text(status: ProjectStatus, text: str, slowed: bool) -> None:  # noqa: FBT001
    project = project_text(status, None, NOW)
    assert (project.throttle, project.slowed) == (text, slowed)


REFUSED = result(DB, Outcome.UNAUTHORIZED, detail="IAM answered 401: wrong password")


@pytest.mark.parametrize(
    ("expires_at", "evidence", "text"),
    [
        (None, None, "not logged in yet"),
        (None, result(DB), "login accepted"),
        (NOW + 3600, result(DB), "logged in until 09:00:00 UTC"),
        (NOW + 86_400, None, "logged in until 2027-01-16 08:00:00 UTC"),
        (NOW - 1, None, "login expired at 07:59:59 UTC"),
        (NOW + 3600, REFUSED, "login failed: IAM answered 401: wrong password"),
    ],
)
def test_login_text(expires_at: float | None, evidence: ProbeResult | None, text: str) -> None:
    project = project_text(replace(QUIET, login_expires_at=expires_at), evidence, NOW)
    assert (project.login, project.refused) == (text, evidence is REFUSED)


@pytest.mark.parametrize(
    ("reachable", "text"),
    [(None, ""), (True, ""), (False, "the exporter gets no answer from the API")],
)
def test_an_api_without_an_answer_is_told(reachable: bool | None, text: str) -> None:  # noqa: FBT001
    project = project_text(replace(QUIET, api_reachable=reachable), None, NOW)
    assert project.api.partition(",")[0] == text
    assert project.unreachable is (reachable is False)


def test_only_some_results_show_the_login_status() -> None:
    shown = {outcome: result(DB, outcome).login_works for outcome in Outcome}
    assert {outcome for outcome, works in shown.items() if works} == {
        Outcome.SUCCESS,
        Outcome.NOT_FOUND,
        Outcome.NOT_READY,
        Outcome.BAD_REQUEST,
        Outcome.FORBIDDEN,
    }
    assert {outcome for outcome, works in shown.items() if works is False} == {Outcome.UNAUTHORIZED}
    # The API had already returned a console address.
    assert replace(result(DB, Outcome.TIMEOUT), failed_stage=Stage.PAGE).login_works
    # This may be the fault of one server.
    assert replace(result(DB, Outcome.UNAUTHORIZED), status_code=401).login_works is None


def test_times_of_another_day_include_the_date() -> None:
    assert clock_text(NOW, NOW) == "08:00:00 UTC"
    assert clock_text(NOW - 86_400, NOW) == "2027-01-14 08:00:00 UTC"


def test_durations_below_a_second_are_milliseconds() -> None:
    assert (duration_text(0.0124), duration_text(1.5)) == ("12 ms", "1.50 s")


def test_outcome_text_names_the_stage_once() -> None:
    timeout = result(DB, Outcome.TIMEOUT)
    assert outcome_text(timeout) == "timeout at api"
    rejected = replace(timeout, outcome=Outcome.WEBSOCKET_REJECTED, failed_stage=Stage.WEBSOCKET)
    assert outcome_text(rejected) == "websocket rejected"
    assert outcome_text(result(DB, Outcome.THROTTLED)) == "throttled"
