"""What Prometheus would see and say: series written down, rules judged by promtool."""

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
    """Return the samples of a gauge: minutes and value of each part; None where it is absent."""
    return [value for minutes, value in parts for _ in range(round(minutes * 60 / step))]


def counting(*parts: Part, start: float = 0, step: int = STEP) -> list[float | None]:
    """Return the samples of a counter: minutes of each part and what is added a minute.

    None adds nothing and shows nothing; the count goes on from zero after it, as at a restart.
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
    """Return the samples of a point in time: minutes of each part, seconds that it lies behind.

    Where a part's second figure is None the series is absent.
    """
    behind = level(*parts, step=step)
    return [None if b is None else n * step - b for n, b in enumerate(behind)]


def holding(*parts: Part, step: int = STEP) -> list[float | None]:
    """Return the samples of a point in time that moves on where a part says 1 and stays at 0."""
    samples: list[float | None] = []
    last = 0.0
    for n, moves in enumerate(level(*parts, step=step)):
        last = n * step if moves else last
        samples.append(None if moves is None else last)
    return samples


def labels(**given: str) -> str:
    """Return labels as in the text format."""
    return "{" + ", ".join(f'{name}="{text}"' for name, text in given.items()) + "}"


def firing(name: str, severity: str, **more: str) -> str:
    """Return the series that Prometheus itself keeps of an alert that fires."""
    alert = {"alertname": name, "alertstate": "firing", "severity": severity, "job": JOB} | more
    return f"ALERTS{labels(**{key: text for key, text in alert.items() if text})}"


@dataclass
class Story:
    """Series over time. Adding a series again replaces it."""

    step: int = STEP
    series: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, samples: Iterable[float | None], **given: str) -> "Story":
        """Add a series; ``job`` and ``instance`` are those of the usual exporter if not given."""
        whole = {"job": JOB, "instance": ONE} | given
        shown = {key: text for key, text in whole.items() if text}
        self.series[f"{name}{labels(**shown)}"] = " ".join(_notation(samples))
        return self


def _notation(samples: Iterable[float | None]) -> Iterable[str]:
    """Write samples as promtool reads them; a series that is gone is marked so, as by a scrape."""
    present = False
    for sample in samples:
        if sample is None:
            yield "stale" if present else "_"
        else:
            yield f"{sample:.6f}".rstrip("0").rstrip(".")
        present = sample is not None


def judge(
    rules: Path,
    story: Story,
    expected: Mapping[str, Sequence[str]],
    *,
    every: str = "30s",
    expr: str = 'ALERTS{alertstate="firing"}',
) -> None:
    """Have promtool compare all that fires at each time with what is expected then."""
    tests = [
        {
            "expr": expr,
            "eval_time": at,
            "exp_samples": [{"labels": series, "value": 1} for series in alerts],
        }
        for at, alerts in expected.items()
    ]
    done = _promtool(rules, story, every, {"promql_expr_test": tests})
    assert done.returncode == 0, done.stdout + done.stderr


def value(  # noqa: PLR0913 - a question, put whole
    rules: Path,
    story: Story,
    at: str,
    expr: str,
    expected: Mapping[str, float],
    *,
    every: str = "30s",
) -> None:
    """Have promtool compare the result of a query with what is expected."""
    samples = [{"labels": series, "value": number} for series, number in expected.items()]
    tests = [{"expr": expr, "eval_time": at, "exp_samples": samples}]
    done = _promtool(rules, story, every, {"promql_expr_test": tests})
    assert done.returncode == 0, done.stdout + done.stderr


def said(rules: Path, story: Story, at: str, *names: str) -> str:
    """Return what promtool tells of alerts that it was not told to expect: labels and texts."""
    tests = [{"alertname": name, "eval_time": at, "exp_alerts": []} for name in names]
    done = _promtool(rules, story, "30s", {"alert_rule_test": tests})
    told = done.stdout + done.stderr
    silent = [name for name in names if f"alertname: {name}," not in told]
    assert not silent, f"{silent} do not fire at {at}"
    return told


def _promtool(
    rules: Path, story: Story, every: str, tests: Mapping[str, Any]
) -> "subprocess.CompletedProcess[str]":
    told = dict(story.series)
    if not any(name.startswith("up{") for name in told):
        # All that is told of an exporter was scraped from it.
        told[f"up{labels(job=JOB, instance=ONE)}"] = "1x100000"
    series = [{"series": name, "values": values} for name, values in told.items()]
    content = {
        "rule_files": ["recording.yaml", "alerts.yaml"],
        "evaluation_interval": every,
        "group_eval_order": ["console-recording", "console-alerts"],
        "tests": [{"interval": f"{story.step}s", "input_series": series, **tests}],
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
