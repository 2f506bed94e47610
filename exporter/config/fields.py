"""Field types of the configuration: the check and the JSON Schema of each.

A JSON Schema accepts everything that its check accepts, including ``${VAR}``, and rejects what the
syntax alone shows to be wrong. Editors read numbers and booleans where the exporter reads text.
"""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema

from exporter.config.duration import PATTERN as DURATION
from exporter.config.duration import format_duration
from exporter.config.files import (
    ca_file,
    either,
    header_safe,
    key_file,
    optional,
    password_safe,
    readable_file,
    secret_text,
    server_files,
)
from exporter.config.host_pattern import HostPattern
from exporter.config.secret import Secret
from exporter.config.section import JsonSchema
from exporter.config.url_rules import https_origin, metadata_origin, proxy_url
from exporter.config.value_checks import (
    LABEL_SOURCE,
    LABEL_VALUE_MAX,
    RESERVED_LABELS,
    SERVER_ID,
    SERVER_NAME_MAX,
    depth,
    duration,
    host,
    host_pattern,
    label_name,
    label_source,
    label_value,
    matching,
    name_regex,
    number,
    origin,
    printable,
    project_name,
    server_id,
    server_name,
    switch,
    websocket_path,
    whole_number,
)
from exporter.model import Stage

ALLOWED_HOSTS_MAX = 100
LABELS_MAX = 32
PATTERNS_MAX = 100
STATES_MAX = 32

_DURATION = PlainSerializer(format_duration, return_type=str)

_REFERENCE: JsonSchema = {"type": "string", "pattern": r"\$\{"}


def _text(pattern: str | None = None, **more: object) -> WithJsonSchema:
    schema: JsonSchema = {"type": ["string", "number", "boolean"], **more}
    return WithJsonSchema(schema if pattern is None else schema | {"pattern": rf"{pattern}|\$\{{"})


def _string(pattern: str, **more: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": rf"{pattern}|\$\{{", **more})


def _or_reference(**schema: object) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [schema, _REFERENCE]})


def _pairs(mapping: Any) -> GetPydanticSchema:  # noqa: ANN401 - a type
    """Read a mapping as pairs, sorted by key."""
    written = Annotated[
        mapping,
        Field(max_length=LABELS_MAX, json_schema_extra={"additionalProperties": False}),
        AfterValidator(lambda checked: tuple(sorted(checked.items()))),
    ]

    def schema(_source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler(written)

    return GetPydanticSchema(schema)


_REGION = r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
_STATE = r"^[A-Za-z0-9_-]{1,64}$"
_PROJECT_ID = r"^[A-Za-z0-9_-]{1,64}$"
_ORIGIN = r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s]+/?$"

ServerId = Annotated[
    str,
    PlainValidator(server_id),
    _text(SERVER_ID),
]
Region = Annotated[
    str,
    PlainValidator(matching(_REGION, "a region such as cn-southwest-2")),
    _text(_REGION),
]
ProjectId = Annotated[
    str,
    PlainValidator(matching(_PROJECT_ID, "a project id of 1 to 64 letters, digits, - or _")),
    _text(_PROJECT_ID),
]
ProjectName = Annotated[str, PlainValidator(project_name), _text(r"^[^/]{1,64}$")]
Name = Annotated[str, PlainValidator(server_name), _text(minLength=1, maxLength=SERVER_NAME_MAX)]
Account = Annotated[str, PlainValidator(printable(255)), _text(minLength=1, maxLength=255)]
LabelName = Annotated[
    str,
    PlainValidator(label_name),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^(?!__|({'|'.join(RESERVED_LABELS)})$)[a-zA-Z_][a-zA-Z0-9_]{{0,127}}$",
        }
    ),
]
LabelValue = Annotated[
    str,
    PlainValidator(label_value),
    _text(maxLength=LABEL_VALUE_MAX),
]
LabelSource = Annotated[str, PlainValidator(label_source), _string(LABEL_SOURCE)]


