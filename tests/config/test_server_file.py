"""Files that list servers: valid content, and errors with positions."""

import json
from pathlib import Path

import pytest

from exporter.config.check import check
from exporter.config.config import Project, TokenAuth
from exporter.config.errors import ConfigError
from exporter.config.secret import Secret
from exporter.config.server_file import FILES_MAX, find_server_files, read_server_files
from exporter.model import Stage

LIST = """\
# Generated from the inventory.
- {id: a, name: db-01, labels: {rack: r12}, interval: 30s}
- id: b
  timeout: 5s
  depth: rfb
"""
CONFIG = """\
projects:
  - name: one
    region: cn-southwest-2
    project_id: 0123456789abcdef0123456789abcdef
    auth: {type: token, token: "${TOKEN}"}
    servers: [{id: a, name: mine, interval: 45s}]
    server_files: ["servers/*.yaml"]
"""


def project(*patterns: str, interval: float = 60.0, timeout: float = 10.0) -> Project:
    return Project(
        "one",
        "cn-southwest-2",
        "p",
        "https://clouddc.example",
        TokenAuth(Secret("t")),
        timeout=timeout,
        interval=interval,
        server_files=patterns,
    )


def errors_of(*patterns: str, **settings: float) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_server_files(project(*patterns, **settings))
    return str(caught.value).splitlines()


def test_server_list_has_the_format_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(LIST)
    first, second = read_server_files(project(f"{tmp_path}/*.yaml"))
    assert (first.id, first.name, first.labels) == ("a", "db-01", (("rack", "r12"),))
    assert (first.interval, first.timeout, first.depth) == (30, 10, Stage.API)
    assert (second.name, second.interval, second.timeout, second.depth) == ("b", 60, 5, Stage.RFB)


def test_json_is_accepted_with_any_indentation(tmp_path: Path) -> None:
    servers = [{"id": "a", "name": "机房 1"}, {"id": "b", "labels": {"unit": 7}}]
    for indent in (None, 2, "\t"):
        (tmp_path / "a.json").write_text(json.dumps(servers, indent=indent))
        first, second = read_server_files(project(f"{tmp_path}/*.json"))
        assert (first.name, second.labels) == ("机房 1", (("unit", "7"),))


def test_empty_list_is_valid_and_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("[]\n")
    assert read_server_files(project(f"{tmp_path}/*.yaml")) == ()
    for empty in ("", "# no servers\n"):
        (tmp_path / "a.yaml").write_text(empty)
        [message] = errors_of(f"{tmp_path}/*.yaml")
        assert message == f"{tmp_path}/a.yaml: the file is empty; expected a list of servers"


