"""Alerts about the cloud services of a project: API, quota, login, certificates."""

from pathlib import Path

from tests.monitoring.promtool import (
    ONE,
    InputSeries,
    alert_texts,
    assert_firing,
    assert_query,
    counting,
    firing,
    level,
)

UNAVAILABLE = firing("ConsoleApiUnavailable", "critical", project="southwest")
SLOW = firing("ConsoleApiSlow", "warning", project="southwest")
AUTH = firing("ConsoleAuthFailing", "critical", project="southwest")
TOKEN = firing("ConsoleTokenNotRefreshed", "warning", project="southwest", instance=ONE)

REQUESTS = "console_api_requests_total"
REACHABLE = "console_api_reachable"
PROBES = "console_probes_total"
FAILURES = "console_auth_failures_total"
REFRESHES = "console_auth_refreshes_total"
EXPIRY = "console_auth_token_expiry_timestamp_seconds"
CERTIFICATE = "console_tls_certificate_expiry_timestamp_seconds"
DAY = 86400


def _requests(
    inputs: InputSeries, project: str, minutes: float = 40, **per_minute: float
) -> InputSeries:
    for code, many in per_minute.items():
        own = {"project": project, "operation": "remote_console", "code": code.lstrip("_")}
        inputs.add(REQUESTS, counting((minutes, many)), **own)
    return inputs


def test_api_is_unavailable_if_over_half_of_requests_get_5xx_or_no_response(
    rules: Path,
) -> None:
    inputs = InputSeries()
    _requests(inputs, "both", _200=40, _500=30, none=30)
    _requests(inputs, "51 %", _200=49, _503=51)
    _requests(inputs, "all", _200=0, none=5)
    _requests(inputs, "half", _200=50, _500=50)
    _requests(inputs, "refused", _200=0, _401=100, _403=9, none=0)
    _requests(inputs, "unknown", _200=0, _403=60, _404=60, _500=100)
    _requests(inputs, "no requests", _200=0, none=0)
    alerts = [
        firing("ConsoleApiUnavailable", "critical", project=project)
        for project in ("both", "51 %", "all")
    ]
    assert_firing(rules, inputs, {"4m30s": [], "11m": alerts, "30m": alerts})


def test_api_is_unavailable_if_no_exporter_gets_an_answer(rules: Path) -> None:
    inputs = InputSeries()
    for project, own, other in (
        ("unreachable", 0, None),
        ("by all", 0, 0),
        ("by one", 0, 1),
        ("reachable", 1, 1),
    ):
        # Portals answer 200.
        _requests(inputs, project, _200=100)
        for instance, answers in ((ONE, own), ("two:10429", other)):
            if answers is not None:
                samples = [1.0] * 40 + [float(answers)] * 80
                inputs.add(REACHABLE, samples, project=project, instance=instance)
    alerts = [
        firing("ConsoleApiUnavailable", "critical", project=project)
        for project in ("unreachable", "by all")
    ]
    assert_firing(rules, inputs, {"11m": [], "14m": [], "16m": alerts, "25m": alerts})


def test_api_is_available_as_soon_as_it_answers(rules: Path) -> None:
    inputs = InputSeries()
    inputs.add(REACHABLE, [0.0] * 40 + [1.0] * 40, project="southwest")
    assert_firing(rules, inputs, {"9m": [UNAVAILABLE], "10m15s": []})


def test_the_text_names_the_likely_side(rules: Path) -> None:
    inputs = _requests(InputSeries(), "errors", _503=100)
    inputs.add(REACHABLE, [1.0] * 80, project="errors")
    _requests(inputs, "silence", none=100)
    inputs.add(REACHABLE, [0.0] * 80, project="silence")
    texts = alert_texts(rules, inputs, "15m", "ConsoleApiUnavailable")
    assert "100% of the API requests of errors fail (alert above 50%)" in texts
    assert "Likely side: the cloud." in texts
    assert "The API of silence does not answer" in texts
    assert "Likely side: the exporter's machine, its network, DNS, proxy or clock" in texts


def test_429_is_not_unavailable(rules: Path) -> None:
    assert_firing(
        rules, _requests(InputSeries(), "southwest", _200=0, _429=100), {"12m": [], "14m": []}
    )


