"""The format of the configuration file, as pydantic models: what is there, not what it means.

Cross-checks between sections are in `exporter.config.consistency`.
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

_FILE_NOTE = "a file; relative paths begin at this file's folder"
_SECRET_FILE_NOTE = f"The same in {_FILE_NOTE}. Read again at each use, so that rotation works."
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
    """A mapping of known keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_not_given(cls, data: Any) -> Any:  # noqa: ANN401 - pydantic's own terms
        """Drop known keys without a value: ``proxy_url:`` alone leaves the default."""
        if not isinstance(data, dict) or None not in data.values():
            return data
        return {k: v for k, v in data.items() if v is not None or k not in known_keys(cls)}


class Global(Section):
    """What holds for every server unless its project or the server says otherwise."""

    interval: Interval = Field(
        default=DEFAULT_INTERVAL,
        validate_default=True,
        description="Time between two probes of a server.",
    )
    timeout: Timeout = Field(
        default=DEFAULT_TIMEOUT,
        validate_default=True,
        description="Deadline of one probe, all stages together; shorter than the interval.",
    )
    depth: Depth = Field(default=Stage.API, description="The last stage that a probe goes to.")
    history: History = Field(default=50, description="Results kept per server for the status page.")


class Token(Section):
    """A ready IAM token, sent as X-Auth-Token."""

    model_config = ConfigDict(json_schema_extra=_one_of("token"))

    type: Literal["token"]
    token: HeaderSecret | None = Field(default=None, description="The token.")
    token_file: TokenFile = Field(
        default=None, validate_default=True, description=_SECRET_FILE_NOTE
    )


class UserPassword(Section):
    """User name and password, exchanged for a project-scoped token."""

    model_config = ConfigDict(json_schema_extra=_one_of("password"))

    type: Literal["password"]
    iam_endpoint: Origin | None = Field(
        default=None, description="Default: https://iam.{region}.myhuaweicloud.com"
    )
    username: Account = Field(description="The IAM user.")
    password: Password | None = Field(default=None, description="The IAM user's password.")
    password_file: PasswordFile = Field(
        default=None, validate_default=True, description=_SECRET_FILE_NOTE
    )
    domain: Account = Field(description="The account (domain) that the user belongs to.")


class Aksk(Section):
    """An access key pair; each request is signed with it."""

    model_config = ConfigDict(
        json_schema_extra=_one_of("access_key", "secret_key") | _not_both("security_token")
    )

    type: Literal["aksk"]
    access_key: HeaderSecret | None = Field(default=None, description="The access key id (AK).")
    access_key_file: AccessKeyFile = Field(
        default=None, validate_default=True, description=_SECRET_FILE_NOTE
    )
    secret_key: HeaderSecret | None = Field(default=None, description="The secret access key (SK).")
    secret_key_file: SecretKeyFile = Field(
        default=None, validate_default=True, description=_SECRET_FILE_NOTE
    )
    security_token: HeaderSecret | None = Field(
        default=None, description="The security token of a temporary key pair."
    )
    security_token_file: SecurityTokenFile = Field(default=None, description=_SECRET_FILE_NOTE)


class Agency(Section):
    """Temporary access keys from the metadata service of the machine that the exporter runs on."""

    type: Literal["agency"]
    metadata_endpoint: MetadataOrigin = Field(
        default=AgencyAuth().metadata_endpoint, description="The metadata service."
    )


class Rate(Section):
    """How fast the project's API may be asked at most."""

    requests_per_second: RequestRate = Field(
        default=5.0, description="The ceiling; the pace adapts below it."
    )
    burst: Burst = Field(default=5, description="Requests that may go at once.")


class TlsFiles(Section):
    """How to open TLS connections to the cloud."""

    model_config = ConfigDict(json_schema_extra=_together("cert_file", "key_file"))

    ca_file: CaFile | None = Field(
        default=None, description=f"Certificates to trust, PEM, {_FILE_NOTE}."
    )
    cert_file: CertFile | None = Field(
        default=None, description=f"Our own certificate, PEM, {_FILE_NOTE}."
    )
    key_file: KeyFile = Field(
        default=None,
        validate_default=True,
        description=f"Its key, PEM without passphrase, {_FILE_NOTE}.",
    )
    server_name: Host | None = Field(
        default=None,
        description="The name that the certificate must hold; not where one logs in, at IAM.",
    )
    insecure_skip_verify: Switch = Field(
        default=False, description="Do not verify certificates. Whoever is in between can read."
    )


