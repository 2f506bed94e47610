"""Build the configuration values from a validated file, with defaults and overrides resolved."""

from collections.abc import Iterable
from dataclasses import replace

from exporter.config.config import (
    AgencyAuth,
    AkskAuth,
    Auth,
    Console,
    Discovery,
    PasswordAuth,
    Project,
    RateLimit,
    ServerEntry,
    Tls,
    TokenAuth,
)
from exporter.config.schema import (
    Aksk,
    DiscoverySection,
    Global,
    ProjectSection,
    Root,
    Server,
    TlsFiles,
    Token,
    UserPassword,
    secret_of,
)
from exporter.config.secret import Secret


def build_projects(root: Root) -> tuple[Project, ...]:
    """Return the projects of a validated file."""
    return tuple(_project(section, root.global_) for section in root.projects)


def _project(section: ProjectSection, defaults: Global) -> Project:
    project = Project(
        name=section.name,
        region=section.region,
        project_id=section.project_id,
        endpoint=section.endpoint or _endpoint("clouddc", section.region),
        auth=_auth(section),
        timeout=section.timeout or defaults.timeout,
        rate_limit=RateLimit(section.rate_limit.requests_per_second, section.rate_limit.burst),
        tls=_tls(section.tls),
        proxy_url=secret_of(section.proxy_url, section.proxy_url_file),
        console=Console(
            allowed_hosts=tuple(section.console.allowed_hosts),
            websocket_path=section.console.websocket_path,
            tls=_tls(section.console.tls),
        ),
        interval=section.interval or defaults.interval,
        depth=section.depth or defaults.depth,
        server_files=tuple(section.server_files),
        discovery=_discovery(section.discovery),
    )
    return replace(project, servers=server_entries(project, section.servers))


def server_entries(project: Project, servers: Iterable[Server]) -> tuple[ServerEntry, ...]:
    """Return servers with settings resolved; a server's own settings override its project's."""
    return tuple(
        ServerEntry(
            id=server.id,
            name=server.name or server.id,
            interval=server.interval or project.interval,
            timeout=server.timeout or project.timeout,
            depth=server.depth or project.depth,
            labels=tuple(sorted(server.labels.items())),
        )
        for server in servers
    )


def _discovery(section: DiscoverySection | None) -> Discovery | None:
    if section is None:
        return None
    return Discovery(
        refresh_interval=section.refresh_interval,
        manage_state=tuple(section.manage_state),
        name_regex=section.name_regex,
        labels=tuple(sorted(section.labels.items())),
    )


def _endpoint(service: str, region: str) -> str:
    return f"https://{service}.{region}.myhuaweicloud.com"


def _auth(section: ProjectSection) -> Auth:
    auth = section.auth
    if isinstance(auth, Token):
        return TokenAuth(_required_secret(auth.token, auth.token_file))
    if isinstance(auth, UserPassword):
        return PasswordAuth(
            iam_endpoint=auth.iam_endpoint or _endpoint("iam", section.region),
            username=auth.username,
            password=_required_secret(auth.password, auth.password_file),
            domain=auth.domain,
        )
    if isinstance(auth, Aksk):
        return AkskAuth(
            access_key=_required_secret(auth.access_key, auth.access_key_file),
            secret_key=_required_secret(auth.secret_key, auth.secret_key_file),
            security_token=secret_of(auth.security_token, auth.security_token_file),
        )
    return AgencyAuth(auth.metadata_endpoint)


def _required_secret(text: Secret | None, file: Secret | None) -> Secret:
    secret = secret_of(text, file)
    if secret is None:
        raise AssertionError("the schema requires the secrets of every login")
    return secret


def _tls(files: TlsFiles) -> Tls:
    return Tls(
        ca_file=files.ca_file,
        cert_file=files.cert_file,
        key_file=files.key_file,
        server_name=files.server_name,
        insecure_skip_verify=files.insecure_skip_verify,
    )
