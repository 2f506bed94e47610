"""The description says what the program answers, and the program answers what it says."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
import yaml
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from exporter.model import Stage
from exporter.outcome import Outcome, Verdict
from exporter.web.health_state import HealthState
from tests.real.programs import exporter, simulator
from tests.real.simulated_project import listed_servers, write_config

TEXT = (resources.files("exporter.web.api") / "openapi.yaml").read_bytes()
DOCUMENT: dict[str, Any] = yaml.safe_load(TEXT)
METHODS = {"get", "post", "put", "patch", "delete", "options", "head", "trace"}


class Pretend(Protocol):
    def application(self) -> Starlette: ...


def answered(routes: Iterable[BaseRoute], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and method of every route; HEAD goes without saying where there is GET."""
    for route in routes:
        if isinstance(route, Mount):
            yield from answered(route.routes, above + route.path)
        else:
            assert isinstance(route, Route)
            for method in (route.methods or set()) - {"HEAD"}:
                yield above + route.path, method.lower()


def test_every_route_is_described_and_every_description_is_of_a_route(pretend: Pretend) -> None:
    described = {
        (path, method)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations.keys() & METHODS
    }
    assert described == set(answered(pretend.application().routes))


@pytest.mark.parametrize(
    ("name", "words"),
    [("State", HealthState), ("Stage", Stage), ("Outcome", Outcome), ("Verdict", Verdict)],
)
def test_its_words_are_those_of_the_program(name: str, words: type[StrEnum]) -> None:
    assert DOCUMENT["components"]["schemas"][name]["enum"] == [str(word) for word in words]


def test_the_stage_that_failed_is_a_stage_or_none() -> None:
    assert DOCUMENT["components"]["schemas"]["FailedStage"]["enum"] == ["", *Stage]


async def test_the_program_answers_its_own_description(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/openapi.yaml")
    assert answer.headers["content-type"] == "application/yaml"
    assert answer.content == TEXT


def test_the_running_program_does_what_the_description_says(tmp_path: Path) -> None:
    with simulator("--seed=1", "--scenario=calm") as cloud:
        servers = listed_servers(cloud.url)[:3]
        config = write_config(tmp_path / "config.yaml", cloud.url, servers)
        with exporter(config) as ours:
            settings = schemathesis_settings(tmp_path, [server_id for server_id, _ in servers])
            url = f"http://{ours.url}"
            checked = subprocess.run(
                [
                    sys.executable, "-m", "schemathesis.cli", "--no-color",
                    f"--config-file={settings}", "run", f"{url}/api/v1/openapi.yaml",
                    f"--url={url}", "--checks=all", "--phases=coverage,fuzzing",
                ],
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
                cwd=tmp_path,
            )  # fmt: skip
            assert checked.returncode == 0, checked.stdout + checked.stderr
            assert "No issues found" in checked.stdout
            assert "Traceback" not in ours.output


def schemathesis_settings(folder: Path, ids: list[str]) -> Path:
    """Write what schemathesis cannot guess: which servers there are.

    It invents others too. Whatever it could not reach is a failure of the run.
    """
    (folder / "schemathesis.toml").write_text(
        f"""
seed = 1
continue-on-failure = true
cache = {{enabled = false}}
generation = {{max-examples = 25}}
warnings = {{fail-on = true}}

[dictionaries]
projects = {{values = ["southwest"]}}
servers = {{values = {json.dumps(ids)}}}

[parameters]
"path.project" = {{dictionary = "projects", probability = 0.8}}
"path.server_id" = {{dictionary = "servers", probability = 0.8}}
"query.target" = {{dictionary = "servers", probability = 0.8}}
"""
    )
    return folder / "schemathesis.toml"
