"""Format of the configuration file as pydantic models.

Checks between sections are in `exporter.config.consistency`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporter.config.config import AUTO, AgencyAuth, Discovery
from exporter.config.fields import (
    AccessKeyFile,
    Account,
    AllowedHost,
    Burst,
    CaFile,
    CertFile,
    Depth,
    HeaderSecret,
    History,
    Host,
    Interval,
    JsonSchema,
    KeyFile,
    LabelName,
    LabelSource,
    LabelValue,
    ManageState,
    MetadataOrigin,
    Name,
    NameRegex,
    Origin,
    Password,
    PasswordFile,
    ProjectId,
    ProjectName,
    ProxyUrl,
    ProxyUrlFile,
    RefreshInterval,
    Region,
    RequestRate,
    SecretKeyFile,
    SecurityTokenFile,
    ServerFiles,
    ServerId,
    Switch,
    Timeout,
    TokenFile,
    WebsocketPath,
)
from exporter.config.host_pattern import DEFAULT_ALLOWED_HOSTS
from exporter.config.secret import Secret
from exporter.model import Stage

DEFAULT_INTERVAL = "60s"
DEFAULT_TIMEOUT = "10s"

_FILE_TEXT = "relative paths start at this file's folder"
_SECRET_FILE_TEXT = f"File with the secret; {_FILE_TEXT}. Read again at each use."
LABELS_MAX = 32
ALLOWED_HOSTS_MAX = 100
PATTERNS_MAX = 100
STATES_MAX = 32


def _given(name: str) -> JsonSchema:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _one_of(*names: str) -> JsonSchema:
    return {"allOf": [{"oneOf": [_given(name), _given(f"{name}_file")]} for name in names]}


def _not_both(name: str) -> JsonSchema:
    return {"not": {"allOf": [_given(name), _given(f"{name}_file")]}}


def _together(one: str, other: str) -> JsonSchema:
    both = [_given(one), _given(other)]
    return {"oneOf": [{"allOf": both}, {"not": {"anyOf": both}}]}


class Section(BaseModel):
    """A mapping that rejects unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_keys(cls, data: Any) -> Any:  # noqa: ANN401 - raw input
        """Drop known keys without a value, so that ``proxy_url:`` means the default."""
        if not isinstance(data, dict) or None not in data.values():
            return data
        return {k: v for k, v in data.items() if v is not None or k not in known_keys(cls)}


class Global(Section):
    """Defaults for every server; projects and servers can override them."""

    interval: Interval = Field(
        default=DEFAULT_INTERVAL,
        validate_default=True,
        description="Time between two probes of a server.",
    )
    timeout: Timeout = Field(
        default=DEFAULT_TIMEOUT,
        validate_default=True,
        description="Deadline of one probe over all stages; shorter than the interval.",
    )
    depth: Depth = Field(default=Stage.API, description="Last stage of a probe.")
    history: History = Field(default=50, description="Results kept per server for the status page.")


class Token(Section):
    """An existing IAM token, sent as X-Auth-Token."""

    model_config = ConfigDict(json_schema_extra=_one_of("token"))

    type: Literal["token"]
    token: HeaderSecret | None = Field(default=None, description="The token.")
    token_file: TokenFile = Field(
        default=None, validate_default=True, description=_SECRET_FILE_TEXT
    )


class UserPassword(Section):
    """IAM user name and password, exchanged for a project-scoped token."""

    model_config = ConfigDict(json_schema_extra=_one_of("password"))

    type: Literal["password"]
    iam_endpoint: Origin | None = Field(
        default=None, description="Default: https://iam.{region}.myhuaweicloud.com"
    )
    username: Account = Field(description="The IAM user.")
    password: Password | None = Field(default=None, description="The IAM user's password.")
    password_file: PasswordFile = Field(
        default=None, validate_default=True, description=_SECRET_FILE_TEXT
    )
    domain: Account = Field(description="The account (domain) that the user belongs to.")


class Aksk(Section):
    """An access key pair that signs each request."""

    model_config = ConfigDict(
        json_schema_extra=_one_of("access_key", "secret_key") | _not_both("security_token")
    )

    type: Literal["aksk"]
    access_key: HeaderSecret | None = Field(default=None, description="The access key id (AK).")
    access_key_file: AccessKeyFile = Field(
        default=None, validate_default=True, description=_SECRET_FILE_TEXT
    )
    secret_key: HeaderSecret | None = Field(default=None, description="The secret access key (SK).")
    secret_key_file: SecretKeyFile = Field(
        default=None, validate_default=True, description=_SECRET_FILE_TEXT
    )
    security_token: HeaderSecret | None = Field(
        default=None, description="The security token of a temporary key pair."
    )
    security_token_file: SecurityTokenFile = Field(default=None, description=_SECRET_FILE_TEXT)


class Agency(Section):
    """Temporary access keys from the metadata service of the exporter's machine."""

    type: Literal["agency"]
    metadata_endpoint: MetadataOrigin = Field(
        default=AgencyAuth().metadata_endpoint, description="The metadata service."
    )


class Rate(Section):
    """Maximum request rate to the project's API."""

    requests_per_second: RequestRate = Field(
        default=5.0, description="Maximum rate; the actual rate adapts and never exceeds it."
    )
    burst: Burst = Field(default=5, description="Requests that may start at once.")


