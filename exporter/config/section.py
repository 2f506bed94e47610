"""Base of the sections of configuration files.

A section is a frozen dataclass. pydantic creates it from a mapping of the file, and checks each
value by the annotation of its field. Creating one in Python checks nothing.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cache
from typing import Any, get_type_hints

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.fields import FieldInfo

from exporter.config.secret import Secret

JsonSchema = dict[str, Any]

INHERITED = ("interval", "timeout", "depth")
"""Settings that a section without them takes from the section above."""


def settings(**json_schema: Any) -> ConfigDict:  # noqa: ANN401 - JSON of any shape
    """Return how pydantic reads a section; ``json_schema`` is added to its JSON Schema."""
    return ConfigDict(extra="forbid", hide_input_in_errors=True, json_schema_extra=json_schema)


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping that rejects unknown keys."""

    __pydantic_config__ = settings()

    @model_validator(mode="before")
    @classmethod
    def _without_empty_keys(cls, data: Any) -> Any:  # noqa: ANN401 - raw input
        """Drop known keys without a value, so that ``proxy_url:`` means the default."""
        if not isinstance(data, dict) or None not in data.values():
            return data
        known = known_keys(cls)  # type: ignore[arg-type] # mypy takes a frozen class as unhashable
        return {k: v for k, v in data.items() if v is not None or k not in known}


def set_secrets(section: Section, **secrets: Secret | None) -> None:
    """Set the secrets of a new section that are given as files, by the key ``x_file``."""
    for name, secret in secrets.items():
        if secret is not None:
            object.__setattr__(section, name, secret)


@cache
def known_keys(section: type) -> tuple[str, ...]:
    """Return the keys that a section allows, in the order of its fields."""
    hints = get_type_hints(section, include_extras=True)
    return tuple(_key(name, hint) for name, hint in hints.items() if hint is not KW_ONLY)


def _key(name: str, hint: object) -> str:
    fields = (one for one in getattr(hint, "__metadata__", ()) if isinstance(one, FieldInfo))
    return next((field.alias for field in fields if field.alias), name)


def endpoint_of(service: str, region: str) -> str:
    """Return the default URL of a cloud service."""
    return f"https://{service}.{region}.myhuaweicloud.com"


def inherit(section: object, given: Mapping[str, object]) -> object:
    """Return a mapping of the file with the values of ``given`` where it has none.

    Anything else is returned unchanged, for pydantic to reject.
    """
    if not isinstance(section, dict):
        return section
    return section | {key: value for key, value in given.items() if section.get(key) is None}


def inherited(section: object) -> dict[str, object]:
    """Return the settings that the sections below one inherit from it."""
    return {key: getattr(section, key) for key in INHERITED}


def inherit_all(sections: object, given: Mapping[str, object]) -> object:
    """Return a list of the file with `inherit` applied to its items."""
    return [inherit(one, given) for one in sections] if isinstance(sections, list) else sections


def doc(description: str, **options: Any) -> Any:  # noqa: ANN401 - as pydantic declares it
    """Describe a key in the JSON Schema; ``options`` are those of pydantic's `Field`."""
    return Field(description=description, **options)


def overrides(section: str) -> Any:  # noqa: ANN401 - as pydantic declares it
    """Describe a setting whose default is that of the section above."""
    return doc(f"Overrides the {section}.", json_schema_extra=_without_default)


def _without_default(schema: JsonSchema) -> None:
    schema.pop("default", None)


def both(one: str, other: str) -> JsonSchema:
    """Return the JSON Schema for mappings with both keys."""
    return {"allOf": [_given(one), _given(other)]}


def neither(one: str, other: str) -> JsonSchema:
    """Return the JSON Schema for mappings with neither key."""
    return {"not": {"anyOf": [_given(one), _given(other)]}}


def one_of(*names: str) -> list[JsonSchema]:
    """Return JSON Schemas for mappings with either ``x`` or ``x_file``, for each name."""
    return [{"oneOf": [_given(name), _given(f"{name}_file")]} for name in names]


def _given(name: str) -> JsonSchema:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
