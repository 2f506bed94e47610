"""Build the components of one project: transport, throttle, login, client and prober."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace

import httpx

from exporter.clock import Clock
from exporter.cloud.auth import Lockouts, login_for
from exporter.cloud.auth.login import Login, SendRequest
from exporter.cloud.client import CloudClient, login_sender
from exporter.cloud.observed_transport import ObservedTransport
from exporter.cloud.observer import ProjectObserver, Unobserved
from exporter.cloud.reachability import Reachability
from exporter.config.config import AgencyAuth, Project, Tls
from exporter.http.deadline import Deadline
from exporter.http.transport import WireTransport
from exporter.model import ProbeResult, ProjectStatus, Stage, Target
from exporter.probe.console import ConsoleClient
from exporter.probe.prober import Prober
from exporter.ratelimit.throttle import Throttle
from exporter.ratelimit.transport import RateLimitedTransport
from exporter.state.saved_state import SavedProject
from exporter.targets.cloud_discovery import list_targets
from exporter.targets.sharding import UNSHARDED, Shard

_METADATA_TIMEOUT = 5.0
_METADATA_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ProjectParts:
    """The components of one project. ``files`` is a digest of the certificate files in use."""

    project: Project
    transport: httpx.AsyncBaseTransport
    metadata: WireTransport | None
    consoles: ConsoleClient
    throttle: Throttle
    login: Login
    reachability: Reachability
    client: CloudClient
    prober: Prober
    files: bytes

    @classmethod
    def build(
        cls,
        project: Project,
        observer: ProjectObserver,
        lockouts: Lockouts,
        clock: Clock,
        shard: Shard = UNSHARDED,
    ) -> "ProjectParts":
        """Build the components of a project without sending a request.

        ``lockouts`` counts rejected logins; all projects share it, and it outlives reloads. A
        ``shard`` uses its share of the rate limit.

        Raises `OSError` if a certificate file cannot be used, `SecretUnreadableError` if the
        file with the proxy's URL cannot be read.
        """
        # Computed before the files are read, so that the next reload notices a file that was
        # replaced in between.
        files = _digest(project)
        wire = WireTransport(
            tls=project.tls,
            proxy_url=project.proxy_url,
            observer=observer,
            # A configured TLS server name is the API's; logins go to other hosts.
            named=httpx.URL(project.endpoint).raw_host.decode("ascii"),
        )
        limit = shard.share(project.rate_limit)
        throttle = Throttle(
            requests_per_second=limit.requests_per_second, burst=limit.burst, clock=clock
        )
        transport = RateLimitedTransport(ObservedTransport(wire, observer), throttle)
        metadata = _metadata_transport(project)
        login = login_for(
            project,
            send=login_sender(transport, project.timeout),
            fetch=_metadata_fetcher(metadata or transport),
            observer=observer,
            clock=clock,
            lockouts=lockouts,
        )
        reachability = Reachability(clock)
        client = CloudClient(
            endpoint=project.endpoint,
            project_id=project.project_id,
            transport=transport,
            login=login,
            observer=observer,
            reachability=reachability,
        )
        consoles = ConsoleClient(project.console, proxy_url=project.proxy_url, observer=observer)
        prober = Prober(client, consoles, clock)
        return cls(
            project,
            transport,
            metadata,
            consoles,
            throttle,
            login,
            reachability,
            client,
            prober,
            files,
        )

    def can_serve(self, project: Project) -> bool:
        """Return whether these parts fit a new version of their project without a rebuild."""
        return (
            _connection_settings(project) == _connection_settings(self.project)
            and _digest(project) == self.files
        )

    @property
    def snapshot_key(self) -> str:
        """Return the key under which request rate and login are saved: one per API and project."""
        project = self.project
        return f"{project.name} {project.endpoint} {project.project_id}"

    def status(self) -> ProjectStatus:
        """Return the state of throttle, login and API, for metrics, pages and API."""
        return ProjectStatus(
            name=self.project.name,
            region=self.project.region,
            limit=self.throttle.limit,
            ceiling=self.throttle.ceiling,
            queue_length=self.throttle.queue_length,
            resume_at=self.throttle.resume_at or None,
            login_expires_at=self.login.expires_at,
            api_reachable=self.reachability.reachable,
        )

    async def snapshot(self) -> SavedProject:
        """Return the state to save for `restore` after a restart."""
        return SavedProject(rate=self.throttle.snapshot(), login=await self.login.snapshot())

    def restore(self, saved: SavedProject) -> None:
        """Restore the request rate and login saved before a restart, if they are still valid."""
        if saved.rate:
            self.throttle.restore(saved.rate)
        if saved.login:
            self.login.restore(saved.login)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.reachability.aclose()
        await self.transport.aclose()
        await self.consoles.aclose()
        if self.metadata is not None:
            await self.metadata.aclose()


def _metadata_transport(project: Project) -> WireTransport | None:
    """Return the connections to the metadata service; None if the project does not use it."""
    if not isinstance(project.auth, AgencyAuth):
        return None
    # The service is link-local: it needs no proxy and uses no TLS.
    return WireTransport(tls=Tls(), proxy_url=None, observer=Unobserved())


def _metadata_fetcher(transport: httpx.AsyncBaseTransport) -> SendRequest:
    async def fetch(request: httpx.Request) -> httpx.Response:
        request.extensions.update(
            deadline=Deadline(_METADATA_TIMEOUT), max_bytes=_METADATA_MAX_BYTES, fresh=True
        )
        return await transport.handle_async_request(request)

    return fetch


def _connection_settings(project: Project) -> Project:
    """Return a project with only the settings that its components are built from."""
    return replace(
        project, servers=(), server_files=(), discovery=None, interval=0.0, depth=Stage.API
    )


def _digest(project: Project) -> bytes:
    """Return a digest of the certificate files, which may be replaced under the same name."""
    digest = hashlib.sha256()
    for tls in (project.tls, project.console.tls):
        for file in (tls.ca_file, tls.cert_file, tls.key_file):
            # An unreadable file is reported where it is used.
            with suppress(OSError):
                digest.update(file.read_bytes() if file else b"")
            digest.update(b"\0")
    return digest.digest()


async def probe_once(project: Project, target: Target, clock: Clock) -> ProbeResult:
    """Probe one target once, with components built for this probe."""
    parts = ProjectParts.build(project, Unobserved(), Lockouts(clock), clock)
    try:
        return await parts.prober.probe(target)
    finally:
        await parts.aclose()


async def list_once(project: Project, clock: Clock) -> list[Target]:
    """Return the servers that the cloud lists for a project, with components built for this call.

    Raises `httpx.RequestError`, `OSError` and `SecretUnreadableError`.
    """
    if project.discovery is None:
        return []
    parts = ProjectParts.build(project, Unobserved(), Lockouts(clock), clock)
    try:
        targets, _ = await list_targets(project, project.discovery, parts.client)
        return targets
    finally:
        await parts.aclose()
