"""Times, durations, and how throttle and login stand, in words."""

from dataclasses import replace

import pytest

from exporter.model import ProbeResult, ProjectStatus, Stage
from exporter.outcome import Outcome
from exporter.web.pages.project_text import project_text, tells_of_login
from exporter.web.pages.text import ago_text, clock_text, duration_text, outcome_text
from tests.web.pages.fleet_in_memory import NOW, result, target

QUIET = ProjectStatus("southwest", "cn-southwest-2", 5.0, 5.0, 0)
DB = target("db-01")


@pytest.mark.parametrize(
    ("status", "words", "slowed"),
    [
        (QUIET, "asks at up to 5 requests a second", False),
        (
            replace(QUIET, limit=2.1, queue_length=3, resume_at=NOW + 10),
            (
                "asks at 2.1 of 5 requests a second; 3 wait;"
                " the cloud said 429, asking again at 08:00:10 UTC"
            ),
            True,
        ),
        (
            replace(QUIET, limit=0.25, queue_length=1, resume_at=NOW - 10),
            (
                "asks at 0.25 of 5 requests a second; 1 waits;"
                " still slow after a 429, asking again since 07:59:50 UTC"
            ),
            True,
        ),
        (replace(QUIET, resume_at=NOW - 600), "asks at up to 5 requests a second", False),
    ],
)
def test_the_throttle_in_words(status: ProjectStatus, words: str, slowed: bool) -> None:  # noqa: FBT001
    told = project_text(status, None, NOW)
    assert (told.throttle, told.slowed) == (words, slowed)


REFUSED = result(DB, Outcome.UNAUTHORIZED, detail="IAM answered 401: wrong password")


@pytest.mark.parametrize(
    ("expires_at", "evidence", "words"),
    [
        (None, None, "not logged in yet"),
        (None, result(DB), "log-in accepted"),
        (NOW + 3600, result(DB), "logged in until 09:00:00 UTC"),
        (NOW + 86_400, None, "logged in until 2027-01-16 08:00:00 UTC"),
        (NOW - 1, None, "log-in ended at 07:59:59 UTC"),
        (NOW + 3600, REFUSED, "log-in refused: IAM answered 401: wrong password"),
    ],
)
def test_the_login_in_words(
    expires_at: float | None, evidence: ProbeResult | None, words: str
) -> None:
    told = project_text(replace(QUIET, login_expires_at=expires_at), evidence, NOW)
    assert (told.login, told.refused) == (words, evidence is REFUSED)


def test_only_some_results_tell_of_the_login() -> None:
    telling = {outcome for outcome in Outcome if tells_of_login(result(DB, outcome))}
    assert telling == {
        Outcome.SUCCESS,
        Outcome.NOT_FOUND,
        Outcome.NOT_READY,
        Outcome.BAD_REQUEST,
        Outcome.FORBIDDEN,
        Outcome.UNAUTHORIZED,
    }
    # An address was handed out before the console failed.
    assert tells_of_login(replace(result(DB, Outcome.TIMEOUT), failed_stage=Stage.PAGE))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7200, "2 h ago"),
        (2e5, "2 days ago"),
    ],
)
def test_ages_are_as_coarse_as_people_say_them(seconds: float, words: str) -> None:
    assert ago_text(seconds) == words


def test_times_of_another_day_have_their_date() -> None:
    assert clock_text(NOW, NOW) == "08:00:00 UTC"
    assert clock_text(NOW - 86_400, NOW) == "2027-01-14 08:00:00 UTC"


def test_durations_are_milliseconds_below_a_second() -> None:
    assert (duration_text(0.0124), duration_text(1.5)) == ("12 ms", "1.50 s")


def test_an_outcome_is_told_with_its_stage_once() -> None:
    timeout = result(DB, Outcome.TIMEOUT)
    assert outcome_text(timeout) == "timeout at api"
    rejected = replace(timeout, outcome=Outcome.WEBSOCKET_REJECTED, failed_stage=Stage.WEBSOCKET)
    assert outcome_text(rejected) == "websocket rejected"
    assert outcome_text(result(DB, Outcome.THROTTLED)) == "throttled"