def test_api_is_available_within_minutes_after_an_outage(rules: Path) -> None:
    inputs = InputSeries()
    own = {"project": "southwest", "operation": "remote_console"}
    inputs.add(REQUESTS, counting((12, 0), (20, 60)), **own, code="200")
    inputs.add(REQUESTS, counting((12, 60), (20, 0)), **own, code="none")
    assert_firing(rules, inputs, {"11m": [UNAVAILABLE], "16m": []})


def test_throttling_fires_if_it_lasts(rules: Path) -> None:
    inputs = _requests(InputSeries(), "6 %", _200=94, _429=6)
    _requests(inputs, "4 %", _200=96, _429=4)
    _requests(inputs, "all", _429=9)
    alerts = [
        firing("ConsoleApiThrottled", "warning", project=project) for project in ("6 %", "all")
    ]
    assert_firing(rules, inputs, {"14m": [], "17m": alerts, "35m": alerts})


def test_single_burst_of_429_does_not_fire(rules: Path) -> None:
    inputs = InputSeries()
    own = {"project": "southwest", "operation": "remote_console"}
    inputs.add(REQUESTS, counting((40, 10)), **own, code="200")
    inputs.add(REQUESTS, counting((5, 0), (1, 100), (34, 0)), **own, code="429")
    assert_firing(rules, inputs, {f"{minutes}m": [] for minutes in range(6, 39)})


def test_api_is_slow_if_the_95th_percentile_is_over_five_seconds(
    rules: Path,
) -> None:
    inputs = InputSeries()
    for project, late in (("southwest", 6), ("east", 4)):
        for bound, many in (("0.5", 50), ("5", 100 - late), ("10", 100), ("+Inf", 100)):
            own = {"project": project, "operation": "remote_console", "le": bound}
            samples = counting((25, many), (20, 0))
            inputs.add("console_api_request_duration_seconds_bucket", samples, **own)
    assert_firing(rules, inputs, {"14m": [], "17m": [SLOW], "44m": []})


def _logins(failed: list[float], succeeded: list[float] | None = None) -> InputSeries:
    """Return the counters of logins that fail or succeed at these minutes."""
    inputs = InputSeries()
    for name, at in ((FAILURES, failed), (REFRESHES, succeeded or [])):
        samples: list[float | None] = [
            sum(1.0 for minute in at if minute <= n / 4) for n in range(160)
        ]
        inputs.add(name, samples, project="southwest")
    return inputs


def test_three_failed_logins_in_15_minutes_fire(rules: Path) -> None:
    inputs = _logins([5, 7, 11])
    assert_firing(rules, inputs, {"10m": [], "13m": [AUTH], "19m": [AUTH], "27m": []})


def test_two_failed_logins_do_not_fire(rules: Path) -> None:
    assert_firing(rules, _logins([5, 7, 21, 23]), {f"{minutes}m": [] for minutes in range(5, 39)})


def test_logins_that_work_again_after_a_short_outage_do_not_fire(rules: Path) -> None:
    inputs = _logins([5, 5.1, 5.2, 5.3], succeeded=[5.6])
    assert_firing(rules, inputs, {f"{minutes}m": [] for minutes in range(5, 25)})


def test_login_that_is_rejected_every_five_minutes_is_one_alert(rules: Path) -> None:
    inputs = _logins([5, 7.25, 11.5, *(16.75 + 5.25 * n for n in range(5))])
    assert_firing(rules, inputs, {f"{minutes}m": [AUTH] for minutes in range(13, 38)})


def _probes(*outcomes: tuple[str, list[float | None]], project: str = "southwest") -> InputSeries:
    inputs = InputSeries()
    for outcome, samples in outcomes:
        inputs.add(PROBES, samples, project=project, outcome=outcome)
    return inputs


def test_auth_is_failing_if_every_probe_is_unauthorized_or_forbidden(rules: Path) -> None:
    inputs = InputSeries()
    for refusal in ("unauthorized", "forbidden"):
        for outcome, samples in (
            ("success", counting((10, 9), (20, 0), (10, 9))),
            ("timeout", counting((40, 0))),
            ("skipped", counting((10, 0), (4, 5), (26, 0))),
            (refusal, counting((10, 0), (20, 9), (10, 0))),
        ):
            inputs.add(PROBES, samples, project=refusal, outcome=outcome)
    alerts = [
        firing("ConsoleAuthFailing", "critical", project=refusal)
        for refusal in ("unauthorized", "forbidden")
    ]
    assert_firing(rules, inputs, {"14m": [], "17m": alerts, "30m": alerts, "36m30s": []})


