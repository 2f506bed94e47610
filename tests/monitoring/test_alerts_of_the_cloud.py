"""Alerts about what the cloud does for a project: its API, its quota, logins, certificates."""

from pathlib import Path

from tests.monitoring.promtool import ONE, Story, counting, firing, judge, level, value

UNAVAILABLE = firing("ConsoleApiUnavailable", "critical", project="southwest")
SLOW = firing("ConsoleApiSlow", "warning", project="southwest")
AUTH = firing("ConsoleAuthFailing", "critical", project="southwest")
TOKEN = firing("ConsoleTokenNotRefreshed", "warning", project="southwest", instance=ONE)

REQUESTS = "console_api_requests_total"
PROBES = "console_probes_total"
FAILURES = "console_auth_failures_total"
REFRESHES = "console_auth_refreshes_total"
EXPIRY = "console_auth_token_expiry_timestamp_seconds"
CERTIFICATE = "console_tls_certificate_expiry_timestamp_seconds"
DAY = 86400


def _requests(story: Story, project: str, minutes: float = 40, **per_minute: float) -> Story:
    for code, many in per_minute.items():
        own = {"project": project, "operation": "remote_console", "code": code.lstrip("_")}
        story.add(REQUESTS, counting((minutes, many)), **own)
    return story


def test_the_api_is_unavailable_when_over_half_of_requests_get_5xx_or_nothing(
    rules: Path,
) -> None:
    story = Story()
    _requests(story, "both", _200=40, _500=30, none=30)
    _requests(story, "51 %", _200=49, _503=51)
    _requests(story, "all", _200=0, none=5)
    _requests(story, "half", _200=50, _500=50)
    _requests(story, "refused", _200=0, _401=100, _403=9, none=0)
    _requests(story, "unknown", _200=0, _403=60, _404=60, _500=100)
    _requests(story, "nothing asked", _200=0, none=0)
    alerts = [
        firing("ConsoleApiUnavailable", "critical", project=project)
        for project in ("both", "51 %", "all")
    ]
    judge(rules, story, {"4m30s": [], "11m": alerts, "30m": alerts})


def test_a_429_is_an_answer(rules: Path) -> None:
    judge(rules, _requests(Story(), "southwest", _200=0, _429=100), {"12m": [], "14m": []})


def test_an_api_that_comes_back_is_available_within_minutes(rules: Path) -> None:
    story = Story()
    own = {"project": "southwest", "operation": "remote_console"}
    story.add(REQUESTS, counting((12, 0), (20, 60)), **own, code="200")
    story.add(REQUESTS, counting((12, 60), (20, 0)), **own, code="none")
    judge(rules, story, {"11m": [UNAVAILABLE], "16m": []})


def test_throttling_is_told_when_it_lasts(rules: Path) -> None:
    story = _requests(Story(), "6 %", _200=94, _429=6)
    _requests(story, "4 %", _200=96, _429=4)
    _requests(story, "all", _429=9)
    alerts = [
        firing("ConsoleApiThrottled", "warning", project=project) for project in ("6 %", "all")
    ]
    judge(rules, story, {"14m": [], "17m": alerts, "35m": alerts})


def test_one_burst_of_429_is_forgotten(rules: Path) -> None:
    story = Story()
    own = {"project": "southwest", "operation": "remote_console"}
    story.add(REQUESTS, counting((40, 10)), **own, code="200")
    story.add(REQUESTS, counting((5, 0), (1, 100), (34, 0)), **own, code="429")
    judge(rules, story, {f"{minutes}m": [] for minutes in range(6, 39)})


def test_the_api_is_slow_when_one_request_in_twenty_takes_over_five_seconds(
    rules: Path,
) -> None:
    story = Story()
    for project, late in (("southwest", 6), ("east", 4)):
        for bound, many in (("0.5", 50), ("5", 100 - late), ("10", 100), ("+Inf", 100)):
            own = {"project": project, "operation": "remote_console", "le": bound}
            samples = counting((25, many), (20, 0))
            story.add("console_api_request_duration_seconds_bucket", samples, **own)
    judge(rules, story, {"14m": [], "17m": [SLOW], "44m": []})


def _logins(failed: list[float], succeeded: list[float] | None = None) -> Story:
    """Tell of log-ins at these minutes."""
    story = Story()
    for name, at in ((FAILURES, failed), (REFRESHES, succeeded or [])):
        samples: list[float | None] = [
            sum(1.0 for minute in at if minute <= n / 4) for n in range(160)
        ]
        story.add(name, samples, project="southwest")
    return story


def test_three_failed_log_ins_in_a_quarter_of_an_hour_are_told(rules: Path) -> None:
    story = _logins([5, 7, 11])
    judge(rules, story, {"10m": [], "13m": [AUTH], "19m": [AUTH], "27m": []})


def test_two_failed_log_ins_are_not(rules: Path) -> None:
    judge(rules, _logins([5, 7, 21, 23]), {f"{minutes}m": [] for minutes in range(5, 39)})


def test_log_ins_that_work_again_after_a_short_outage_wake_nobody(rules: Path) -> None:
    story = _logins([5, 5.1, 5.2, 5.3], succeeded=[5.6])
    judge(rules, story, {f"{minutes}m": [] for minutes in range(5, 25)})


