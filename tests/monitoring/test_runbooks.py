"""Each alert has a runbook, and the queries, commands and links of runbooks are valid."""

import contextlib
import io
import re
import shlex
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from exporter.cli import main
from exporter.metrics.catalog import CATALOG
from exporter.web.application import web_application
from monitoring.__main__ import main as generate
from monitoring.metrics_page import CLOSED
from tests.real.programs import required
from tests.web.fake_exporter import FakeExporter

ROOT = Path(__file__).parents[2]
RUNBOOKS = sorted((ROOT / "runbooks").glob("*.md"))
DOCUMENTS = [*RUNBOOKS, ROOT / "docs" / "monitoring.md"]
METRICS = {metric.name: metric for metric in CATALOG}
OTHERS = {"up"}
ADDED = {"job", "instance", "le"}
PROBE_PARAMETERS = {"target", "project", "depth", "debug"}
EXTERNAL_PROGRAMS = {
    "curl", "docker", "getent", "journalctl", "kubectl", "make", "openssl", "prometheus", "time",
    "timedatectl",
}  # fmt: skip
"""External programs that runbooks use."""

each_runbook = pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)


def rules(name: str, kind: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((ROOT / "rules" / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


ALERTS = rules("alerts.yaml", "alert")
RECORDED = {rule["record"] for rule in rules("recording.yaml", "record")}


def blocks(document: Path, language: str) -> list[str]:
    """Return the code blocks of a document, those within lists too."""
    found = re.findall(
        rf"^( *)```{language}\n(.*?)^\1```$", document.read_text(), re.DOTALL | re.MULTILINE
    )
    return [textwrap.dedent(text) for _, text in found]


def commands(document: Path) -> Iterator[list[str]]:
    """Yield the arguments of every command of a document, in blocks and inline code."""
    lines = [line for block in blocks(document, "sh") for line in block.splitlines()]
    lines += [
        code
        for code in re.findall(r"`([^`\n]+)`", document.read_text())
        if code.partition(" ")[0] in {"console-exporter", "curl", "amtool"} and " " in code
    ]
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"\w+=.*", words[0]):
            del words[0]
        if words:
            yield words


def flags(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match(r"--\w", word)}


def help_of(run: Callable[[list[str]], object], arguments: list[str]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        run([*arguments, "--help"])
    return output.getvalue()


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS} == {rule["alert"] for rule in ALERTS}


def test_alerts_link_to_their_runbook() -> None:
    for rule in ALERTS:
        assert rule["annotations"]["runbook_url"].endswith(f"/runbooks/{rule['alert']}.md")


@each_runbook
def test_sections_are_in_order(runbook: Path) -> None:
    text = runbook.read_text()
    assert text.startswith(f"# {runbook.stem}\n\n**")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Meaning",
        "Impact",
        "Diagnosis",
        "Mitigation",
    ]


@each_runbook
def test_first_paragraph_says_whether_anybody_is_locked_out(runbook: Path) -> None:
    first = runbook.read_text().split("\n\n")[1].replace("\n", " ")
    assert first.startswith("**")
    assert first.endswith("**")
    assert re.search(r"locked out|locks nobody out", first)


@each_runbook
def test_runbook_has_at_most_90_lines(runbook: Path) -> None:
    assert len(runbook.read_text().splitlines()) <= 90


def test_queries_are_valid(tmp_path: Path) -> None:
    queries = [query for path in RUNBOOKS for query in blocks(path, "promql")]
    assert len(queries) > len(RUNBOOKS)
    records = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "queries.yaml"
    groups = [{"name": "queries", "rules": records}]
    file.write_text(yaml.safe_dump({"groups": groups}))
    done = subprocess.run(
        [required("promtool"), "check", "rules", "--lint=none", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@each_document
def test_metrics_exist(document: Path) -> None:
    text = document.read_text()
    recorded = set(re.findall(r"\b\w+:console_\w+:\w+", text))
    assert recorded <= RECORDED
    for name in re.findall(r"\bconsole_\w+", re.sub(r"\b\w+:console_\w+:\w+", "", text)):
        assert re.sub(r"_(bucket|sum|count)$", "", name) in METRICS, name


@each_runbook
def test_labels_and_label_values_of_queries_exist(runbook: Path) -> None:
    for query in blocks(runbook, "promql"):
        for name, matchers in re.findall(r"([\w:]+)\{([^}]*)\}", query):
            metric = METRICS.get(re.sub(r"_(bucket|sum|count)$", "", name))
            known = set(metric.labels) if metric else {"project"}
            for label, value in re.findall(r'(\w+)\s*[=!]~?"([^"]*)"', matchers):
                assert label in known | ADDED, query
                if label in CLOSED:
                    assert set(value.split("|")) <= {*CLOSED[label]}, query
        for named in re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", query):
            every = {label for metric in CATALOG for label in metric.labels} | ADDED
            assert {label.strip() for label in named.split(",")} <= every, query


@each_runbook
@pytest.mark.parametrize("label", ["project", "instance", "host", "server_id"])
def test_placeholders_are_labels_of_the_alert(runbook: Path, label: str) -> None:
    text = runbook.read_text()
    labels = re.search(r"^([^\n]*)\b(?:is a label|are labels) of the alert", text, re.MULTILINE)
    if labels and re.search(rf"\b{label.upper()}\b", labels[1]):
        for rule in ALERTS:
            if rule["alert"] == runbook.stem:
                assert f"$labels.{label} " in str(rule["annotations"])
    elif label in {"project", "instance", "host"}:
        assert not re.search(rf"\b{label.upper()}\b", text), f"{label.upper()} is no label"


@each_document
def test_flags_of_our_commands_exist(document: Path) -> None:
    for words in commands(document):
        if words[0] == "console-exporter":
            assert flags(words) <= flags(re.split(r"[\s\[\],]+", help_of(main, [words[1]])))
        elif words[0] == ".venv/bin/python":
            assert words[1:3] == ["-m", "monitoring"]
            assert flags(words) <= flags(re.split(r"[\s\[\],]+", help_of(generate, [])))
        else:
            assert words[0] in EXTERNAL_PROGRAMS | {"amtool"}, words


def test_flags_of_amtool_exist() -> None:
    silences = [words for path in RUNBOOKS for words in commands(path) if words[0] == "amtool"]
    assert silences
    done = subprocess.run(
        [required("amtool"), "silence", "add", "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    known = flags(re.split(r"[\s\[\],]+", done.stdout + done.stderr))
    for words in silences:
        assert words[1:3] == ["silence", "add"]
        assert flags(words) <= known


@each_runbook
def test_silences_are_for_this_alert_only(runbook: Path) -> None:
    named = re.findall(r"alertname=([^\s`]+)", runbook.read_text())
    assert set(named) - {"~Console.*"} == {runbook.stem}


@each_document
def test_paths_of_the_exporter_exist(document: Path) -> None:
    routes = web_application(FakeExporter()).routes
    paths = {getattr(route, "path", "") for route in routes}
    found = re.findall(r"http://(?:localhost:10429|INSTANCE)(/[^\s'`]*)", document.read_text())
    for address in map(urlsplit, found):
        assert address.path in paths
        assert set(parse_qs(address.query)) <= (
            PROBE_PARAMETERS if address.path == "/probe" else set()
        )


@each_document
def test_links_exist(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / link).exists(), link


def test_quoted_error_messages_are_in_the_source() -> None:
    text = (ROOT / "runbooks" / "ConsoleAuthFailing.md").read_text()
    table = text.partition("| what the detail says |")[2].partition("\n\n")[0]
    source = "".join(path.read_text() for path in (ROOT / "exporter" / "cloud").rglob("*.py"))
    source += (ROOT / "exporter" / "config" / "secret.py").read_text()
    source += (ROOT / "exporter" / "probe" / "api.py").read_text()
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ")]
    messages = [words for cell in rows for words in re.findall(r"`([^`:]+ [^`]+)`", cell)]
    assert len(messages) > 4
    for message in messages:
        assert message in source or message == "type: token", message
