"""Load scenario files: YAML to `Scenario`. Unknown keys are errors."""

from collections import Counter
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from exporter.simulator.scenario import Scenario
from exporter.simulator.section import ScenarioError, parse

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
    return parse(Scenario, document)


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
