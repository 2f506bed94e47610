"""Probe a server with the real stack of a probe, over real sockets."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx

from exporter.clock import SystemClock
from exporter.cloud.auth.login import Login
from exporter.cloud.client import CloudClient
from exporter.cloud.errors import LoginFailedError
from exporter.cloud.observed_transport import ObservedTransport
from exporter.cloud.observer import ProjectObserver, Unobserved
from exporter.cloud.reachability import Reachability
from exporter.config.config import Console, Tls
from exporter.config.secret import Secret
from exporter.http.resolver import Resolver
from exporter.http.transport import WireTransport
from exporter.model import ProbeResult, Stage, Target, TargetKey
from exporter.outcome import Outcome
from exporter.probe.console import ConsoleClient
from exporter.probe.prober import Prober
from exporter.ratelimit.throttle import Throttle
from exporter.ratelimit.transport import RateLimitedTransport

TOKEN = "planted-iam-token"
SECRETS = (TOKEN, "planted-proxy-password", "2e3e42cb-b5e7-49f0-91b6-d16401a823ac", "token=")
AMPLE_TIMEOUT = 10.0
SHORT_TIMEOUT = 0.3
DEEP_TIMEOUT = 1.0
"""Timeouts in seconds: one that is never reached, one for a probe that hangs in its first stage,
and one for a probe that hangs in a later stage.
"""

Probe = Callable[[], Awaitable[ProbeResult]]


class TokenLogin(Login):
    """A login with a sequence of tokens; without tokens it fails."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)

    async def authorize(self, request: httpx.Request) -> None:
        if not self._tokens:
            raise LoginFailedError("the login was rejected: check the password")
        request.headers["x-auth-token"] = self._tokens[0]

    async def renew(self, rejected: httpx.Request, seconds: float = 0.0) -> bool:  # noqa: ARG002
        if len(self._tokens) < 2 or rejected.headers["x-auth-token"] != self._tokens[0]:
            return False
        self._tokens.pop(0)
        return True

    def accepted(self, request: httpx.Request) -> None:
        """Do nothing."""


class AnsweredOthers(Reachability):
    """The API answers the project's other requests, so a failure is the probed server's."""

    async def confirm(self, began: float, ask: Callable[[], Awaitable[None]]) -> bool:  # noqa: ARG002
        return True


@asynccontextmanager
async def probing(  # noqa: PLR0913 - parameters of tests
    url: str,
    *,
    timeout: float = AMPLE_TIMEOUT,  # noqa: ASYNC109 - the target's own setting
    login: TokenLogin | None = None,
    tls: Tls | None = None,
    proxy_url: Secret | None = None,
    depth: Stage = Stage.API,
    console: Console = Console(),  # noqa: B008 - a frozen value
    observer: ProjectObserver = Unobserved(),  # noqa: B008 - stateless
    resolver: Resolver | None = None,
    reachability: type[Reachability] = AnsweredOthers,
) -> AsyncIterator[Probe]:
    """Yield a function that probes one server through the API at ``url``.

    By default the API answers other requests; with `Reachability` only if it does.
    """
    clock = SystemClock()
    wire = WireTransport(
        tls=tls or Tls(),
        proxy_url=proxy_url,
        observer=Unobserved(),
    )
    throttle = Throttle(requests_per_second=1000.0, burst=1000, clock=clock)
    client = CloudClient(
        endpoint=url,
        project_id="0123456789abcdef0123456789abcdef",
        transport=RateLimitedTransport(ObservedTransport(wire, Unobserved()), throttle),
        login=login or TokenLogin(TOKEN),
        observer=Unobserved(),
        reachability=reachability(clock),
    )
    consoles = ConsoleClient(console, proxy_url=None, observer=observer, resolver=resolver)
    prober = Prober(client, consoles, clock)
    target = Target(TargetKey("southwest", "7c9ad6b8"), "db-01", "cn", timeout + 1, timeout, depth)

    async def probe() -> ProbeResult:
        return await prober.probe(target)

    try:
        yield probe
    finally:
        await consoles.aclose()
        await wire.aclose()


async def probe_once(  # noqa: PLR0913 - parameters of tests
    url: str,
    *,
    timeout: float = AMPLE_TIMEOUT,  # noqa: ASYNC109 - the target's own setting
    login: TokenLogin | None = None,
    tls: Tls | None = None,
    proxy_url: str | None = None,
    depth: Stage = Stage.API,
    console: Console = Console(),  # noqa: B008 - a frozen value
    resolver: Resolver | None = None,
    reachability: type[Reachability] = AnsweredOthers,
) -> ProbeResult:
    """Probe once and check the invariants of every result."""
    async with probing(
        url,
        timeout=timeout,
        login=login,
        tls=tls,
        proxy_url=Secret(proxy_url) if proxy_url else None,
        depth=depth,
        console=console,
        resolver=resolver,
        reachability=reachability,
    ) as probe:
        result = await probe()
    if depth is Stage.API:
        assert result.failed_stage == (None if result.outcome is Outcome.SUCCESS else Stage.API)
    assert (result.failed_stage is None) == (result.outcome is Outcome.SUCCESS)
    assert [timing.passed for timing in result.stages[:-1]] == [True] * len(result.stages[:-1])
    # The timeout applies whatever the server does.
    assert result.duration_seconds < timeout + 1
    assert not [secret for secret in SECRETS if secret in repr(result)]
    return result
