"""The shipped scenarios: one story each, over a cloud in which nothing is wrong."""

from pathlib import Path

import pytest

from exporter.simulator.scenario_file import load_scenario, shipped_scenarios
from exporter.simulator.section import ScenarioError

STORIES = [name for name in shipped_scenarios() if name not in {"calm", "default"}]


def test_nothing_is_wrong_in_the_calm_scenario() -> None:
    calm = load_scenario("calm")
    assert calm.faults == ()
    assert all(project.quota is None for project in calm.projects)


@pytest.mark.parametrize("name", STORIES)
def test_a_story_has_the_servers_of_the_calm_scenario_and_begins_after_a_minute(name: str) -> None:
    story, calm = load_scenario(name), load_scenario("calm")
    assert [project.servers for project in story.projects] == [
        project.servers for project in calm.projects
    ]
    quotas = [project.quota for project in story.projects if project.quota]
    spans = [fault.active for fault in story.faults] + [quota.active for quota in quotas]
    assert all((span.start, span.end) == (60, 21 * 60) for span in spans)


def test_a_scenario_of_one_s_own_can_extend_a_shipped_one(tmp_path: Path) -> None:
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
def test_a_mistake_in_what_extends_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert message in str(caught.value)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(ScenarioError, match="shipped are api-down, api-slow, calm"):
        load_scenario("no-such-story")
