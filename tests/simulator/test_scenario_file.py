"""Scenario files are read strictly, and mistakes are told with their path."""

from pathlib import Path

import pytest
import yaml

from exporter.simulator import ScenarioError, load_scenario, parse_scenario
from exporter.simulator.scenario import Console, FaultKind, Operation, WebSocketPath

_PROJECT = "{name: a, region: r, project_id: p}"


def test_the_shipped_scenario_has_the_two_projects_of_the_shipped_configuration() -> None:
    southwest, east = load_scenario().projects
    assert (southwest.name, southwest.project_id) == (
        "southwest",
        "0123456789abcdef0123456789abcdef",
    )
    assert (east.name, east.project_id) == ("east", "fedcba9876543210fedcba9876543210")
    assert (southwest.users[0].name, southwest.users[0].domain) == ("monitor", "my-account")
    assert east.access_keys[0].access_key == "SIMULATEDACCESSKEY"
    assert len(southwest.servers) == 20
    assert len(east.servers) == 8
    assert east.quota
    assert east.quota.active.holds(30)


def test_consoles_of_east_fail_at_each_stage_in_the_shipped_scenario() -> None:
    scenario = load_scenario()
    of_console = {
        (fault.project, fault.servers, fault.operation, fault.kind)
        for fault in scenario.faults
        if fault.operation is not Operation.REMOTE_CONSOLE
    }
    assert of_console == {
        ("east", "cache-03", Operation.CONSOLE_PAGE, FaultKind.STATUS),
        ("east", "backup-01", Operation.CONSOLE_WEBSOCKET, FaultKind.NO_UPGRADE),
        ("east", "queue-03", Operation.CONSOLE_RFB, FaultKind.CLOSE),
    }
    names = {server.name for server in scenario.projects[1].servers}
    assert {servers for _, servers, _, _ in of_console} <= names


def test_the_console_of_a_project_is_read_whole() -> None:
    project = {"name": "a", "region": "r", "project_id": "p"}
    console = {"token_lifetime": "1m", "single_use": True, "websocket": "root", "viewers": 2}
    scenario = parse_scenario({"projects": [{**project, "console": console}]})
    assert scenario.projects[0].console == Console(60, True, WebSocketPath.ROOT, 2)
    scenario = parse_scenario({"projects": [{**project, "console": {"viewers": None}}]})
    assert scenario.projects[0].console == Console(600, False, WebSocketPath.ANY, None)


def test_secrets_do_not_show_in_a_scenario() -> None:
    assert "simulated-password" not in repr(load_scenario())
    assert "simulated-secret-key" not in repr(load_scenario())


@pytest.mark.parametrize(
    ("yaml_text", "message"),
    [
        ("[]", "document: expected a mapping, got '[]'"),
        ("seed: 1", "projects: missing"),
        ("projects: []", "projects: at least one is needed"),
        ("projects: {}", "projects: expected a list, got '{}'"),
        (f"projects: [{_PROJECT}]\nfault: []", "fault: unknown key"),
        (f"projects: [{_PROJECT}]\nseed: x", "seed: expected a whole number from 0 to"),
        ("projects: [{name: a}]", "projects[0].region: missing"),
        (f"projects: [{_PROJECT}, {_PROJECT}]", "projects: name 'a' is there twice"),
        (
            "projects: [{name: a, region: r, project_id: p, latency: {median: 80}, colour: red}]",
            "projects[0].colour: unknown key",
        ),
        (
            "projects: [{name: a, region: r, project_id: p, latency: {median: 80 ms}}]",
            (
                "projects[0].latency.median: expected a duration such as 30s, 1h30m or 0.5,"
                " got '80 ms'"
            ),
        ),
        (
            "projects: [{name: a/b, region: r, project_id: p}]",
            "projects[0].name: expected letters, digits, '-', '_' or '.', got 'a/b'",
        ),
        (
            (
                "projects: [{name: a, region: r, project_id: p,"
                " servers: [{id: x, name: n}, {id: x, name: m}]}]"
            ),
            "projects[0].servers: id 'x' is there twice",
        ),
        (
            "projects: [{name: a, region: r, project_id: p, users: [{name: u, domain: d}]}]",
            "projects[0].users[0].password: missing",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: explode}}]",
            "faults[0].kind: expected one of status, slow, hang,",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: hang, project: b}}]",
            "faults[0].project: there is no project 'b'",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: hang, status: 500}}]",
            "faults[0].status: unknown key",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: iam_down, servers: db-*}}]",
            "faults[0].servers: unknown key",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: hang, every: 1m}}]",
            "faults[0]: every and for go together",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: hang, every: 1m, for: 2m}}]",
            "faults[0].for: must not be longer than every",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: hang, from: 1m, until: 1m}}]",
            "faults[0].until: must come after from",
        ),
        (
            (
                f"projects: [{_PROJECT}]\n"
                "faults: [{kind: hang, operation: list_servers, fraction: 0.5}]"
            ),
            "faults[0]: only remote_console and console_* can fail for some servers alone",
        ),
        (
            f"projects: [{_PROJECT}]\nagency: {{session_token: 1}}",
            "agency.session_token: expected true or false, got '1'",
        ),
        (
            "projects: [{name: a, region: r, project_id: p, console: {websocket: both}}]",
            "projects[0].console.websocket: expected one of any, relative, root, got 'both'",
        ),
        (
            "projects: [{name: a, region: r, project_id: p, console: {token_lifetime: 0}}]",
            "projects[0].console.token_lifetime: must be more than 0",
        ),
        (
            "projects: [{name: a, region: r, project_id: p, console: {viewers: -1}}]",
            "projects[0].console.viewers: expected a whole number from 0 to",
        ),
        (
            "projects: [{name: a, region: r, project_id: p, console: {depth: rfb}}]",
            "projects[0].console.depth: unknown key",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: html, operation: console_rfb}}]",
            "faults[0].kind: console_rfb fails only by slow, hang, reset,",
        ),
        (f"projects: [{_PROJECT}]\nlockout: {{failures: true}}", "lockout.failures: expected"),
    ],
)
def test_a_mistake_is_told_with_its_path(yaml_text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(yaml.safe_load(yaml_text))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed: 1\nseed: 2\n", "key 'seed' is there twice in the mapping at line 1"),
        (b"projects: [", "is no YAML"),
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
    ],
)
def test_an_unusable_file_is_told_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"cannot read scenario .*: No such file or directory"):
        load_scenario(tmp_path / "none.yaml")
