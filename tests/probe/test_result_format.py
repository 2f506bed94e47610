"""A probe result as JSON and as a waterfall."""

from exporter.model import ProbeResult, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome
from exporter.probe.result_format import as_json, waterfall

DB = Target(TargetKey("southwest", "id-1"), "db-01", "r", 60.0, 10.0)
FAILED = ProbeResult(
    DB,
    1_800_000_000.0,
    Outcome.SERVER_ERROR,
    Stage.API,
    500,
    "iMetal.0099",
    "req-1",
    (StageTiming(Stage.API, 0.1234567, passed=False),),
    waited_seconds=1.5,
    detail="the API answered 500 iMetal.0099",
)


def test_json_has_the_documented_fields() -> None:
    assert as_json(FAILED) == {
        "project": "southwest",
        "server_id": "id-1",
        "server": "db-01",
        "started_at": 1_800_000_000.0,
        "outcome": "server_error",
        "verdict": "failure",
        "stage": "api",
        "status_code": 500,
        "error_code": "iMetal.0099",
        "request_id": "req-1",
        "duration_seconds": 0.123457,
        "waited_seconds": 1.5,
        "stages": [{"stage": "api", "duration_seconds": 0.123457, "passed": False, "note": ""}],
        "detail": "the API answered 500 iMetal.0099",
    }


def test_the_failed_stage_of_a_success_is_empty() -> None:
    assert as_json(ProbeResult(DB, 0.0, Outcome.SUCCESS, status_code=200))["stage"] == ""


def test_the_waterfall_shows_stages_outcome_and_request_id() -> None:
    text = waterfall(FAILED)
    for part in ("db-01", "123.5 ms", "failed", "FAILED: server_error", "req-1", "1.500 s"):
        assert part in text


def test_the_waterfall_shows_a_bar_for_a_last_stage_that_took_no_time() -> None:
    stages = (
        StageTiming(Stage.RFB, 0.2, passed=True),
        StageTiming(Stage.SECURITY, 1e-4, passed=True),
    )
    text = waterfall(ProbeResult(DB, 0.0, Outcome.SUCCESS, stages=stages))
    assert [line.count("=") for line in text.splitlines() if "|" in line] == [40, 1]


def test_the_waterfall_says_if_no_request_was_sent() -> None:
    text = waterfall(ProbeResult(DB, 0.0, Outcome.UNAUTHORIZED, Stage.API, detail="no login"))
    assert "no request was sent to the API: the login failed" in text
    assert "inconclusive: unauthorized" in text


def test_the_waterfall_names_the_stage_of_the_status() -> None:
    page = ProbeResult(
        DB,
        0.0,
        Outcome.PAGE_ERROR,
        Stage.PAGE,
        200,
        stages=(
            StageTiming(Stage.API, 0.1, passed=True),
            StageTiming(Stage.PAGE, 0.1, passed=False),
        ),
        detail="the page answered 502",
    )
    assert "  HTTP status of stage api: 200\n" in waterfall(page)