def test_one_conclusive_probe_shows_that_the_login_works(rules: Path) -> None:
    inputs = _probes(("timeout", counting((30, 1))), ("forbidden", counting((30, 99))))
    assert_firing(rules, inputs, {f"{minutes}m": [] for minutes in range(1, 29)})


def test_throttling_is_not_a_failing_login(rules: Path) -> None:
    inputs = _probes(("success", counting((30, 0))), ("throttled", counting((30, 9))))
    inputs.add(PROBES, counting((30, 0)), project="southwest", outcome="unauthorized")
    assert_firing(rules, inputs, {"5m": [], "15m": []})


def test_counter_resets_at_a_restart_do_not_fire(rules: Path) -> None:
    inputs = _probes(
        ("success", counting((10, 60), (2, None), (18, 60))),
        ("unauthorized", counting((10, 0), (2, None), (18, 0))),
        ("skipped", counting((10, 0), (2, None), (18, 0))),
        ("timeout", counting((10, 0), (2, None), (18, 0))),
    )
    own = {"project": "southwest", "operation": "remote_console"}
    inputs.add(REQUESTS, counting((10, 60), (2, None), (18, 60)), **own, code="200")
    inputs.add(REQUESTS, counting((10, 0), (2, None), (18, 0)), **own, code="none")
    inputs.add(REFRESHES, counting((10, 0), (2, None), (18, 0), start=1), project="southwest")
    inputs.add(FAILURES, counting((10, 0), (2, None), (18, 0), start=4), project="southwest")
    assert_firing(rules, inputs, {f"{minutes}m": [] for minutes in range(1, 29)})


def _token(expires: float, probes: list[float | None]) -> InputSeries:
    inputs = InputSeries().add(EXPIRY, level((60, expires)), project="southwest")
    return inputs.add(PROBES, probes, project="southwest", outcome="success")


def test_credentials_in_use_that_are_about_to_expire_fire(rules: Path) -> None:
    inputs = _token(1800, counting((60, 6)))
    assert_firing(rules, inputs, {"24m30s": [], "27m": [TOKEN], "45m": [TOKEN]})


def test_unused_credentials_may_expire(rules: Path) -> None:
    inputs = _token(1800, counting((10, 6), (50, 0)))
    inputs.add(PROBES, counting((60, 6)), project="east", outcome="success")
    inputs.add(PROBES, counting((60, 6)), project="southwest", outcome="skipped")
    assert_firing(rules, inputs, {"27m": [], "40m": []}, expr=_only("ConsoleTokenNotRefreshed"))


def test_credentials_belong_to_one_exporter(rules: Path) -> None:
    inputs = _token(1800, counting((60, 0)))
    inputs.add(PROBES, counting((60, 6)), project="southwest", outcome="success", instance="two:1")
    assert_firing(rules, inputs, {"27m": [], "40m": []})


def _only(name: str) -> str:
    return f'ALERTS{{alertstate="firing", alertname="{name}"}}'


def test_certificate_is_a_warning_at_21_days_and_critical_at_7(rules: Path) -> None:
    inputs = InputSeries()
    table = {90: "", 21.1: "", 20.9: "warning", 7.1: "warning", 6.9: "critical", 0: "critical"}
    for days in table:
        own = {"project": "southwest", "host": f"{days}.example"}
        inputs.add(CERTIFICATE, level((5, days * DAY)), **own)
    alerts = [
        firing("ConsoleCertificateExpiring", severity, project="southwest", host=f"{days}.example")
        for days, severity in table.items()
        if severity
    ]
    assert_firing(rules, inputs, {"3m": alerts})


def test_certificate_that_two_exporters_see_is_one_alert(rules: Path) -> None:
    own = {"project": "southwest", "host": "a.example"}
    inputs = InputSeries().add(CERTIFICATE, level((5, 5 * DAY)), **own)
    inputs.add(CERTIFICATE, level((5, 9 * DAY)), **own, instance="two:10429")
    alert = firing("ConsoleCertificateExpiring", "critical", **own)
    assert_firing(rules, inputs, {"3m": [alert]})


def test_ratios_are_absent_without_requests(rules: Path) -> None:
    inputs = _requests(InputSeries(), "southwest", _200=0, _429=0, none=0)
    assert_query(rules, inputs, "20m", '{__name__=~"project:console_api_.*:ratio_rate.*"}', {})