def test_all_errors_of_all_files_have_positions(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- {id: a, interval: soon}\n- {id: b/c}\n- {lables: {}}\n")
    (tmp_path / "b.yaml").write_text("servers:\n  - {id: a}\n")
    (tmp_path / "c.yaml").write_text("- {id: x}\n- {id: x}\n")
    (tmp_path / "d.yaml").write_text("- {id: y\n")
    messages = errors_of(f"{tmp_path}/*.yaml")
    assert [message.removeprefix(f"{tmp_path}/") for message in messages] == [
        "a.yaml:1:21: [0].interval: expected a duration such as 30s or 1h30m, got 'soon'",
        "a.yaml:2:8: [1].id: expected an id of 1 to 64 letters, digits, dots, - or _, got 'b/c'",
        "a.yaml:3:3: [2].id: is missing; this key is required",
        "a.yaml:3:4: [2].lables: unknown key; did you mean labels?",
        "b.yaml:1:1: expected a list of servers, got a mapping",
        "c.yaml:2:8: [1].id: expected a unique id, but [0].id is the same",
        "d.yaml:2:1: not valid YAML: did not find expected ',' or '}'",
    ]


def test_server_in_two_files_is_an_error_that_names_both_positions(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- {id: a}\n- {id: b}\n")
    (tmp_path / "b.json").write_text('[{"id": "b"}]')
    [message] = errors_of(f"{tmp_path}/a.yaml", f"{tmp_path}/*.json")
    assert message == (
        f"{tmp_path}/b.json:1:9: [0].id: expected a unique id,"
        f" but {tmp_path}/a.yaml:2:8 is the same; remove one of them"
    )


def test_file_matching_two_patterns_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(LIST)
    assert len(read_server_files(project(f"{tmp_path}/*.yaml", f"{tmp_path}/a.*"))) == 2


def test_timeouts_are_compared_with_the_intervals_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- {id: a, timeout: 20s}\n- {id: b, interval: 9s}\n")
    first, second = errors_of(f"{tmp_path}/*", interval=15.0)
    expected = "expected a timeout shorter than the interval, got a timeout of"
    assert first.endswith(f"a.yaml:1:20: [0]: {expected} 20s and an interval of 15s")
    assert second.endswith(f"a.yaml:2:21: [1]: {expected} 10s and an interval of 9s")


def test_environment_variables_are_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IAM_PASSWORD", "hunter2")
    (tmp_path / "a.yaml").write_text('- {id: a, labels: {x: "${IAM_PASSWORD}"}}\n')
    [message] = errors_of(f"{tmp_path}/*")
    assert (
        "a.yaml:1:23: [0].labels.x: environment variables are not replaced in this file" in message
    )
    assert "hunter2" not in message
    (tmp_path / "a.yaml").write_text('- {id: a, labels: {x: "$${IAM_PASSWORD}"}}\n')
    assert read_server_files(project(f"{tmp_path}/*"))[0].labels == (("x", "${IAM_PASSWORD}"),)


def test_named_file_must_exist_and_pattern_may_match_nothing(tmp_path: Path) -> None:
    assert read_server_files(project(f"{tmp_path}/*.yaml")) == ()
    for missing in (f"{tmp_path}/a.yaml", f"{tmp_path}/unmounted/*.yaml"):
        [message] = errors_of(missing)
        path = missing.removesuffix("/*.yaml")
        assert message == f"{path}: cannot be read: No such file or directory"


def test_folder_name_may_contain_wildcard_characters(tmp_path: Path) -> None:
    folder = tmp_path / "rack[1]*"
    (folder / "servers").mkdir(parents=True)
    (folder / "servers" / "a.yaml").write_text(LIST)
    (folder / "config.yaml").write_text(CONFIG)
    assert len(check(folder / "config.yaml", {"TOKEN": "t"}).projects[0].servers) == 2


def test_too_many_files_are_rejected(tmp_path: Path) -> None:
    for number in range(FILES_MAX + 1):
        (tmp_path / f"{number}.yaml").touch()
    with pytest.raises(ConfigError, match=f"matches more than {FILES_MAX} files"):
        find_server_files([f"{tmp_path}/*.yaml"])


def test_configuration_overrides_a_server_file(tmp_path: Path) -> None:
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers" / "a.yaml").write_text(LIST)
    (tmp_path / "config.yaml").write_text(CONFIG)
    [checked] = check(tmp_path / "config.yaml", {"TOKEN": "t"}).projects
    assert [(server.id, server.name) for server in checked.servers] == [("a", "mine"), ("b", "b")]


def test_errors_of_configuration_and_server_files_are_reported_together(
    tmp_path: Path,
) -> None:
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers" / "a.yaml").write_text("- {id: a, depth: deep}\n")
    config = tmp_path / "config.yaml"
    config.write_text(f"global: {{history: 0}}\n{CONFIG}")
    with pytest.raises(ConfigError) as caught:
        check(config, {})
    assert [(detail.file.name, detail.path) for detail in caught.value.details] == [
        ("config.yaml", "global.history"),
        ("config.yaml", "projects[0].auth.token"),
        ("a.yaml", "[0].depth"),
    ]
    config.write_text(CONFIG)
    with pytest.raises(ConfigError, match=r"a\.yaml:1:18: \[0\]\.depth"):
        check(config, {"TOKEN": "t"})
