"""The shipped scenarios, each an outage that extends the scenario without faults."""

from pathlib import Path

import pytest

from exporter.simulator import ScenarioError
from exporter.simulator.scenario_file import load_scenario, shipped_scenarios

OUTAGES = [name for name in shipped_scenarios() if name not in {"calm", "default"}]


def test_calm_scenario_has_no_faults_and_quotas() -> None:
    calm = load_scenario("calm")
    assert calm.faults == ()
    assert all(project.quota is None for project in calm.projects)


@pytest.mark.parametrize("name", OUTAGES)
def test_shipped_scenario_extends_calm_and_starts_after_a_minute(name: str) -> None:
    outage, calm = load_scenario(name), load_scenario("calm")
    assert [project.servers for project in outage.projects] == [
        project.servers for project in calm.projects
    ]
    quotas = [project.quota for project in outage.projects if project.quota]
    assert all((one.start, one.end) == (60, 21 * 60) for one in (*outage.faults, *quotas))


def test_custom_scenario_can_extend_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: calm\nprojects: [{name: east, quota: {limit: 1, window: 1s}}]\n")
    southwest, east = load_scenario(path).projects
    assert (southwest.quota, east.quota and east.quota.limit) == (None, 1)
    assert len(east.servers) == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: nothing", "extends: expected one of api-down,"),
        ("extends: [calm]", "extends: expected one of"),
        ("extends: calm\nprojects: x", "projects: expected a list of mappings"),
        ("extends: calm\nprojects: [x]", "projects: expected a list of mappings"),
        ("extends: calm\nprojects: [{name: x}]", "projects: expected a name among southwest, east"),
        ("extends: calm\nprojects: [{quota: 1}]", "projects: expected a name among"),
        ("extends: calm\ncolour: red", "colour: unknown key"),
    ],
)
def test_error_in_an_extending_scenario_is_reported(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert message in str(caught.value)


def test_unknown_name_lists_the_shipped_scenarios() -> None:
    with pytest.raises(ScenarioError, match="shipped scenarios: api-down, api-slow, calm"):
        load_scenario("no-such-scenario")