def test_an_account_that_is_refused_every_five_minutes_is_one_alert(rules: Path) -> None:
    story = _logins([5, 7.25, 11.5, *(16.75 + 5.25 * n for n in range(5))])
    judge(rules, story, {f"{minutes}m": [AUTH] for minutes in range(13, 38)})


def _probes(*outcomes: tuple[str, list[float | None]], project: str = "southwest") -> Story:
    story = Story()
    for outcome, samples in outcomes:
        story.add(PROBES, samples, project=project, outcome=outcome)
    return story


def test_a_project_of_which_every_probe_is_refused_is_not_let_in(rules: Path) -> None:
    story = Story()
    for refusal in ("unauthorized", "forbidden"):
        for outcome, samples in (
            ("success", counting((10, 9), (20, 0), (10, 9))),
            ("timeout", counting((40, 0))),
            ("skipped", counting((10, 0), (4, 5), (26, 0))),
            (refusal, counting((10, 0), (20, 9), (10, 0))),
        ):
            story.add(PROBES, samples, project=refusal, outcome=outcome)
    alerts = [
        firing("ConsoleAuthFailing", "critical", project=refusal)
        for refusal in ("unauthorized", "forbidden")
    ]
    judge(rules, story, {"14m": [], "17m": alerts, "30m": alerts, "36m30s": []})


def test_one_verdict_shows_that_the_login_works(rules: Path) -> None:
    story = _probes(("timeout", counting((30, 1))), ("forbidden", counting((30, 99))))
    judge(rules, story, {f"{minutes}m": [] for minutes in range(1, 29)})


def test_throttling_alone_is_no_failing_login(rules: Path) -> None:
    story = _probes(("success", counting((30, 0))), ("throttled", counting((30, 9))))
    story.add(PROBES, counting((30, 0)), project="southwest", outcome="unauthorized")
    judge(rules, story, {"5m": [], "15m": []})


def test_a_restart_counts_anew_and_fires_nothing(rules: Path) -> None:
    story = _probes(
        ("success", counting((10, 60), (2, None), (18, 60))),
        ("unauthorized", counting((10, 0), (2, None), (18, 0))),
        ("skipped", counting((10, 0), (2, None), (18, 0))),
        ("timeout", counting((10, 0), (2, None), (18, 0))),
    )
    own = {"project": "southwest", "operation": "remote_console"}
    story.add(REQUESTS, counting((10, 60), (2, None), (18, 60)), **own, code="200")
    story.add(REQUESTS, counting((10, 0), (2, None), (18, 0)), **own, code="none")
    story.add(REFRESHES, counting((10, 0), (2, None), (18, 0), start=1), project="southwest")
    story.add(FAILURES, counting((10, 0), (2, None), (18, 0), start=4), project="southwest")
    judge(rules, story, {f"{minutes}m": [] for minutes in range(1, 29)})


def _token(expires: float, probes: list[float | None]) -> Story:
    story = Story().add(EXPIRY, level((60, expires)), project="southwest")
    return story.add(PROBES, probes, project="southwest", outcome="success")


def test_credentials_that_are_in_use_and_about_to_end_are_told(rules: Path) -> None:
    story = _token(1800, counting((60, 6)))
    judge(rules, story, {"24m30s": [], "27m": [TOKEN], "45m": [TOKEN]})


def test_credentials_that_nobody_uses_may_end(rules: Path) -> None:
    story = _token(1800, counting((10, 6), (50, 0)))
    story.add(PROBES, counting((60, 6)), project="east", outcome="success")
    story.add(PROBES, counting((60, 6)), project="southwest", outcome="skipped")
    judge(rules, story, {"27m": [], "40m": []}, expr=_only("ConsoleTokenNotRefreshed"))


def test_credentials_of_another_exporter_are_its_own(rules: Path) -> None:
    story = _token(1800, counting((60, 0)))
    story.add(PROBES, counting((60, 6)), project="southwest", outcome="success", instance="two:1")
    judge(rules, story, {"27m": [], "40m": []})


def _only(name: str) -> str:
    return f'ALERTS{{alertstate="firing", alertname="{name}"}}'


def test_a_certificate_warns_at_21_days_and_wakes_somebody_at_7(rules: Path) -> None:
    story = Story()
    table = {90: "", 21.1: "", 20.9: "warning", 7.1: "warning", 6.9: "critical", 0: "critical"}
    for days in table:
        own = {"project": "southwest", "host": f"{days}.example"}
        story.add(CERTIFICATE, level((5, days * DAY)), **own)
    alerts = [
        firing("ConsoleCertificateExpiring", severity, project="southwest", host=f"{days}.example")
        for days, severity in table.items()
        if severity
    ]
    judge(rules, story, {"3m": alerts})


def test_two_exporters_that_see_one_host_tell_of_it_once(rules: Path) -> None:
    own = {"project": "southwest", "host": "a.example"}
    story = Story().add(CERTIFICATE, level((5, 5 * DAY)), **own)
    story.add(CERTIFICATE, level((5, 9 * DAY)), **own, instance="two:10429")
    alert = firing("ConsoleCertificateExpiring", "critical", **own)
    judge(rules, story, {"3m": [alert]})


def test_nothing_asked_is_no_share_at_all(rules: Path) -> None:
    story = _requests(Story(), "southwest", _200=0, _429=0, none=0)
    value(rules, story, "20m", '{__name__=~"project:console_api_.*:ratio_rate.*"}', {})
