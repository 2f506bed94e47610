"""The JSON Schema of the configuration file, for editors that complete and check YAML."""

from typing import Any

from exporter.config.fields import JsonSchema
from exporter.config.schema import Root

_NULL: JsonSchema = {"type": "null"}


def json_schema() -> JsonSchema:
    """Return the JSON Schema (2020-12) of the configuration file.

    It accepts whatever `load` accepts, and refuses what can be refused without reading other
    files, the environment, or two places at once.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Console Exporter configuration",
        **_tidied(Root.model_json_schema()),
    }


def _tidied(node: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Drop what pydantic adds for other readers, and let optional keys stand without a value."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _tidied(value) for key, value in node.items() if not _is_noise(key, value)}
    required = kept.get("required", [])
    for name, schema in kept.get("properties", {}).items():
        if name not in required:
            kept["properties"][name] = _nullable(schema)
    return kept


def _is_noise(key: str, value: object) -> bool:
    # A property that was named so would be a schema, and not text or nothing.
    return (
        key == "discriminator"
        or (key == "title" and isinstance(value, str))
        or (key == "default" and value is None)
    )


def _nullable(schema: JsonSchema) -> JsonSchema:
    if _NULL in schema.get("anyOf", []):
        return schema
    notes: JsonSchema = {key: schema[key] for key in ("description", "default") if key in schema}
    rest = {key: value for key, value in schema.items() if key not in notes}
    return {**notes, "anyOf": [rest, _NULL]}