class ConsoleSection(Section):
    """How to follow a console address, where depth goes beyond api."""

    allowed_hosts: Annotated[
        list[AllowedHost], Field(min_length=1, max_length=ALLOWED_HOSTS_MAX)
    ] = Field(
        default_factory=lambda: list(DEFAULT_ALLOWED_HOSTS),
        description=(
            "Hosts that a console address may lead to: names, *.domain, addresses, networks."
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
    name: Name | None = Field(default=None, description="The name shown; default: the id.")
    labels: Annotated[dict[LabelName, LabelValue], Field(max_length=LABELS_MAX)] = Field(
        default_factory=dict,
        description="Labels of your own, put on console_server_info.",
        json_schema_extra={"additionalProperties": False},
    )
    interval: Interval | None = Field(default=None, description="Overrides the project's.")
    timeout: Timeout | None = Field(default=None, description="Overrides the project's.")
    depth: Depth | None = Field(default=None, description="Overrides the project's.")


class DiscoverySection(Section):
    """List the project's servers from the cloud, again and again."""

    refresh_interval: RefreshInterval = Field(
        default="5m", validate_default=True, description="Time between two listings."
    )
    manage_state: Annotated[list[ManageState], Field(max_length=STATES_MAX)] = Field(
        default_factory=lambda: list(Discovery().manage_state),
        description="Take servers in one of these states. Default: in-use; [] takes all.",
    )
    name_regex: NameRegex = Field(
        default=".*",
        validate_default=True,
        description="Take servers whose whole name matches.",
    )
    labels: Annotated[dict[LabelName, LabelSource], Field(max_length=LABELS_MAX)] = Field(
        default_factory=dict,
        description="Labels made of the cloud's fields: location.KEY or tags.KEY.",
        json_schema_extra={"additionalProperties": False},
    )


class ServerList(Section):
    """What a server file holds, put under a key so that it is checked as in the configuration."""

    servers: list[Server]


class ProjectSection(Section):
    """One CloudDC project in one region: its login, its quota, its servers."""

    model_config = ConfigDict(json_schema_extra=_not_both("proxy_url"))

    name: ProjectName = Field(description="Unique; becomes the label project.")
    region: Region = Field(description="Such as cn-southwest-2.")
    project_id: ProjectId = Field(description="The project's id in IAM.")
    endpoint: Origin | None = Field(
        default=None, description="Default: https://clouddc.{region}.myhuaweicloud.com"
    )
    auth: Annotated[Token | UserPassword | Aksk | Agency, Field(discriminator="type")] = Field(
        description="How to log in."
    )
    rate_limit: Rate = Field(default_factory=Rate)
    tls: TlsFiles = Field(default_factory=TlsFiles)
    proxy_url: ProxyUrl | None = Field(
        default=None, description="An http or https proxy, maybe with user name and password."
    )
    proxy_url_file: ProxyUrlFile = Field(default=None, description=_SECRET_FILE_NOTE)
    console: ConsoleSection = Field(default_factory=ConsoleSection)
    interval: Interval | None = Field(default=None, description="Overrides the global one.")
    timeout: Timeout | None = Field(default=None, description="Overrides the global one.")
    depth: Depth | None = Field(default=None, description="Overrides the global one.")
    servers: list[Server] = Field(default_factory=list, description="The servers to probe.")
    server_files: Annotated[list[ServerFiles], Field(max_length=PATTERNS_MAX)] = Field(
        default_factory=list,
        description="Files with more servers, YAML or JSON, the same list; patterns such as"
        " servers/*.yaml, from this file's folder. Read again when they change.",
    )
    discovery: DiscoverySection | None = Field(
        default=None, description="List the project's servers from the cloud."
    )


class Root(Section):
    """Configuration of Console Exporter."""

    global_: Global = Field(default_factory=Global, alias="global")
    projects: list[ProjectSection] = Field(min_length=1, description="At least one project.")


# A section is told by the key that leads to it, and a login by its type.
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
    """Return the keys that a section may hold."""
    return [field.alias or name for name, field in section.model_fields.items()]


def secret_of(text: Secret | None, file: Secret | None) -> Secret | None:
    """Return the one of a secret's two forms that was given."""
    return file if text is None else text
