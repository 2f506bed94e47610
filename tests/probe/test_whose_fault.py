"""What breaks, for one server or for the whole API, decides whose fault a failed probe is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.app.project import ProjectParts
from exporter.clock import SystemClock
from exporter.cloud.auth import Lockouts
from exporter.cloud.observer import Unobserved
from exporter.config.config import Project, RateLimit, Tls, TokenAuth
from exporter.config.secret import Secret
from exporter.model import ProbeResult, Target, TargetKey
from exporter.outcome import Outcome, Verdict
from tests.real import broken_servers, silent_ports
from tests.real import cloud_responses as cloud
from tests.real.broken_responses import answers, answers_and_closes
from tests.real.broken_servers import Behaviour, BrokenServer, Request
from tests.real.certificates import Certificates
from tests.real.machine_stalls import retry_if_machine_stalled

BROKEN, SERVERS = "broken", ("broken", "good-1", "good-2")
TIMEOUT = 0.5
PAGE = cloud.json_response(200, {"servers": [{"id": one} for one in SERVERS]})
HTML = "<html>Log in</html>"


@dataclass(frozen=True, slots=True)
class Fault:
    """What a server does, and the outcomes if it does so for one server or for every request."""

    behaviour: Behaviour
    alone: Outcome
    everywhere: Outcome
    detail: str = ""


def instead(raw: bytes, alone: Outcome, everywhere: Outcome, detail: str = "") -> Fault:
    """Return a fault where something else answers."""
    return Fault(answers(raw), alone, everywhere, detail)


def own(status: int, code: str, outcome: Outcome) -> Fault:
    """Return a response of the API itself, which needs no other evidence."""
    return Fault(answers(cloud.error(status, code)), outcome, outcome)


NOBODY, OTHER = Outcome.UNREACHABLE, Outcome.WRONG_ENDPOINT
FAULTS = {
    "closes": Fault(broken_servers.closes, Outcome.PROTOCOL_ERROR, NOBODY),
    "resets": Fault(broken_servers.resets, Outcome.PROTOCOL_ERROR, NOBODY),
    "not HTTP": Fault(answers_and_closes(b"SSH-2.0-x\r\n"), Outcome.PROTOCOL_ERROR, NOBODY),
    "silent": Fault(broken_servers.stalls_after_the_request, Outcome.TIMEOUT, NOBODY),
    "407": instead(
        cloud.response(407), Outcome.BAD_RESPONSE, NOBODY, "the proxy answered 407: check proxy_url"
    ),
    "408": instead(cloud.response(408), Outcome.BAD_RESPONSE, NOBODY, "check proxy_url"),
    "502 of HTML": instead(
        cloud.response(502, HTML), Outcome.SERVER_ERROR, NOBODY, "proxy or balancer answered 502"
    ),
    "504": instead(cloud.response(504), Outcome.SERVER_ERROR, NOBODY, "status page"),
    "200 of HTML": instead(cloud.response(200, HTML), Outcome.BAD_RESPONSE, OTHER, "login portal"),
    "200 of other JSON": instead(
        cloud.json_response(200, {"ok": True}), Outcome.BAD_RESPONSE, OTHER, "check endpoint"
    ),
    "302": instead(
        cloud.response(302, Location="http://portal.example/"),
        Outcome.BAD_RESPONSE,
        OTHER,
        "the answer with status 302 is not the API's",
    ),
    "511": instead(cloud.response(511, HTML), Outcome.SERVER_ERROR, OTHER, "login portal"),
    "400 of HTML": instead(cloud.response(400, HTML), Outcome.BAD_REQUEST, OTHER, "endpoint"),
    "404 of HTML": instead(cloud.response(404, HTML), Outcome.NOT_FOUND, OTHER, "check endpoint"),
    **{
        code: instead(
            cloud.error(404, code), Outcome.NOT_FOUND, OTHER, f"{code}, no such API: check endpoint"
        )
        for code in ("APIGW.0101", "APIGW.0103", "APIG.0101")
    },
    **{
        code: instead(cloud.error(400, code), Outcome.BAD_REQUEST, OTHER, "check endpoint")
        for code in ("APIGW.0104", "APIGW.0105", "APIGW.0106")
    },
    "iMetal.0100": own(404, "iMetal.0100", Outcome.NOT_FOUND),
    "iMetal.0101": own(400, "iMetal.0101", Outcome.NOT_READY),
    "iMetal.0099": own(500, "iMetal.0099", Outcome.SERVER_ERROR),
    "APIGW.0613": own(503, "APIGW.0613", Outcome.SERVER_ERROR),
    "APIGW.0301": own(401, "APIGW.0301", Outcome.UNAUTHORIZED),
    "iMetal.0004": own(403, "iMetal.0004", Outcome.FORBIDDEN),
    "APIGW.0308": own(429, "APIGW.0308", Outcome.THROTTLED),
}


def healthy(request: Request) -> bytes | None:
    """Answer all requests but those for the broken server."""
    if f"/{BROKEN}/" in request.path:
        return None
    return cloud.console_address() if request.path.endswith("-address") else PAGE


@dataclass(frozen=True, slots=True)
class Probed:
    """A project whose servers a test probes."""

    parts: ProjectParts

    async def probe(self, server: str = BROKEN) -> ProbeResult:
        target = Target(TargetKey("southwest", server), server, "cn", 60.0, TIMEOUT)
        return await self.parts.prober.probe(target)

    async def probe_all(self) -> list[ProbeResult]:
        return list(await asyncio.gather(*map(self.probe, SERVERS)))

    @property
    def reachable(self) -> bool | None:
        return self.parts.status().api_reachable


@asynccontextmanager
async def project(
    endpoint: str, *, tls: Tls | None = None, proxy_url: str | None = None
) -> AsyncIterator[Probed]:
    settings = Project(
        name="southwest",
        region="cn",
        project_id="0123",
        endpoint=endpoint,
        auth=TokenAuth(Secret("planted-token")),
        rate_limit=RateLimit(1000.0, 1000),
        tls=tls or Tls(),
        proxy_url=Secret(proxy_url) if proxy_url else None,
    )
    clock = SystemClock()
    parts = ProjectParts.build(settings, Unobserved(), Lockouts(clock), clock)
    try:
        yield Probed(parts)
    finally:
        await parts.aclose()


cases = pytest.mark.parametrize(
    "fault", [pytest.param(one, id=name) for name, one in FAULTS.items()]
)


@cases
@retry_if_machine_stalled
async def test_a_fault_of_one_server_is_its_own_if_the_control_request_is_answered(
    fault: Fault,
) -> None:
    async with (
        BrokenServer(fault.behaviour, healthy=healthy) as server,
        project(server.url) as probed,
    ):
        result = await probed.probe()
        reachable = probed.reachable

    assert result.outcome is fault.alone, result.detail
    assert reachable is True
    needs_evidence = fault.alone is not fault.everywhere
    assert [one.path for one in server.healthy_requests] == (
        ["/v1/0123/physicalservers?limit=10"] if needs_evidence else []
    )


@cases
@retry_if_machine_stalled
async def test_a_fault_of_one_server_does_not_touch_the_others(fault: Fault) -> None:
    async with (
        BrokenServer(fault.behaviour, healthy=healthy) as server,
        project(server.url) as probed,
    ):
        broken, *others = await probed.probe_all()

    assert broken.outcome is fault.alone, broken.detail
    assert {one.outcome for one in others} == {Outcome.SUCCESS}
    # Answers to the other probes may be the evidence.
    assert len(server.healthy_requests) <= len(others) + 1


@cases
@retry_if_machine_stalled
async def test_a_fault_of_the_whole_api_is_no_servers_and_needs_one_control_request(
    fault: Fault,
) -> None:
    async with BrokenServer(fault.behaviour) as server, project(server.url) as probed:
        results = await probed.probe_all()
        again = await probed.probe()
        reachable = probed.reachable

    assert {one.outcome for one in (*results, again)} == {fault.everywhere}, again.detail
    assert all(fault.detail in one.detail for one in results)
    from_api = fault.alone is fault.everywhere
    assert reachable is from_api
    controls = [one for one in server.requests if one.path.endswith("?limit=10")]
    assert len(controls) == (0 if from_api else 1)


async def test_an_api_that_works_again_is_reachable_again() -> None:
    async with (
        BrokenServer(
            answers(cloud.response(302), cloud.response(302), cloud.console_address())
        ) as server,
        project(server.url) as probed,
    ):
        first = await probed.probe()
        before = probed.reachable
        second = await probed.probe()
        after = probed.reachable

    assert (first.outcome, second.outcome) == (Outcome.WRONG_ENDPOINT, Outcome.SUCCESS)
    assert (before, after) == (False, True)


# ---- The exporter's own side


async def unreachable(
    endpoint: str, *, tls: Tls | None = None, proxy_url: str | None = None
) -> str:
    """Probe all servers of a project; assert that no server is blamed and return the detail."""
    async with project(endpoint, tls=tls, proxy_url=proxy_url) as probed:
        results = await probed.probe_all()
        assert probed.reachable is False
    assert {(one.outcome, one.status_code) for one in results} == {(Outcome.UNREACHABLE, 0)}
    assert {one.verdict for one in results} == {Verdict.INCONCLUSIVE}
    assert "planted" not in repr(results)
    return results[0].detail


async def test_a_name_that_does_not_resolve() -> None:
    detail = await unreachable(f"https://{silent_ports.UNKNOWN_HOST}")
    assert detail.startswith(f"cannot resolve {silent_ports.UNKNOWN_HOST}: ")
    assert ": check DNS" in detail


async def test_a_closed_port() -> None:
    with silent_ports.closed_port() as url:
        assert "Connection refused" in await unreachable(url)


@retry_if_machine_stalled
async def test_a_port_that_accepts_nothing() -> None:
    with silent_ports.never_accepting_port() as url:
        assert "no complete response within" in await unreachable(url)


async def test_a_network_that_is_unreachable() -> None:
    # Linux refuses TCP to a multicast address as it does without a route.
    detail = await unreachable("http://224.0.0.1")
    assert "Network is unreachable: check this machine's network" in detail


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("not_yet_valid", "certificate is not yet valid: check this machine's clock"),
        ("expired", "certificate has expired: check this machine's clock, then the server's"),
        ("unknown_authority", "unable to get local issuer certificate: check tls.ca_file"),
        ("self_signed", "the certificate names no host"),
        ("wrong_name", "the certificate is for another host name"),
    ],
)
async def test_an_untrusted_certificate(tmp_path: Path, kind: str, detail: str) -> None:
    certificates = Certificates()
    trusting = Tls(ca_file=certificates.write_authority(tmp_path / "ca.pem"))
    context = getattr(certificates, kind)()
    async with BrokenServer(answers(cloud.console_address()), tls=context) as server:
        assert detail in await unreachable(server.url, tls=trusting)
    assert server.requests == []


PROXY_URL = "http://user:planted-password@"


async def test_a_proxy_that_refuses_connections() -> None:
    with silent_ports.closed_port() as url:
        detail = await unreachable(
            "https://clouddc.example", proxy_url=url.replace("http://", PROXY_URL)
        )
    assert "cannot connect to the proxy: Connection refused: check proxy_url" in detail


async def test_a_proxy_whose_name_does_not_resolve() -> None:
    detail = await unreachable(
        "https://clouddc.example", proxy_url=f"{PROXY_URL}{silent_ports.UNKNOWN_HOST}:3128"
    )
    assert f"cannot resolve the proxy {silent_ports.UNKNOWN_HOST}: " in detail
    assert ": check proxy_url and DNS" in detail


@pytest.mark.parametrize(
    ("status", "cure"),
    [
        (403, "check the proxy's rules"),
        (407, "check proxy_url"),
        (429, "check the proxy"),
        (502, "check the proxy"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel(status: int, cure: str) -> None:
    async with BrokenServer(answers(cloud.response(status))) as proxy:
        detail = await unreachable(
            "https://clouddc.example", proxy_url=proxy.url.replace("http://", PROXY_URL)
        )
    assert f"the proxy answered CONNECT with {status}: {cure}" in detail


@pytest.mark.parametrize("status", [407, 408, 502, 503, 504])
async def test_a_proxy_that_answers_a_plain_http_request_itself(status: int) -> None:
    async with (
        BrokenServer(answers(cloud.response(status, HTML))) as proxy,
        project(
            "http://clouddc.example", proxy_url=proxy.url.replace("http://", PROXY_URL)
        ) as probed,
    ):
        results = await probed.probe_all()

    assert {(one.outcome, one.status_code) for one in results} == {(Outcome.UNREACHABLE, status)}
    assert "check proxy_url" in results[0].detail
