"""JSON Schema of the configuration file, for completion and checks in editors."""

from typing import Any

from pydantic import TypeAdapter

from exporter.config.config import ConfigFile
from exporter.config.section import JsonSchema

_NULL: JsonSchema = {"type": "null"}


def json_schema() -> JsonSchema:
    """Return the JSON Schema (2020-12) of the configuration file.

    It accepts everything that `load` accepts. It rejects what can be rejected without other files,
    environment variables or comparing two values.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Console Exporter configuration",
        **_tidied(TypeAdapter(ConfigFile).json_schema()),
    }


def _tidied(node: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Drop keywords that editors do not need, and allow optional keys without a value."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidied = {key: _tidied(value) for key, value in node.items() if not _is_noise(key, value)}
    if isinstance(text := tidied.get("description"), str):
        # The rest of a docstring describes the values in Python.
        tidied["description"] = text.partition("\n\n")[0]
    # Only the type of a login has a fixed value. It has a default in Python, but not in the file.
    if "const" in tidied.get("properties", {}).get("type", {}):
        del tidied["properties"]["type"]["default"]
        tidied["required"] = ["type", *tidied.get("required", [])]
    required = tidied.get("required", [])
    for name, schema in tidied.get("properties", {}).items():
        if name not in required:
            tidied["properties"][name] = _nullable(schema)
    return tidied


def _is_noise(key: str, value: object) -> bool:
    # A property may be named title or default; its value is then a schema, not text or null.
    return (
        key == "discriminator"
        or (key == "title" and isinstance(value, str))
        or (key == "default" and not isinstance(value, str | int | float))
    )


def _nullable(schema: JsonSchema) -> JsonSchema:
    if _NULL in schema.get("anyOf", []):
        return schema
    if "anyOf" in schema and "default" not in schema:
        return {**schema, "anyOf": [*schema["anyOf"], _NULL]}
    annotations: JsonSchema = {
        key: schema[key] for key in ("description", "default") if key in schema
    }
    rest = {key: value for key, value in schema.items() if key not in annotations}
    return {**annotations, "anyOf": [rest, _NULL]}