Labels = Annotated[
    tuple[tuple[str, str], ...],
    _pairs(dict[LabelName, LabelValue]),
    PlainSerializer(dict),
]
LabelSources = Annotated[
    tuple[tuple[str, str], ...],
    _pairs(dict[LabelName, LabelSource]),
    PlainSerializer(dict),
]
ManageState = Annotated[
    str,
    PlainValidator(matching(_STATE, "a state such as in-use")),
    _text(_STATE),
]
ManageStates = Annotated[tuple[ManageState, ...], Field(max_length=STATES_MAX)]
NameRegex = Annotated[
    re.Pattern[str],
    PlainValidator(name_regex),
    PlainSerializer(lambda regex: regex.pattern, return_type=str),
    _text(),
]
Interval = Annotated[
    float,
    PlainValidator(duration(1, 86_400)),
    _string(DURATION, minLength=2),
    _DURATION,
]
RefreshInterval = Annotated[
    float,
    PlainValidator(duration(10, 3_600)),
    _string(DURATION, minLength=2),
    _DURATION,
]
Timeout = Annotated[
    float,
    PlainValidator(duration(0.1, 86_400)),
    _string(DURATION, minLength=2),
    _DURATION,
]
Depth = Annotated[
    Stage, PlainValidator(depth), _or_reference(type="string", enum=[str(d) for d in Stage])
]
History = Annotated[
    int,
    PlainValidator(whole_number(1, 1000)),
    _or_reference(type="integer", minimum=1, maximum=1000),
]
Burst = Annotated[
    int,
    PlainValidator(whole_number(1, 1000)),
    _or_reference(type="integer", minimum=1, maximum=1000),
]
RequestRate = Annotated[
    float,
    PlainValidator(number(0.001, 1000)),
    _or_reference(type="number", minimum=0.001, maximum=1000),
]
Switch = Annotated[bool, PlainValidator(switch), _or_reference(type="boolean")]
Host = Annotated[str, PlainValidator(host), _text(minLength=1, maxLength=253)]
AllowedHost = Annotated[
    HostPattern,
    PlainValidator(host_pattern),
    PlainSerializer(lambda pattern: pattern.text, return_type=str),
    _text(r"^[^\s/@]+(/[0-9]+)?$", maxLength=300),
]
AllowedHosts = Annotated[tuple[AllowedHost, ...], Field(min_length=1, max_length=ALLOWED_HOSTS_MAX)]
WebsocketPath = Annotated[str, PlainValidator(websocket_path), _string(r"^(auto$|/(?!/))")]
Origin = Annotated[
    str,
    PlainValidator(origin(https_origin)),
    _string(_ORIGIN),
]
MetadataOrigin = Annotated[
    str,
    PlainValidator(origin(metadata_origin)),
    _string(_ORIGIN),
]
HeaderSecret = Annotated[Secret, PlainValidator(secret_text(header_safe)), _text(minLength=1)]
Password = Annotated[Secret, PlainValidator(secret_text(password_safe)), _text(minLength=1)]
ProxyUrl = Annotated[
    Secret,
    PlainValidator(secret_text(proxy_url)),
    _string(r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s]+$"),
]

_FILE = WithJsonSchema({"type": "string", "minLength": 1})
TokenFile = Annotated[Secret | None, PlainValidator(either("token", header_safe)), _FILE]
PasswordFile = Annotated[Secret | None, PlainValidator(either("password", password_safe)), _FILE]
AccessKeyFile = Annotated[Secret | None, PlainValidator(either("access_key", header_safe)), _FILE]
SecretKeyFile = Annotated[Secret | None, PlainValidator(either("secret_key", header_safe)), _FILE]
SecurityTokenFile = Annotated[
    Secret | None, PlainValidator(optional("security_token", header_safe)), _FILE
]
ProxyUrlFile = Annotated[Secret | None, PlainValidator(optional("proxy_url", proxy_url)), _FILE]
CaFile = Annotated[Path, PlainValidator(ca_file), _FILE]
CertFile = Annotated[Path, PlainValidator(readable_file), _FILE]
ServerFiles = Annotated[
    tuple[Annotated[str, PlainValidator(server_files), _text(minLength=1)], ...],
    Field(max_length=PATTERNS_MAX),
]
KeyFile = Annotated[Path | None, PlainValidator(key_file), _FILE]
