"""The configuration: the sections of the file, which are also what the program reads.

Settings that a server or project does not have are those of the section above it, once a file is
loaded. Checks between sections are in `exporter.config.consistency`.
"""

import re
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo

from exporter.config.fields import (
    AccessKeyFile,
    Account,
    AllowedHosts,
    Burst,
    CaFile,
    CertFile,
    Depth,
    HeaderSecret,
    History,
    Host,
    Interval,
    KeyFile,
    Labels,
    LabelSources,
    ManageStates,
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
from exporter.config.section import (
    INHERITED,
    Section,
    both,
    doc,
    endpoint_of,
    inherit,
    inherit_all,
    inherited,
    neither,
    one_of,
    overrides,
    set_secrets,
    settings,
)
from exporter.config.value_checks import AUTO
from exporter.model import Stage

DEFAULT_INTERVAL = 60.0
DEFAULT_TIMEOUT = 10.0

_FILE_TEXT = "relative paths start at this file's folder"
# A secret without a value is allowed in the file if its file is given instead.
_SECRET_FILE = doc(
    f"File with the secret; {_FILE_TEXT}. Read again at each use.", validate_default=True
)


@dataclass(frozen=True, slots=True)
class Global(Section):
    """Defaults for every server; projects and servers can override them.

    ``interval`` and ``timeout`` are seconds. ``history`` is the number of results kept per server.
    """

    interval: Annotated[
        Interval, doc("Time between two probes of a server.", json_schema_extra={"default": "60s"})
    ] = DEFAULT_INTERVAL
    timeout: Annotated[
        Timeout,
        doc(
            "Deadline of one probe over all stages; shorter than the interval.",
            json_schema_extra={"default": "10s"},
        ),
    ] = DEFAULT_TIMEOUT
    depth: Annotated[Depth, doc("Last stage of a probe.")] = Stage.API
    history: Annotated[History, doc("Results kept per server for the status page.")] = 50


@dataclass(frozen=True, slots=True)
class TokenAuth(Section):
    """An existing IAM token, sent unchanged as X-Auth-Token."""

    __pydantic_config__ = settings(allOf=one_of("token"))

    type: Literal["token"] = field(default="token", kw_only=True)
    token: Annotated[HeaderSecret, doc("The token.", default=None)]
    _: KW_ONLY
    token_file: InitVar[Annotated[TokenFile, _SECRET_FILE]] = None

    def __post_init__(self, token_file: Secret | None) -> None:
        set_secrets(self, token=token_file)


@dataclass(frozen=True, slots=True)
class PasswordAuth(Section):
    """IAM user name and password, exchanged for a project-scoped token."""

    __pydantic_config__ = settings(allOf=one_of("password"))

    type: Literal["password"] = field(default="password", kw_only=True)
    iam_endpoint: Annotated[
        Origin, doc("Default: https://iam.{region}.myhuaweicloud.com", default=None)
    ]
    username: Annotated[Account, doc("The IAM user.")]
    password: Annotated[Password, doc("The IAM user's password.", default=None)]
    password_file: InitVar[Annotated[PasswordFile, _SECRET_FILE]] = field(
        default=None, kw_only=True
    )
    domain: Annotated[Account, doc("The account (domain) that the user belongs to.")]

    def __post_init__(self, password_file: Secret | None) -> None:
        set_secrets(self, password=password_file)


@dataclass(frozen=True, slots=True)
class AkskAuth(Section):
    """An access key pair that signs each request."""

    __pydantic_config__ = settings(
        allOf=one_of("access_key", "secret_key"),
        **{"not": both("security_token", "security_token_file")},
    )

    type: Literal["aksk"] = field(default="aksk", kw_only=True)
    access_key: Annotated[HeaderSecret, doc("The access key id (AK).", default=None)]
    access_key_file: InitVar[Annotated[AccessKeyFile, _SECRET_FILE]] = field(
        default=None, kw_only=True
    )
    secret_key: Annotated[HeaderSecret, doc("The secret access key (SK).", default=None)]
    secret_key_file: InitVar[Annotated[SecretKeyFile, _SECRET_FILE]] = field(
        default=None, kw_only=True
    )
    security_token: Annotated[
        HeaderSecret | None, doc("The security token of a temporary key pair.")
    ] = None
    security_token_file: InitVar[Annotated[SecurityTokenFile, _SECRET_FILE]] = field(
        default=None, kw_only=True
    )

    def __post_init__(
        self,
        access_key_file: Secret | None,
        secret_key_file: Secret | None,
        security_token_file: Secret | None,
    ) -> None:
        set_secrets(
            self,
            access_key=access_key_file,
            secret_key=secret_key_file,
            security_token=security_token_file,
        )


@dataclass(frozen=True, slots=True)
class AgencyAuth(Section):
    """Temporary access keys from the metadata service of the exporter's machine."""

    type: Literal["agency"] = field(default="agency", kw_only=True)
    metadata_endpoint: Annotated[MetadataOrigin, doc("The metadata service.")] = (
        "http://169.254.169.254"
    )


Auth = Annotated[TokenAuth | PasswordAuth | AkskAuth | AgencyAuth, Field(discriminator="type")]


@dataclass(frozen=True, slots=True)
class RateLimit(Section):
    """Maximum request rate to the project's API, and how many requests may start at once."""

    requests_per_second: Annotated[
        RequestRate, doc("Maximum rate; the actual rate adapts and never exceeds it.")
    ] = 5.0
    burst: Annotated[Burst, doc("Requests that may start at once.")] = 5


@dataclass(frozen=True, slots=True)
class Tls(Section):
    """TLS settings of outgoing connections, including the client certificate."""

    __pydantic_config__ = settings(
        oneOf=[both("cert_file", "key_file"), neither("cert_file", "key_file")]
    )

    ca_file: Annotated[CaFile | None, doc(f"Trusted CA certificates, PEM file; {_FILE_TEXT}.")] = (
        None
    )
    cert_file: Annotated[CertFile | None, doc(f"Client certificate, PEM file; {_FILE_TEXT}.")] = (
        None
    )
    key_file: Annotated[
        KeyFile,
        doc(f"Key of cert_file, PEM file without passphrase; {_FILE_TEXT}.", validate_default=True),
    ] = None
    server_name: Annotated[
        Host | None, doc("Host name that the server's certificate must contain; not used for IAM.")
    ] = None
    insecure_skip_verify: Annotated[
        Switch, doc("Do not verify certificates. Allows man-in-the-middle attacks.")
    ] = False


@dataclass(frozen=True, slots=True)
class Console(Section):
    """Settings for following a console address; used if depth goes beyond api.

    ``websocket_path`` is `AUTO`, or a template such as ``/vnc/{server_name}/websockify``.
    """

    allowed_hosts: Annotated[
        AllowedHosts,
        doc(
            "Hosts allowed in console addresses: names, *.domain, IP addresses, networks."
            " Default: *.huaweicloud.com, *.myhuaweicloud.com. Loopback and private addresses"
            " and plain http need an entry without a wildcard."
        ),
    ] = DEFAULT_ALLOWED_HOSTS
    websocket_path: Annotated[
        WebsocketPath, doc("auto, or a template such as /vnc/{server_name}/websockify")
    ] = AUTO
    tls: Tls = Tls()


@dataclass(frozen=True, slots=True)
class ServerEntry(Section):
    """One physical server; ``interval`` and ``timeout`` are seconds.

    ``labels`` are sorted by name.
    """

    id: Annotated[ServerId, doc("The server's id in CloudDC.")]
    name: Annotated[
        Name, doc("Name shown; default: the id.", default_factory=lambda checked: checked["id"])
    ]
    labels: Annotated[Labels, doc("Your own labels, added to console_server_info.")] = field(
        default=(), kw_only=True
    )
    interval: Annotated[Interval, overrides("project's")] = DEFAULT_INTERVAL
    timeout: Annotated[Timeout, overrides("project's")] = DEFAULT_TIMEOUT
    depth: Annotated[Depth, overrides("project's")] = Stage.API


@dataclass(frozen=True, slots=True)
class Discovery(Section):
    """Settings for listing the project's servers from the cloud periodically.

    ``refresh_interval`` is seconds. A server is selected if its state is in ``manage_state``
    (empty: any state) and ``name_regex`` matches its whole name. ``labels`` maps label names to
    fields of the cloud's record, such as ``location.rack`` or ``tags.team``.
    """

    refresh_interval: Annotated[
        RefreshInterval, doc("Time between two listings.", json_schema_extra={"default": "5m"})
    ] = 300.0
    manage_state: Annotated[
        ManageStates, doc("Select servers in one of these states. Default: in-use; [] selects all.")
    ] = ("in-use",)
    name_regex: Annotated[NameRegex, doc("Select servers whose whole name matches.")] = re.compile(
        ".*"
    )
    labels: Annotated[
        LabelSources, doc("Labels from fields of the cloud's record: location.KEY or tags.KEY.")
    ] = ()


def _with_iam_endpoint(auth: object, info: ValidationInfo) -> object:
    region = info.data.get("region")
    if region is None or not isinstance(auth, dict) or auth.get("type") != "password":
        return auth
    return inherit(auth, {"iam_endpoint": endpoint_of("iam", region)})


def _with_project_settings(servers: object, info: ValidationInfo) -> object:
    return inherit_all(servers, {key: info.data[key] for key in INHERITED if key in info.data})


@dataclass(frozen=True, slots=True)
class Project(Section):
    """One CloudDC project in one region: login, rate limit and servers.

    ``endpoint`` is ``scheme://host[:port]`` without a trailing slash. ``timeout`` (seconds) also
    limits requests that belong to no single server, such as logins. ``interval`` (seconds),
    ``timeout`` and ``depth`` apply to servers without settings of their own. ``server_files`` are
    glob patterns, absolute or relative to the working directory.
    """

    __pydantic_config__ = settings(**{"not": both("proxy_url", "proxy_url_file")})

    name: Annotated[ProjectName, doc("Unique name; value of the label project.")]
    region: Annotated[Region, doc("Region, such as cn-southwest-2.")]
    project_id: Annotated[ProjectId, doc("Id of the project in IAM.")]
    endpoint: Annotated[
        Origin,
        doc(
            "Default: https://clouddc.{region}.myhuaweicloud.com",
            default_factory=lambda checked: endpoint_of("clouddc", checked["region"]),
        ),
    ]
    auth: Annotated[Auth, BeforeValidator(_with_iam_endpoint), doc("Login.")]
    _: KW_ONLY
    rate_limit: RateLimit = RateLimit()
    tls: Tls = Tls()
    proxy_url: Annotated[
        ProxyUrl | None,
        doc("URL of an http or https proxy, optionally with user name and password."),
    ] = None
    proxy_url_file: InitVar[Annotated[ProxyUrlFile, _SECRET_FILE]] = None
    console: Console = Console()
    interval: Annotated[Interval, overrides("global one")] = DEFAULT_INTERVAL
    timeout: Annotated[Timeout, overrides("global one")] = DEFAULT_TIMEOUT
    depth: Annotated[Depth, overrides("global one")] = Stage.API
    servers: Annotated[
        tuple[ServerEntry, ...],
        BeforeValidator(_with_project_settings),
        doc("The servers to probe."),
    ] = ()
    server_files: Annotated[
        ServerFiles,
        doc(
            "YAML or JSON files with more servers, in the format of servers. Glob"
            f" patterns such as servers/*.yaml; {_FILE_TEXT}. Read again when they change."
        ),
    ] = ()
    discovery: Annotated[Discovery | None, doc("List the project's servers from the cloud.")] = None

    def __post_init__(self, proxy_url_file: Secret | None) -> None:
        set_secrets(self, proxy_url=proxy_url_file)


def _with_global_settings(projects: object, info: ValidationInfo) -> object:
    defaults = info.data.get("global_")
    return inherit_all(projects, inherited(defaults)) if defaults else projects


@dataclass(frozen=True, slots=True)
class ConfigFile(Section):
    """Configuration of Console Exporter."""

    global_: Annotated[Global, Field(alias="global", default_factory=Global)]
    projects: Annotated[
        tuple[Project, ...],
        doc("At least one project.", min_length=1),
        BeforeValidator(_with_global_settings),
    ]


@dataclass(frozen=True, slots=True)
class Config(ConfigFile):
    """A loaded configuration file; ``sha256`` is the digest of its bytes."""

    sha256: bytes = b""
