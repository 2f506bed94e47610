"""A complete project with metrics and log, whose requests all go to one hostile server."""

import asyncio
import gc
import io
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import structlog
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from exporter.app.project import ProjectParts
from exporter.clock import SystemClock
from exporter.cloud.auth import Lockouts
from exporter.cloud.auth.agency import MetadataSource
from exporter.cloud.auth.password import PasswordSource
from exporter.cloud.client import login_sender
from exporter.cloud.server_list import ListedServer
from exporter.config.config import (
    AgencyAuth,
    Auth,
    Console,
    PasswordAuth,
    Project,
    RateLimit,
    TokenAuth,
)
from exporter.config.host_pattern import HostPattern
from exporter.config.secret import Secret
from exporter.metrics.exposition import Exposition
from exporter.metrics.instruments import Instruments
from exporter.metrics.negotiation import Format
from exporter.metrics.server_series import ServerSeries
from exporter.model import ProbeResult, Stage, Target, TargetKey
from exporter.outcome import Outcome
from exporter.process import log
from exporter.state import ConsoleEvents, StateStore
from tests.hostile.loop_blocking import Held, watching_the_loop
from tests.hostile.strategies import CANARY
from tests.real import cloud_responses as cloud
from tests.real.broken_servers import BrokenServer, Connection, Request
from tests.real.leak_check import asserting_no_leaks
from tests.real.raw_console import PAGE, accepts, html

DEADLINE = 0.25
"""Seconds for a probe."""
HELD_MAX = 0.05
"""Seconds that the event loop may be blocked."""
SERIES_MAX = 700
"""Lines of metrics."""

RawResponse = bytes | Callable[[Request], bytes]
AUTHS: dict[str, Callable[[str], Auth]] = {
    "token": lambda _: TokenAuth(Secret("planted-iam-token")),
    "password": lambda url: PasswordAuth(url, "monitor", Secret("planted-password"), "d"),
    "agency": AgencyAuth,
}


@dataclass(repr=False)
class HostileProject:
    """A project's parts, and the behaviour of the hostile server.

    ``responses`` maps a part of a path to a response; ``websocket_data`` is sent after a handshake.
    ``ending`` is what the server does after these: it ``closes`` the connection, ``stays`` silent,
    or ``serves`` further requests.
    """

    server: BrokenServer
    parts: ProjectParts
    state: StateStore
    exposition: Exposition
    logged: io.StringIO
    record: Callable[[ProbeResult], None]
    responses: dict[str, RawResponse] = field(default_factory=dict)
    websocket_data: bytes = b""
    ending: str = "closes"
    held_max: float = HELD_MAX

    async def listed(self, timeout: float) -> list[ListedServer]:  # noqa: ASYNC109 - per page
        """Return the servers that the cloud lists; ``timeout`` is seconds for each page."""
        pages = self.parts.client.server_pages(manage_state=None, timeout=timeout)
        return [server async for page in pages for server in page]

    def password_source(self) -> PasswordSource:
        """Return a source of tokens without the backoff after rejected logins."""
        transport = self.parts.transport
        auth = PasswordAuth(self.server.url, "monitor", Secret("planted-password"), "d")
        return PasswordSource(
            auth, "0123", send=login_sender(transport, DEADLINE), clock=SystemClock()
        )

    def metadata_source(self) -> MetadataSource:
        """Return a source of access keys from the metadata service."""
        fetch = login_sender(self.parts.transport, DEADLINE)
        return MetadataSource(AgencyAuth(self.server.url), fetch=fetch, clock=SystemClock())

    async def probe(self, depth: Stage = Stage.API) -> ProbeResult:
        """Probe, and check what must hold for any response."""
        target = Target(TargetKey("southwest", "s"), "db-01", "cn", 60.0, DEADLINE, depth)
        self.state.reconcile([target])
        async with self.watched():
            result = await self.parts.prober.probe(target)
        self.record(result)
        assert result.outcome in Outcome
        # A busy machine may block the event loop; any other internal error is a bug.
        is_loop_blocked = "exporter itself was blocked" in result.detail
        assert result.outcome is not Outcome.INTERNAL_ERROR or is_loop_blocked, (
            self.logged.getvalue()
        )
        assert is_loop_blocked or result.duration_seconds < DEADLINE + 0.5
        self.check(repr(result))
        return result

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Held]:
        """Fail when the block blocks the event loop."""
        async with watching_the_loop() as held:
            yield held
        assert held.longest < self.held_max

    def check(self, shown: str) -> None:
        """Fail when a secret is in ``shown``, log or metrics, or when the metrics are invalid."""
        text = b"".join(self.exposition.chunks(Format.TEXT)).decode()
        open_text = b"".join(self.exposition.chunks(Format.OPENMETRICS)).decode()
        assert [family.name for family in plain(text)]
        assert [family.name for family in openmetrics(open_text)]  # type: ignore[no-untyped-call]
        assert len(text.splitlines()) < SERIES_MAX
        # Paths may be shown, so the canary alone, as a path, is no leak.
        for output in (shown, self.logged.getvalue(), text, open_text):
            assert f"token={CANARY}" not in output
            assert f"{CANARY}=" not in output
            assert "planted-" not in output
        assert "Traceback" not in self.logged.getvalue()
        self.server.requests.clear()
        self.logged.seek(0)
        self.logged.truncate()

    async def behave(self, connection: Connection) -> None:
        """Send the configured response to a request, or a valid one if none is configured."""
        while True:
            request = await connection.request()
            hostile = next(
                (raw for part, raw in self.responses.items() if part in request.path), None
            )
            raw = self._good(request) if hostile is None else hostile
            await connection.send(raw(request) if callable(raw) else raw)
            if "upgrade" in request.headers:
                await connection.send(self.websocket_data)
            if "upgrade" in request.headers or (hostile is not None and self.ending != "serves"):
                if self.ending == "stays":
                    await asyncio.Event().wait()
                return

    def _good(self, request: Request) -> bytes:
        if "upgrade" in request.headers:
            return accepts(request)
        if request.path.startswith("/vnc/"):
            return html()
        if "tokens" in request.path:
            body = {"token": {"expires_at": "2100-01-01T00:00:00Z"}}
            return cloud.json_response(201, body, X_Subject_Token="t")
        return cloud.console_address(f"{self.server.url}{PAGE}?token={CANARY}")


