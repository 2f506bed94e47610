"""Validated configuration as frozen values, returned by `load`."""

import re
from dataclasses import dataclass
from pathlib import Path

from exporter.config.host_pattern import DEFAULT_ALLOWED_HOSTS, HostPattern
from exporter.config.secret import Secret
from exporter.model import Stage

AUTO = "auto"
"""Find the WebSocket path by trying the known ones."""
PATH_NAMES = ("server_name", "server_id", "region")
"""Placeholders of a WebSocket path template, written in braces."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS settings of outgoing connections, including the client certificate."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """An existing IAM token, sent unchanged."""

    token: Secret


@dataclass(frozen=True, slots=True)
class PasswordAuth:
    """IAM user name and password, exchanged for a project-scoped token."""

    iam_endpoint: str
    username: str
    password: Secret
    domain: str


@dataclass(frozen=True, slots=True)
class AkskAuth:
    """An access key pair that signs each request."""

    access_key: Secret
    secret_key: Secret
    security_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class AgencyAuth:
    """Temporary access keys from the metadata service of the exporter's machine."""

    metadata_endpoint: str = "http://169.254.169.254"


Auth = TokenAuth | PasswordAuth | AkskAuth | AgencyAuth


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Maximum request rate of a project, and how many requests may start at once."""

    requests_per_second: float = 5.0
    burst: int = 5


@dataclass(frozen=True, slots=True)
class Console:
    """Settings for following a console address.

    ``websocket_path`` is `AUTO`, or a template such as ``/vnc/{server_name}/websockify``.
    """

    allowed_hosts: tuple[HostPattern, ...] = DEFAULT_ALLOWED_HOSTS
    websocket_path: str = AUTO
    tls: Tls = Tls()


@dataclass(frozen=True, slots=True)
class ServerEntry:
    """A listed server with settings resolved: server overrides project overrides global.

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
    """Settings for listing a project's servers from the cloud.

    ``refresh_interval`` is seconds. A server is selected if its state is in ``manage_state``
    (empty: any state) and ``name_regex`` matches its whole name. ``labels`` maps label names to
    fields of the cloud's record, such as ``location.rack`` or ``tags.team``.
    """

    refresh_interval: float = 300.0
    manage_state: tuple[str, ...] = ("in-use",)
    name_regex: re.Pattern[str] = re.compile(".*")
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """One CloudDC project in one region.

    ``endpoint`` is ``scheme://host[:port]`` without a trailing slash. ``timeout`` (seconds) also
    limits requests that belong to no single server, such as logins. ``interval`` (seconds),
    ``timeout`` and ``depth`` apply to servers without settings of their own. ``server_files`` are
    glob patterns, absolute or relative to the working directory.
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
    """The whole configuration.

    ``history`` is the number of results kept per server. ``sha256`` is the digest of the file's
    bytes. ``as_yaml`` shows the configuration with secrets hidden.
    """

    projects: tuple[Project, ...]
    history: int
    sha256: bytes
    as_yaml: str
