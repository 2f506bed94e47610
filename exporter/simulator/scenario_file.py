"""Scenario files: YAML to `Scenario`. Every key is known or refused."""

from collections import Counter
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from exporter.simulator.fault_file import parse_fault, parse_quota
from exporter.simulator.scenario import (
    Agency,
    Console,
    Latency,
    Lockout,
    Markers,
    Project,
    Scenario,
    Server,
    User,
    WebSocketPath,
)
from exporter.simulator.section import (
    ScenarioError,
    Section,
    choice,
    duration,
    each,
    flag,
    identifier,
    number,
    some_time,
    text,
    texts_by_name,
    whole,
)
from exporter.simulator.signature import KeyPair

_MAX_SERVERS = 1_000_000
_MAX_COUNT = 1_000_000_000


_SHIPPED = files("exporter.simulator").joinpath("scenarios")
_DEFAULT = "default"


def shipped_scenarios() -> list[str]:
    """Return the names of the scenarios that are shipped."""
    return sorted(
        file.name.removesuffix(".yaml")
        for file in _SHIPPED.iterdir()
        if file.name.endswith(".yaml")
    )


def load_scenario(wanted: str | Path = _DEFAULT) -> Scenario:
    """Read a scenario: the name of one that is shipped, or a file.

    Raises `ScenarioError` when it cannot be read, or is no scenario.
    """
    shipped = str(wanted) in shipped_scenarios()
    source = _SHIPPED.joinpath(f"{wanted}.yaml") if shipped else Path(wanted)
    try:
        return parse_scenario(_extended(_read(source)))
    except OSError as error:
        raise ScenarioError(
            f"cannot read scenario {source}: {error.strerror}; shipped are"
            f" {', '.join(shipped_scenarios())}"
        ) from None
    except UnicodeDecodeError:
        raise ScenarioError(f"cannot read scenario {source}: it is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise ScenarioError(f"scenario {source} is no YAML: {_one_line(error)}") from None
    except ScenarioError as error:
        raise ScenarioError(f"scenario {source}: {error}") from None


def _read(source: Traversable | Path) -> object:
    return yaml.load(source.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 - it is safe


def _extended(document: object) -> object:
    """Lay a document over the shipped scenario that it extends.

    Its keys replace those below; of a project only those it gives, the name telling which.
    """
    if not isinstance(document, dict) or "extends" not in document:
        return document
    over = {key: value for key, value in document.items() if key != "extends"}
    name = str(document["extends"])
    if name not in shipped_scenarios():
        raise ScenarioError(f"extends: expected one of {', '.join(shipped_scenarios())}")
    below = _extended(_read(_SHIPPED.joinpath(f"{name}.yaml")))
    if not isinstance(below, dict):
        raise ScenarioError("extends: it is no mapping")
    changes = over.pop("projects", [])
    if not isinstance(changes, list) or not all(isinstance(one, dict) for one in changes):
        raise ScenarioError("projects: expected a list of mappings")
    by_name = {one["name"]: one for one in below["projects"]}
    for change in changes:
        if change.get("name") not in by_name:
            raise ScenarioError(f"projects: expected a name among {', '.join(by_name)}")
        by_name[change["name"]] = by_name[change["name"]] | change
    return below | over | {"projects": list(by_name.values())}


def parse_scenario(document: object) -> Scenario:
    """Make a scenario of plain data; raises `ScenarioError` at the first mistake."""
    section = Section(document, "")
    scenario = Scenario(
        seed=section.take("seed", whole(0, 2**63 - 1), 0),
        projects=section.need("projects", each(_project)),
        faults=section.take("faults", each(parse_fault), ()),
        lockout=section.take("lockout", _lockout, Lockout()),
        agency=section.take("agency", _agency, Agency()),
    )
    section.end()
    if not scenario.projects:
        raise ScenarioError("projects: at least one is needed")
    _refuse_twice("projects", "name", [project.name for project in scenario.projects])
    _refuse_twice("projects", "project_id", [project.project_id for project in scenario.projects])
    keys = [key.access_key for project in scenario.projects for key in project.access_keys]
    _refuse_twice("projects", "access_key", keys)
    names = {project.name for project in scenario.projects}
    for index, fault in enumerate(scenario.faults):
        if fault.project is not None and fault.project not in names:
            raise ScenarioError(f"faults[{index}].project: there is no project {fault.project!r}")
    return scenario


def _project(value: object, path: str) -> Project:
    section = Section(value, path)
    project = Project(
        name=section.need("name", identifier),
        region=section.need("region", identifier),
        project_id=section.need("project_id", identifier),
        users=section.take("users", each(_user), ()),
        access_keys=section.take("access_keys", each(_access_key), ()),
        token_lifetime=section.take("token_lifetime", some_time, 86_400.0),
        token_bytes=section.take("token_bytes", whole(32, 65_536), 3_000),
        latency=section.take("latency", _latency, Latency()),
        quota=section.take("quota", parse_quota, None),
        servers=section.take("servers", each(_server), ()),
        generate=section.take("generate", whole(0, _MAX_SERVERS), 0),
        markers=section.take("markers", choice(Markers), Markers.ID),
        console=section.take("console", _console, Console()),
    )
    section.end()
    _refuse_twice(f"{path}.servers", "id", [server.id for server in project.servers])
    return project


def _user(value: object, path: str) -> User:
    section = Section(value, path)
    user = User(*(section.need(key, text) for key in ("name", "password", "domain")))
    section.end()
    return user


def _access_key(value: object, path: str) -> KeyPair:
    section = Section(value, path)
    pair = KeyPair(
        section.need("access_key", identifier),
        section.need("secret_key", text),
        section.take("security_token", text, None),
    )
    section.end()
    return pair


def _latency(value: object, path: str) -> Latency:
    section = Section(value, path)
    latency = Latency(
        median=section.need("median", duration),
        sigma=section.take("sigma", number(0, 5), 0.0),
        cap=section.take("cap", some_time, 10.0),
    )
    section.end()
    return latency


def _server(value: object, path: str) -> Server:
    section = Section(value, path)
    server = Server(
        id=section.need("id", identifier),
        name=section.need("name", text),
        manage_state=section.take("manage_state", text, "in-use"),
        power_state=section.take("power_state", text, "on"),
        health_state=section.take("health_state", text, "OK"),
        tags=section.take("tags", texts_by_name, ()),
    )
    section.end()
    return server


def _console(value: object, path: str) -> Console:
    section = Section(value, path)
    console = Console(
        token_lifetime=section.take("token_lifetime", some_time, 600.0),
        single_use=section.take("single_use", flag, False),
        websocket=section.take("websocket", choice(WebSocketPath), WebSocketPath.ANY),
        viewers=section.take("viewers", _viewers, None),
    )
    section.end()
    return console


def _viewers(value: object, path: str) -> int | None:
    return None if value is None else whole(0, _MAX_COUNT)(value, path)


def _lockout(value: object, path: str) -> Lockout:
    section = Section(value, path)
    lockout = Lockout(
        failures=section.take("failures", whole(0, _MAX_COUNT), 5),
        account=section.take("account", duration, 900.0),
        access_key=section.take("access_key", duration, 300.0),
    )
    section.end()
    return lockout


def _agency(value: object, path: str) -> Agency:
    section = Section(value, path)
    agency = Agency(
        lifetime=section.take("lifetime", some_time, 3_600.0),
        session_token=section.take("session_token", flag, True),
    )
    section.end()
    return agency


def _refuse_twice(path: str, key: str, values: list[str]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise ScenarioError(f"{path}: {key} {value!r} is there twice")


def _one_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, where YAML libraries take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the base's
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, count in Counter(keys).items():
            if count > 1:
                line = node.start_mark.line + 1
                raise ScenarioError(f"key {key!r} is there twice in the mapping at line {line}")
        return super().construct_mapping(node, deep)
