"""The OpenAPI document and the exporter agree."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.routing import BaseRoute, Mount, Route

from exporter.model import Stage
from exporter.outcome import Outcome, Verdict
from exporter.web.application import web_application
from exporter.web.health_state import HealthState
from tests.real.programs import exporter, simulator
from tests.real.simulated_project import listed_servers, write_config
from tests.web.fake_exporter import FakeExporter

TEXT = (resources.files("exporter.web.api") / "openapi.yaml").read_bytes()
DOCUMENT: dict[str, Any] = yaml.safe_load(TEXT)
METHODS = {"get", "post", "put", "patch", "delete", "options", "head", "trace"}


def operations(routes: Iterable[BaseRoute], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and method of every route, without HEAD, which comes with GET."""
    for route in routes:
        if isinstance(route, Mount):
            yield from operations(route.routes, above + route.path)
        else:
            assert isinstance(route, Route)
            for method in (route.methods or set()) - {"HEAD"}:
                yield above + route.path, method.lower()


def test_document_describes_exactly_the_existing_routes(fake: FakeExporter) -> None:
    described = {
        (path, method)
        for path, item in DOCUMENT["paths"].items()
        for method in item.keys() & METHODS
    }
    assert described == set(operations(web_application(fake).routes))


@pytest.mark.parametrize(
    ("name", "enum"),
    [("State", HealthState), ("Stage", Stage), ("Outcome", Outcome), ("Verdict", Verdict)],
)
def test_enums_match_the_code(name: str, enum: type[StrEnum]) -> None:
    assert DOCUMENT["components"]["schemas"][name]["enum"] == [str(member) for member in enum]


def test_failed_stage_is_a_stage_or_empty() -> None:
    assert DOCUMENT["components"]["schemas"]["FailedStage"]["enum"] == ["", *Stage]


async def test_exporter_serves_its_openapi_document(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/v1/openapi.yaml")
    assert response.headers["content-type"] == "application/yaml"
    assert response.content == TEXT


def test_running_exporter_conforms_to_the_openapi_document(tmp_path: Path) -> None:
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
    """Write the settings of schemathesis, with the ids of existing servers.

    It also generates other ids. An operation that it could not reach fails the run.
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
