"""JSON Schema of the configuration file, for completion and checks in editors."""

from typing import Any

from exporter.config.fields import JsonSchema
from exporter.config.schema import Root

_NULL: JsonSchema = {"type": "null"}


def json_schema() -> JsonSchema:
    """Return the JSON Schema (2020-12) of the configuration file.

    It accepts everything that `load` accepts. It rejects what can be rejected without other files,
    environment variables or comparing two values.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Console Exporter configuration",
        **_tidied(Root.model_json_schema()),
    }


def _tidied(node: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Drop keywords that editors do not need, and allow optional keys without a value."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidied = {key: _tidied(value) for key, value in node.items() if not _is_noise(key, value)}
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
        or (key == "default" and value is None)
    )


def _nullable(schema: JsonSchema) -> JsonSchema:
    if _NULL in schema.get("anyOf", []):
        return schema
    annotations: JsonSchema = {
        key: schema[key] for key in ("description", "default") if key in schema
    }
    rest = {key: value for key, value in schema.items() if key not in annotations}
    return {**annotations, "anyOf": [rest, _NULL]}
