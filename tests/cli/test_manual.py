"""Tests that ``--help`` is complete, matches the flags, is fast and fits the terminal."""

import argparse
import os
import re
import resource
import shlex
import subprocess
import sys

import pytest

from exporter.cli import command_line
from exporter.cli.help_text import ManualParser
from exporter.cli.manual import OVERVIEW, PAGES, Page

HELP_SECONDS_MAX = 0.15
HEAVY = {
    "apscheduler", "asyncio", "httpx", "jinja2", "prometheus_client", "pydantic", "starlette",
    "structlog", "uvicorn", "websockets", "yaml",
}  # fmt: skip


def commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = [one for one in vars(command_line())["_actions"] if isinstance(one.choices, dict)]
    return dict(action.choices)


COMMANDS = commands()


def help_text(*words: str, columns: int = 80) -> str:
    return subprocess.check_output(
        [sys.executable, "-m", "exporter", *words, "--help"],
        text=True,
        env={**os.environ, "COLUMNS": str(columns)},
    )


def test_each_command_has_a_page() -> None:
    assert COMMANDS.keys() <= PAGES.keys()
    assert "serve" in COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_description_flags_exit_statuses_and_examples(name: str) -> None:
    text = help_text(name)
    page = PAGES[name]
    assert flat(page.description) in flat(text)
    for status, meaning in page.exit_status:
        assert re.search(rf"^  {status} +{re.escape(meaning[:20])}", text, re.MULTILINE), status
    assert {"0", "2"} <= {status for status, _ in page.exit_status}
    for title in ("options:", "exit status:", "examples:"):
        assert f"\n{title}\n" in text
    for flag in vars(COMMANDS[name])["_actions"]:
        for option in flag.option_strings:
            assert option in text


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("page", [OVERVIEW, *(PAGES[name] for name in COMMANDS)])
def test_each_example_is_a_command_that_parses(page: Page) -> None:
    assert page.examples
    for example, meaning in page.examples:
        program, *words = shlex.split(example)
        assert program == "console-exporter"
        assert command_line().parse_args(words).run
        assert meaning


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_use_the_command_of_their_page(name: str) -> None:
    for example, _ in PAGES[name].examples:
        assert shlex.split(example)[1] == name


@pytest.mark.parametrize("columns", [44, 80, 132])
def test_help_fits_the_width_of_the_terminal(columns: int) -> None:
    for name in COMMANDS:
        sections = help_text(name, columns=columns).partition("\noptions:\n")[2]
        # A single longer word cannot be wrapped.
        long = [
            line for line in sections.splitlines()
            if len(line) > columns and len(line.split()) > 2
        ]  # fmt: skip
        assert long == [], name


def test_a_folded_example_can_be_pasted_into_a_shell() -> None:
    (example, *_others) = [one for one, _ in PAGES["serve"].examples]
    text = help_text("serve", columns=60).partition("\nexamples:\n")[2].replace("\\\n", "")
    assert shlex.split(example) == shlex.split(text)[: len(shlex.split(example))]
    assert "\\" in help_text("serve", columns=60)


def test_help_shows_defaults_only_where_there_are_any() -> None:
    text = flat(help_text("serve"))
    assert "(default: config.yaml)" in text
    assert "(default: :10429)" in text
    for name in COMMANDS:
        assert "default: None" not in help_text(name)
        assert "default: False" not in help_text(name)


def test_empty_sections_are_left_out() -> None:
    page = Page("sum up", "Describe.", (("console-exporter x", "try"),), (("0", "well"),))
    text = ManualParser(page=page, prog="x").format_help()
    assert text.endswith("examples:\n  console-exporter x\n      try\n")
    assert "environment" not in text


def test_the_overview_lists_every_command() -> None:
    text = help_text()
    for name in COMMANDS:
        assert re.search(rf"^    {name}\b", text, re.MULTILINE)


@pytest.mark.parametrize("words", [(), ("serve",)])
def test_help_is_fast(words: tuple[str, ...]) -> None:
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        help_text(*words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # CPU time, because other programs may be running.
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < HELP_SECONDS_MAX


def test_help_imports_no_heavy_package() -> None:
    import_times = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "exporter", "serve", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in import_times.splitlines()
    }
    assert "exporter" in imported
    assert imported & HEAVY == set()
