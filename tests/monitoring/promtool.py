"""Write input series and evaluate rules with ``promtool test rules``."""

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.real.programs import required

JOB = "console-exporter"
ONE = "one:10429"
STEP = 15
"""Seconds between two samples."""

Part = tuple[float, float | None]


def level(*parts: Part, step: int = STEP) -> list[float | None]:
    """Return the samples of a gauge: minutes and value of each part; None if it is absent."""
    return [value for minutes, value in parts for _ in range(round(minutes * 60 / step))]


def counting(*parts: Part, start: float = 0, step: int = STEP) -> list[float | None]:
    """Return the samples of a counter: minutes and increase per minute of each part.

    None makes the series absent; afterwards the count starts at zero, as after a restart.
    """
    samples: list[float | None] = []
    count = start
    for minutes, added in parts:
        if added is None:
            count = 0
        for _ in range(round(minutes * 60 / step)):
            samples.append(None if added is None else count)
            count += (added or 0) * step / 60
    return samples


def following(*parts: Part, step: int = STEP) -> list[float | None]:
    """Return the samples of a timestamp: minutes of each part and its age in seconds.

    If the age is None, the series is absent.
    """
    behind = level(*parts, step=step)
    return [None if b is None else n * step - b for n, b in enumerate(behind)]


def holding(*parts: Part, step: int = STEP) -> list[float | None]:
    """Return the samples of a timestamp: the current time in parts with 1, unchanged with 0."""
    samples: list[float | None] = []
    last = 0.0
    for n, moves in enumerate(level(*parts, step=step)):
        last = n * step if moves else last
        samples.append(None if moves is None else last)
    return samples


def labels(**given: str) -> str:
    """Return labels in the text format."""
    return "{" + ", ".join(f'{name}="{text}"' for name, text in given.items()) + "}"


def firing(name: str, severity: str, **more: str) -> str:
    """Return the ALERTS series of a firing alert."""
    alert = {"alertname": name, "alertstate": "firing", "severity": severity, "job": JOB} | more
    return f"ALERTS{labels(**{key: text for key, text in alert.items() if text})}"


@dataclass
class InputSeries:
    """Input series of a test. Adding a series again replaces it."""

    step: int = STEP
    series: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, samples: Iterable[float | None], **given: str) -> "InputSeries":
        """Add a series; ``job`` and ``instance`` default to those of the first exporter."""
        whole = {"job": JOB, "instance": ONE} | given
        shown = {key: text for key, text in whole.items() if text}
        self.series[f"{name}{labels(**shown)}"] = " ".join(_notation(samples))
        return self


def _notation(samples: Iterable[float | None]) -> Iterable[str]:
    """Format samples for promtool; a series that disappears gets a stale marker."""
    present = False
    for sample in samples:
        if sample is None:
            yield "stale" if present else "_"
        else:
            yield f"{sample:.6f}".rstrip("0").rstrip(".")
        present = sample is not None


def assert_firing(
    rules: Path,
    inputs: InputSeries,
    expected: Mapping[str, Sequence[str]],
    *,
    every: str = "30s",
    expr: str = 'ALERTS{alertstate="firing"}',
) -> None:
    """Assert with promtool that exactly the expected alerts fire at each time."""
    tests = [
        {
            "expr": expr,
            "eval_time": at,
            "exp_samples": [{"labels": series, "value": 1} for series in alerts],
        }
        for at, alerts in expected.items()
    ]
    done = _promtool(rules, inputs, every, {"promql_expr_test": tests})
    assert done.returncode == 0, done.stdout + done.stderr


def assert_query(  # noqa: PLR0913 - all parts of one assertion
    rules: Path,
    inputs: InputSeries,
    at: str,
    expr: str,
    expected: Mapping[str, float],
    *,
    every: str = "30s",
) -> None:
    """Assert with promtool that a query has the expected result."""
    samples = [{"labels": series, "value": number} for series, number in expected.items()]
    tests = [{"expr": expr, "eval_time": at, "exp_samples": samples}]
    done = _promtool(rules, inputs, every, {"promql_expr_test": tests})
    assert done.returncode == 0, done.stdout + done.stderr


def alert_texts(rules: Path, inputs: InputSeries, at: str, *names: str) -> str:
    """Return the labels and annotations of firing alerts, from promtool's report of a mismatch."""
    tests = [{"alertname": name, "eval_time": at, "exp_alerts": []} for name in names]
    done = _promtool(rules, inputs, "30s", {"alert_rule_test": tests})
    report = done.stdout + done.stderr
    silent = [name for name in names if f"alertname: {name}," not in report]
    assert not silent, f"{silent} do not fire at {at}"
    return report


def _promtool(
    rules: Path, inputs: InputSeries, every: str, tests: Mapping[str, Any]
) -> "subprocess.CompletedProcess[str]":
    values_of = dict(inputs.series)
    if not any(name.startswith("up{") for name in values_of):
        # The exporter was scraped successfully unless the test says otherwise.
        values_of[f"up{labels(job=JOB, instance=ONE)}"] = "1x100000"
    series = [{"series": name, "values": values} for name, values in values_of.items()]
    content = {
        "rule_files": ["recording.yaml", "alerts.yaml"],
        "evaluation_interval": every,
        "group_eval_order": ["console-recording", "console-alerts"],
        "tests": [{"interval": f"{inputs.step}s", "input_series": series, **tests}],
    }
    file = rules / "test.yaml"
    file.write_text(yaml.safe_dump(content))
    return subprocess.run(
        [required("promtool"), "test", "rules", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
