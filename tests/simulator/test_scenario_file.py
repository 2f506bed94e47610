"""Scenario files are parsed strictly, and errors contain the path."""

from pathlib import Path

import pytest
import yaml

from exporter.simulator import ScenarioError, load_scenario, parse_scenario
from exporter.simulator.scenario import Console, FaultKind, Operation, WebSocketPath

_PROJECT = "{name: a, region: r, project_id: p}"


def test_default_scenario_has_the_projects_of_the_shipped_configuration() -> None:
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
    assert east.quota.active_at(30)


def test_default_scenario_has_a_fault_at_each_stage_of_easts_consoles() -> None:
    scenario = load_scenario()
    console_faults = {
        (fault.project, fault.servers, fault.operation, fault.kind)
        for fault in scenario.faults
        if fault.operation is not Operation.REMOTE_CONSOLE
    }
    assert console_faults == {
        ("east", "cache-03", Operation.CONSOLE_PAGE, FaultKind.STATUS),
        ("east", "backup-01", Operation.CONSOLE_WEBSOCKET, FaultKind.NO_UPGRADE),
        ("east", "queue-03", Operation.CONSOLE_RFB, FaultKind.CLOSE),
    }
    names = {server.name for server in scenario.projects[1].servers}
    assert {servers for _, servers, _, _ in console_faults} <= names


def test_all_settings_of_a_console_are_parsed() -> None:
    project = {"name": "a", "region": "r", "project_id": "p"}
    console = {"token_lifetime": "1m", "single_use": True, "websocket": "root", "viewers": 2}
    scenario = parse_scenario({"projects": [{**project, "console": console}]})
    assert scenario.projects[0].console == Console(
        token_lifetime=60, single_use=True, websocket=WebSocketPath.ROOT, viewers=2
    )
    scenario = parse_scenario({"projects": [{**project, "console": {"viewers": None}}]})
    assert scenario.projects[0].console == Console(
        token_lifetime=600, single_use=False, websocket=WebSocketPath.ANY, viewers=None
    )


def test_repr_of_a_scenario_contains_no_secrets() -> None:
    assert "simulated-password" not in repr(load_scenario())
    assert "simulated-secret-key" not in repr(load_scenario())


@pytest.mark.parametrize(
    ("yaml_text", "message"),
    [
        ("[]", "document: expected a mapping, got '[]'"),
        ("seed: 1", "projects: missing"),
        ("projects: []", "projects: at least one is required"),
        ("projects: {}", "projects: expected a list, got '{}'"),
        (f"projects: [{_PROJECT}]\nfault: []", "fault: unknown key"),
        (f"projects: [{_PROJECT}]\nseed: x", "seed: expected a whole number, got 'x'"),
        ("projects: [{name: a}]", "projects[0].region: missing"),
        (f"projects: [{_PROJECT}, {_PROJECT}]", "projects: duplicate name 'a'"),
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
            "projects[0].servers: duplicate id 'x'",
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
            "faults[0].project: unknown project 'b'",
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
            "faults[0]: every and for need each other",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: hang, every: 1m, for: 2m}}]",
            "faults[0].for: must not be longer than every",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: hang, from: 1m, until: 1m}}]",
            "faults[0].until: must be later than from",
        ),
        (
            (
                f"projects: [{_PROJECT}]\n"
                "faults: [{kind: hang, operation: list_servers, fraction: 0.5}]"
            ),
            "faults[0]: servers and fraction need the operation remote_console or console_*",
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
            "projects[0].console.token_lifetime: must be greater than 0",
        ),
        (
            "projects: [{name: a, region: r, project_id: p, console: {viewers: -1}}]",
            "projects[0].console.viewers: expected at least 0, got '-1'",
        ),
        (
            "projects: [{name: a, region: r, project_id: p, console: {depth: rfb}}]",
            "projects[0].console.depth: unknown key",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: html, operation: console_rfb}}]",
            "faults[0].kind: console_rfb supports only slow, hang, reset,",
        ),
        (f"projects: [{_PROJECT}]\nlockout: {{failures: true}}", "lockout.failures: expected"),
        (
            "projects: [{name: a, region: r, project_id: p, quota: null}]",
            "projects[0].quota: expected a value, got 'None'",
        ),
        (
            (
                "projects: [{name: a, region: r, project_id: p,"
                " servers: [{id: x, name: n, tags: {team: 1}}]}]"
            ),
            "projects[0].servers[0].tags.team: expected a non-empty string, got '1'",
        ),
        (
            f"projects: [{_PROJECT}]\nfaults: [{{kind: hang, start: 1m}}]",
            "faults[0].start: unknown key",
        ),
    ],
)
def test_error_contains_the_path(yaml_text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(yaml.safe_load(yaml_text))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed: 1\nseed: 2\n", "duplicate key 'seed' in the mapping at line 1"),
        (b"projects: [", "is not valid YAML"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
    ],
)
def test_invalid_file_is_reported_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"cannot read scenario .*: No such file or directory"):
        load_scenario(tmp_path / "none.yaml")
