"""Load scenario files: YAML to `Scenario`. Unknown keys are errors."""

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
    boolean,
    duration,
    identifier,
    integer,
    list_of,
    number,
    one_of,
    positive_duration,
    strings_by_name,
    text,
)
from exporter.simulator.signature import KeyPair

_MAX_SERVERS = 1_000_000
_MAX_COUNT = 1_000_000_000
_SHIPPED = files("exporter.simulator").joinpath("scenarios")
_DEFAULT = "default"


def shipped_scenarios() -> list[str]:
    """Return the names of the shipped scenarios."""
    return sorted(
        file.name.removesuffix(".yaml")
        for file in _SHIPPED.iterdir()
        if file.name.endswith(".yaml")
    )


def load_scenario(name_or_path: str | Path = _DEFAULT) -> Scenario:
    """Load a shipped scenario by name, or a scenario file.

    Raises `ScenarioError` if it cannot be read or is invalid.
    """
    shipped = str(name_or_path) in shipped_scenarios()
    source = _SHIPPED.joinpath(f"{name_or_path}.yaml") if shipped else Path(name_or_path)
    try:
        return parse_scenario(_with_base(_read(source)))
    except OSError as error:
        raise ScenarioError(
            f"cannot read scenario {source}: {error.strerror}; shipped scenarios:"
            f" {', '.join(shipped_scenarios())}"
        ) from None
    except UnicodeDecodeError:
        raise ScenarioError(f"cannot read scenario {source}: not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise ScenarioError(f"scenario {source} is not valid YAML: {_one_line(error)}") from None
    except ScenarioError as error:
        raise ScenarioError(f"scenario {source}: {error}") from None


def _read(source: Traversable | Path) -> object:
    return yaml.load(source.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 - a SafeLoader


def _with_base(document: object) -> object:
    """Merge a document into the shipped scenario that it extends.

    Its keys replace those of the base. Projects are merged by name, key by key.
    """
    if not isinstance(document, dict) or "extends" not in document:
        return document
    overrides = {key: value for key, value in document.items() if key != "extends"}
    name = str(document["extends"])
    if name not in shipped_scenarios():
        raise ScenarioError(f"extends: expected one of {', '.join(shipped_scenarios())}")
    base = _with_base(_read(_SHIPPED.joinpath(f"{name}.yaml")))
    if not isinstance(base, dict):
        raise ScenarioError("extends: not a mapping")
    changes = overrides.pop("projects", [])
    if not isinstance(changes, list) or not all(isinstance(one, dict) for one in changes):
        raise ScenarioError("projects: expected a list of mappings")
    by_name = {one["name"]: one for one in base["projects"]}
    for change in changes:
        if change.get("name") not in by_name:
            raise ScenarioError(f"projects: expected a name among {', '.join(by_name)}")
        by_name[change["name"]] = by_name[change["name"]] | change
    return base | overrides | {"projects": list(by_name.values())}


def parse_scenario(document: object) -> Scenario:
    """Parse a scenario from plain data; raises `ScenarioError` at the first error."""
    section = Section(document, "")
    scenario = Scenario(
        seed=section.take("seed", integer(0, 2**63 - 1), 0),
        projects=section.need("projects", list_of(_project)),
        faults=section.take("faults", list_of(parse_fault), ()),
        lockout=section.take("lockout", _lockout, Lockout()),
        agency=section.take("agency", _agency, Agency()),
    )
    section.end()
    if not scenario.projects:
        raise ScenarioError("projects: at least one is required")
    _reject_duplicates("projects", "name", [project.name for project in scenario.projects])
    _reject_duplicates(
        "projects", "project_id", [project.project_id for project in scenario.projects]
    )
    keys = [key.access_key for project in scenario.projects for key in project.access_keys]
    _reject_duplicates("projects", "access_key", keys)
    names = {project.name for project in scenario.projects}
    for index, fault in enumerate(scenario.faults):
        if fault.project is not None and fault.project not in names:
            raise ScenarioError(f"faults[{index}].project: unknown project {fault.project!r}")
    return scenario


def _project(value: object, path: str) -> Project:
    section = Section(value, path)
    project = Project(
        name=section.need("name", identifier),
        region=section.need("region", identifier),
        project_id=section.need("project_id", identifier),
        users=section.take("users", list_of(_user), ()),
        access_keys=section.take("access_keys", list_of(_access_key), ()),
        token_lifetime=section.take("token_lifetime", positive_duration, 86_400.0),
        token_bytes=section.take("token_bytes", integer(32, 65_536), 3_000),
        latency=section.take("latency", _latency, Latency()),
        quota=section.take("quota", parse_quota, None),
        servers=section.take("servers", list_of(_server), ()),
        generate=section.take("generate", integer(0, _MAX_SERVERS), 0),
        markers=section.take("markers", one_of(Markers), Markers.ID),
        console=section.take("console", _console, Console()),
    )
    section.end()
    _reject_duplicates(f"{path}.servers", "id", [server.id for server in project.servers])
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
        cap=section.take("cap", positive_duration, 10.0),
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
        tags=section.take("tags", strings_by_name, ()),
    )
    section.end()
    return server


def _console(value: object, path: str) -> Console:
    section = Section(value, path)
    console = Console(
        token_lifetime=section.take("token_lifetime", positive_duration, 600.0),
        single_use=section.take("single_use", boolean, False),
        websocket=section.take("websocket", one_of(WebSocketPath), WebSocketPath.ANY),
        viewers=section.take("viewers", _viewers, None),
    )
    section.end()
    return console


def _viewers(value: object, path: str) -> int | None:
    return None if value is None else integer(0, _MAX_COUNT)(value, path)


def _lockout(value: object, path: str) -> Lockout:
    section = Section(value, path)
    lockout = Lockout(
        failures=section.take("failures", integer(0, _MAX_COUNT), 5),
        account=section.take("account", duration, 900.0),
        access_key=section.take("access_key", duration, 300.0),
    )
    section.end()
    return lockout


def _agency(value: object, path: str) -> Agency:
    section = Section(value, path)
    agency = Agency(
        lifetime=section.take("lifetime", positive_duration, 3_600.0),
        session_token=section.take("session_token", boolean, True),
    )
    section.end()
    return agency


def _reject_duplicates(path: str, key: str, values: list[str]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise ScenarioError(f"{path}: duplicate {key} {value!r}")


def _one_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())


class _UniqueKeys(yaml.SafeLoader):
    """Reject duplicate keys in a mapping, of which YAML libraries silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the base's
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, count in Counter(keys).items():
            if count > 1:
                line = node.start_mark.line + 1
                raise ScenarioError(f"duplicate key {key!r} in the mapping at line {line}")
        return super().construct_mapping(node, deep)