class TlsFiles(Section):
    """TLS settings of outgoing connections."""

    model_config = ConfigDict(json_schema_extra=_together("cert_file", "key_file"))

    ca_file: CaFile | None = Field(
        default=None, description=f"Trusted CA certificates, PEM file; {_FILE_TEXT}."
    )
    cert_file: CertFile | None = Field(
        default=None, description=f"Client certificate, PEM file; {_FILE_TEXT}."
    )
    key_file: KeyFile = Field(
        default=None,
        validate_default=True,
        description=f"Key of cert_file, PEM file without passphrase; {_FILE_TEXT}.",
    )
    server_name: Host | None = Field(
        default=None,
        description="Host name that the server's certificate must contain; not used for IAM.",
    )
    insecure_skip_verify: Switch = Field(
        default=False, description="Do not verify certificates. Allows man-in-the-middle attacks."
    )


class ConsoleSection(Section):
    """Settings for following a console address; used if depth goes beyond api."""

    allowed_hosts: Annotated[
        list[AllowedHost], Field(min_length=1, max_length=ALLOWED_HOSTS_MAX)
    ] = Field(
        default_factory=lambda: list(DEFAULT_ALLOWED_HOSTS),
        description=(
            "Hosts allowed in console addresses: names, *.domain, IP addresses, networks."
            " Default: *.huaweicloud.com, *.myhuaweicloud.com. Loopback and private addresses"
            " and plain http need an entry without a wildcard."
        ),
    )
    websocket_path: WebsocketPath = Field(
        default=AUTO,
        description="auto, or a template such as /vnc/{server_name}/websockify",
    )
    tls: TlsFiles = Field(default_factory=TlsFiles)


class Server(Section):
    """One physical server."""

    id: ServerId = Field(description="The server's id in CloudDC.")
    name: Name | None = Field(default=None, description="Name shown; default: the id.")
    labels: Annotated[dict[LabelName, LabelValue], Field(max_length=LABELS_MAX)] = Field(
        default_factory=dict,
        description="Your own labels, added to console_server_info.",
        json_schema_extra={"additionalProperties": False},
    )
    interval: Interval | None = Field(default=None, description="Overrides the project's.")
    timeout: Timeout | None = Field(default=None, description="Overrides the project's.")
    depth: Depth | None = Field(default=None, description="Overrides the project's.")


class DiscoverySection(Section):
    """Settings for listing the project's servers from the cloud periodically."""

    refresh_interval: RefreshInterval = Field(
        default="5m", validate_default=True, description="Time between two listings."
    )
    manage_state: Annotated[list[ManageState], Field(max_length=STATES_MAX)] = Field(
        default_factory=lambda: list(Discovery().manage_state),
        description="Select servers in one of these states. Default: in-use; [] selects all.",
    )
    name_regex: NameRegex = Field(
        default=".*",
        validate_default=True,
        description="Select servers whose whole name matches.",
    )
    labels: Annotated[dict[LabelName, LabelSource], Field(max_length=LABELS_MAX)] = Field(
        default_factory=dict,
        description="Labels from fields of the cloud's record: location.KEY or tags.KEY.",
        json_schema_extra={"additionalProperties": False},
    )


class ServerList(Section):
    """The list of a server file, under a key, so that a pydantic model can check it."""

    servers: list[Server]


class ProjectSection(Section):
    """One CloudDC project in one region: login, rate limit and servers."""

    model_config = ConfigDict(json_schema_extra=_not_both("proxy_url"))

    name: ProjectName = Field(description="Unique name; value of the label project.")
    region: Region = Field(description="Region, such as cn-southwest-2.")
    project_id: ProjectId = Field(description="Id of the project in IAM.")
    endpoint: Origin | None = Field(
        default=None, description="Default: https://clouddc.{region}.myhuaweicloud.com"
    )
    auth: Annotated[Token | UserPassword | Aksk | Agency, Field(discriminator="type")] = Field(
        description="Login."
    )
    rate_limit: Rate = Field(default_factory=Rate)
    tls: TlsFiles = Field(default_factory=TlsFiles)
    proxy_url: ProxyUrl | None = Field(
        default=None,
        description="URL of an http or https proxy, optionally with user name and password.",
    )
    proxy_url_file: ProxyUrlFile = Field(default=None, description=_SECRET_FILE_TEXT)
    console: ConsoleSection = Field(default_factory=ConsoleSection)
    interval: Interval | None = Field(default=None, description="Overrides the global one.")
    timeout: Timeout | None = Field(default=None, description="Overrides the global one.")
    depth: Depth | None = Field(default=None, description="Overrides the global one.")
    servers: list[Server] = Field(default_factory=list, description="The servers to probe.")
    server_files: Annotated[list[ServerFiles], Field(max_length=PATTERNS_MAX)] = Field(
        default_factory=list,
        description="YAML or JSON files with more servers, in the format of servers. Glob patterns"
        f" such as servers/*.yaml; {_FILE_TEXT}. Read again when they change.",
    )
    discovery: DiscoverySection | None = Field(
        default=None, description="List the project's servers from the cloud."
    )


class Root(Section):
    """Configuration of Console Exporter."""

    global_: Global = Field(default_factory=Global, alias="global")
    projects: list[ProjectSection] = Field(min_length=1, description="At least one project.")


# Each section by its key; the root has an empty key, and a login has its type as the key.
SECTIONS: dict[str, type[BaseModel]] = {
    "": Root,
    "global": Global,
    "projects": ProjectSection,
    "token": Token,
    "password": UserPassword,
    "aksk": Aksk,
    "agency": Agency,
    "rate_limit": Rate,
    "tls": TlsFiles,
    "console": ConsoleSection,
    "servers": Server,
    "discovery": DiscoverySection,
}
AUTH_TYPES = ("token", "password", "aksk", "agency")


def known_keys(section: type[BaseModel]) -> list[str]:
    """Return the keys that a section allows."""
    return [field.alias or name for name, field in section.model_fields.items()]


def secret_of(text: Secret | None, file: Secret | None) -> Secret | None:
    """Return the one of the two that is set; None if neither is."""
    return file if text is None else text