@asynccontextmanager
async def hostile_project(auth: str = "token") -> AsyncIterator[HostileProject]:
    """Run the server and the project; fail when they leak sockets, tasks or files."""
    async with asserting_no_leaks():
        server = BrokenServer(_silent)
        with _logged() as logged:
            async with server:
                project = _project(server, auth, logged)
                server.behaviour = project.behave
                gc.collect()
                try:
                    yield project
                finally:
                    gc.unfreeze()
                    await project.parts.aclose()


async def _silent(connection: Connection) -> None:
    """Send nothing, until the project exists and its behaviour replaces this one."""
    await connection.first_bytes()


@contextmanager
def _logged() -> Iterator[io.StringIO]:
    """Capture the log, in the program's format and at level debug, until the context exits."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    log.configure(level="debug", form="logfmt", stream=stream)
    try:
        yield stream
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        structlog.reset_defaults()


def _project(server: BrokenServer, auth: str, logged: io.StringIO) -> HostileProject:
    settings = Project(
        name="southwest",
        region="cn",
        project_id="0123",
        endpoint=server.url,
        auth=AUTHS[auth](server.url),
        timeout=DEADLINE,
        rate_limit=RateLimit(100_000.0, 100_000),
        console=Console(allowed_hosts=(HostPattern.parse("127.0.0.1"),)),
    )
    instruments = Instruments(
        "0",
        projects=list,
        targets=lambda: 1,
        overdue_servers=lambda: 0,
        event_loop_lag=lambda: 0.0,
    )
    observer = instruments.add_project("southwest")
    clock = SystemClock()
    parts = ProjectParts.build(settings, observer, Lockouts(clock), clock)
    state, series = StateStore(50), ServerSeries()
    state.listen(series)
    state.listen(ConsoleEvents())

    def record(result: ProbeResult) -> None:
        observer.probed(result)
        state.record(result)

    exposition = Exposition(series, instruments.registry)
    return HostileProject(server, parts, state, exposition, logged, record)
