"""Scenario files: YAML to `Scenario`. Every key is known or refused."""

import math
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from exporter.simulator.scenario import (
    LOGIN_FAULTS,
    Agency,
    Fault,
    FaultKind,
    Latency,
    Lockout,
    Markers,
    Operation,
    Project,
    Quota,
    QuotaBody,
    QuotaKind,
    RetryAfter,
    Scenario,
    Server,
    Shape,
    Span,
    User,
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
    text,
    texts_by_name,
    whole,
)
from exporter.simulator.signature import KeyPair

_MAX_SERVERS = 1_000_000
_MAX_COUNT = 1_000_000_000


def load_scenario(path: Path | None = None) -> Scenario:
    """Read a scenario file, the one that is shipped if none is given.

    Raises `ScenarioError` when it cannot be read, or is no scenario.
    """
    source = path or files("exporter.simulator").joinpath("scenarios", "default.yaml")
    try:
        document = yaml.load(source.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 - safe
        return parse_scenario(document)
    except OSError as error:
        raise ScenarioError(f"cannot read scenario {source}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"cannot read scenario {source}: it is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise ScenarioError(f"scenario {source} is no YAML: {_one_line(error)}") from None
    except ScenarioError as error:
        raise ScenarioError(f"scenario {source}: {error}") from None


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


def parse_quota(value: object, path: str) -> Quota:
    """Make a quota of plain data; raises `ScenarioError`."""
    section = Section(value, path)
    quota = Quota(
        limit=section.need("limit", whole(1, _MAX_COUNT)),
        window=section.need("window", _whole_seconds),
        kind=section.take("kind", choice(QuotaKind), QuotaKind.TOKEN_BUCKET),
        retry_after=section.take("retry_after", choice(RetryAfter), RetryAfter.NONE),
        body=section.take("body", choice(QuotaBody), QuotaBody.APIG),
        active=_span(section, path),
    )
    section.end()
    return quota


def parse_fault(value: object, path: str) -> Fault:
    """Make a fault of plain data; raises `ScenarioError`."""
    section = Section(value, path)
    kind = section.need("kind", choice(FaultKind))
    fault = Fault(
        kind=kind,
        project=section.take("project", text, None),
        active=_span(section, path),
        **({} if kind in LOGIN_FAULTS else _details(section, kind, path)),
    )
    section.end()
    return fault


def _details(section: Section, kind: FaultKind, path: str) -> dict[str, Any]:
    """Read what faults of an answer have, and of the rest only what this kind has."""
    operation: Operation | None = section.take("operation", _operation, Operation.REMOTE_CONSOLE)
    servers = section.take("servers", text, None)
    fraction = section.take("fraction", number(0, 1), None)
    for_some = servers is not None or fraction is not None
    if for_some and operation is not Operation.REMOTE_CONSOLE:
        raise ScenarioError(f"{path}: only remote_console can fail for some servers alone")
    details: dict[str, Any] = {"operation": operation, "servers": servers, "fraction": fraction}
    if kind is FaultKind.STATUS:
        details["status"] = section.need("status", whole(400, 599))
        details["error_code"] = section.take("error_code", text, None)
        details["shape"] = section.take("shape", choice(Shape), None)
    if kind is FaultKind.SLOW:
        details["seconds"] = section.need("seconds", duration)
    if kind in {FaultKind.REDIRECT, FaultKind.BAD_URL}:
        details["url"] = section.take("url", text, None)
    return details


def _operation(value: object, path: str) -> Operation | None:
    return None if value == "any" else choice(Operation)(value, path)


def _span(section: Section, path: str) -> Span:
    span = Span(
        start=section.take("from", duration, 0.0),
        end=section.take("until", duration, math.inf),
        every=section.take("every", _some_time, None),
        lasting=section.take("for", _some_time, math.inf),
    )
    if span.end <= span.start:
        raise ScenarioError(f"{path}.until: must come after from")
    if (span.every is None) != math.isinf(span.lasting):
        raise ScenarioError(f"{path}: every and for go together")
    if span.every is not None and span.lasting > span.every:
        raise ScenarioError(f"{path}.for: must not be longer than every")
    return span


def _some_time(value: object, path: str) -> float:
    seconds = duration(value, path)
    if seconds == 0:
        raise ScenarioError(f"{path}: must be more than 0")
    return seconds


def _whole_seconds(value: object, path: str) -> int:
    seconds = _some_time(value, path)
    if not seconds.is_integer():
        raise ScenarioError(f"{path}: must be whole seconds")
    return int(seconds)


def _project(value: object, path: str) -> Project:
    section = Section(value, path)
    project = Project(
        name=section.need("name", identifier),
        region=section.need("region", identifier),
        project_id=section.need("project_id", identifier),
        users=section.take("users", each(_user), ()),
        access_keys=section.take("access_keys", each(_access_key), ()),
        token_lifetime=section.take("token_lifetime", _some_time, 86_400.0),
        token_bytes=section.take("token_bytes", whole(32, 65_536), 3_000),
        latency=section.take("latency", _latency, Latency()),
        quota=section.take("quota", parse_quota, None),
        servers=section.take("servers", each(_server), ()),
        generate=section.take("generate", whole(0, _MAX_SERVERS), 0),
        markers=section.take("markers", choice(Markers), Markers.ID),
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
        cap=section.take("cap", _some_time, 10.0),
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
        lifetime=section.take("lifetime", _some_time, 3_600.0),
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
