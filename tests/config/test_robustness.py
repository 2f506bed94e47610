"""For any file content, `load` returns a configuration or raises `ConfigError`."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from exporter.config.config import Config
from exporter.config.load import ConfigError, json_schema, load

GOOD = (Path(__file__).parent / "documented.yaml").read_text()
LINES = GOOD.splitlines(keepends=True)
ENVIRON = {"IAM_PASSWORD": "hunter2"}
QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

keys = st.sampled_from(
    [
        "global",
        "projects",
        "name",
        "region",
        "project_id",
        "endpoint",
        "auth",
        "type",
        "token",
        "token_file",
        "password",
        "username",
        "domain",
        "rate_limit",
        "requests_per_second",
        "burst",
        "tls",
        "ca_file",
        "cert_file",
        "key_file",
        "proxy_url",
        "servers",
        "server_files",
        "discovery",
        "refresh_interval",
        "manage_state",
        "name_regex",
        "id",
        "labels",
        "interval",
        "timeout",
        "depth",
        "history",
        "console",
        "__x",
        "<<",
        "[key]",
        "${IAM_PASSWORD}",
    ]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            *("30s", "5m", "api", "rfb", "${IAM_PASSWORD}", "${NO}", "token", "password", "aksk"),
            *("https://x", "http://[", "*a", "&a", ".", "0", "\ud800"),
        ]
    ),
)
values = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(keys, children, max_size=6),
    max_leaves=25,
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def load_or_error(folder: Path, text: str | bytes) -> Config | ConfigError:
    path = folder / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        return load(path, ENVIRON)
    except ConfigError as error:
        config_error = error
    lines = str(config_error).splitlines()
    assert len(lines) == len(config_error.details) > 0
    assert all(line.startswith(str(path)) for line in lines)
    assert "hunter2" not in str(config_error)
    return config_error


@QUICK
@given(st.binary(max_size=200) | st.text(max_size=200))
@example("\ufeff")
@example("{" * 500)
@example("? " * 500)
@example("- " * 500)
@example("'")
@example('"\\ud800"')
@example("%YAML 9.9\n---\na")
@example("a: !<tag:yaml.org,2002:str> b")
@example("&a *a : *a")
@example("<<: {<<: [a]}")
def test_any_text_loads_or_is_rejected(folder: Path, text: str | bytes) -> None:
    load_or_error(folder, text)


@QUICK
@given(values)
def test_any_structure_loads_or_is_rejected(folder: Path, value: object) -> None:
    load_or_error(folder, json.dumps(value, ensure_ascii=False))


@QUICK
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(GOOD)),
            st.integers(0, 12),
            st.text(st.sampled_from("abz019 \n\t:-[]{}#&*!|>'\"%@`,?$~.é\0\ud800"), max_size=6),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_damaged_file_loads_or_is_rejected(folder: Path, edits: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for start, length, new in edits:
        text = text[:start] + new + text[start + length :]
    load_or_error(folder, text)


@QUICK
@given(st.permutations(range(len(LINES))).flatmap(lambda p: st.just(p[:25])))
def test_shuffled_lines_load_or_are_rejected(folder: Path, chosen: list[int]) -> None:
    load_or_error(folder, "".join(LINES[index] for index in chosen))


@QUICK
@given(
    st.sampled_from(["global", "project", "auth", "rate_limit", "tls", "server", "discovery"]),
    keys,
    values,
)
def test_editor_schema_accepts_every_file_that_loads(
    folder: Path, section: str, key: str, value: object
) -> None:
    document = yaml.safe_load(GOOD)
    project = document["projects"][0]
    target = {
        "global": document["global"],
        "project": project,
        "auth": project["auth"],
        "rate_limit": project["rate_limit"],
        "tls": project["tls"],
        "server": project["servers"][0],
        "discovery": project["discovery"],
    }[section]
    target[key] = value
    text = (
        json.dumps(document, ensure_ascii=False, allow_nan=False, default=str)
        if _finite(value)
        else "[]"
    )
    if isinstance(load_or_error(folder, text), Config):
        assert Draft202012Validator(json_schema()).is_valid(document)


def _finite(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
