"""The validated configuration, as frozen values; what `load` returns and all else reads."""

import re
from dataclasses import dataclass
from pathlib import Path

from exporter.config.host_pattern import DEFAULT_ALLOWED_HOSTS, HostPattern
from exporter.config.secret import Secret
from exporter.model import Stage

AUTO = "auto"
"""The WebSocket path that is found out by trying."""
PATH_NAMES = ("server_name", "server_id", "region")
"""What a template of the WebSocket path may hold, in braces."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How to open TLS connections, and with which certificate of our own."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """A ready IAM token, sent as it is."""

    token: Secret


@dataclass(frozen=True, slots=True)
class PasswordAuth:
    """User name and password, exchanged for a project-scoped IAM token."""

    iam_endpoint: str
    username: str
    password: Secret
    domain: str


@dataclass(frozen=True, slots=True)
class AkskAuth:
    """An access key pair; each request is signed with it."""

    access_key: Secret
    secret_key: Secret
    security_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class AgencyAuth:
    """Temporary access keys from the metadata service of the machine we run on."""

    metadata_endpoint: str = "http://169.254.169.254"


Auth = TokenAuth | PasswordAuth | AkskAuth | AgencyAuth


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The ceiling of the project's request pace, and how many requests may go at once."""

    requests_per_second: float = 5.0
    burst: int = 5


@dataclass(frozen=True, slots=True)
class Console:
    """How to follow a console address: what may be connected to, and where the WebSocket is.

    ``websocket_path`` is `AUTO`, or a template such as ``/vnc/{server_name}/websockify``.
    """

    allowed_hosts: tuple[HostPattern, ...] = DEFAULT_ALLOWED_HOSTS
    websocket_path: str = AUTO
    tls: Tls = Tls()


@dataclass(frozen=True, slots=True)
class ServerEntry:
    """One server of the list, with its settings resolved: server over project over global.

    ``interval`` and ``timeout`` are seconds.
    """

    id: str
    name: str
    interval: float
    timeout: float
    depth: Stage
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Discovery:
    """How to list a project's servers from the cloud.

    ``refresh_interval`` is seconds. Servers in one of the states ``manage_state`` (empty: in any)
    whose whole name matches ``name_regex`` are taken. ``labels`` says which of a record's fields,
    such as ``location.rack`` or ``tags.team``, becomes which label.
    """

    refresh_interval: float = 300.0
    manage_state: tuple[str, ...] = ("in-use",)
    name_regex: re.Pattern[str] = re.compile(".*")
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """One CloudDC project in one region.

    ``endpoint`` is ``scheme://host[:port]`` with no trailing slash. ``timeout`` (seconds) is what
    requests that serve no single server, logins among them, may take. ``interval`` (seconds),
    ``timeout`` and ``depth`` hold for servers that are not listed with their own.
    ``server_files`` are glob patterns, absolute or from the working directory.
    """

    name: str
    region: str
    project_id: str
    endpoint: str
    auth: Auth
    timeout: float
    rate_limit: RateLimit = RateLimit()
    tls: Tls = Tls()
    proxy_url: Secret | None = None
    console: Console = Console()
    interval: float = 60.0
    depth: Stage = Stage.API
    servers: tuple[ServerEntry, ...] = ()
    server_files: tuple[str, ...] = ()
    discovery: Discovery | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration.

    ``history`` is the number of results kept per server. ``sha256`` is the digest of the file's
    bytes. ``as_yaml`` is the same configuration with secrets hidden, for people.
    """

    projects: tuple[Project, ...]
    history: int
    sha256: bytes
    as_yaml: str
