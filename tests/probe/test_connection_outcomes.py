"""Each failure of the connection to the cloud's API gives its own outcome."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.app.project import probe_once as parts_probe_once
from exporter.clock import SystemClock
from exporter.config.config import Tls
from exporter.config.load import load
from exporter.config.secret import Secret
from exporter.outcome import Outcome
from exporter.targets.static import targets_of
from tests.real import broken_responses, broken_servers, silent_ports
from tests.real import cloud_responses as cloud
from tests.real.broken_responses import answers, answers_and_closes, answers_and_resets
from tests.real.broken_servers import Behaviour, BrokenServer
from tests.real.certificates import Certificates
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.probing import SHORT_TIMEOUT, probe_once, probing

GOOD = cloud.console_address()


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(broken_responses.closes_after_response, id="closes after the response"),
        pytest.param(broken_responses.closes_at_second_request, id="closes at the second request"),
        pytest.param(broken_responses.resets_at_second_request, id="resets at the second request"),
    ],
)
async def test_a_pooled_connection_closed_by_the_server_fails_no_probe(
    behaviour: Behaviour,
) -> None:
    async with BrokenServer(behaviour) as server, probing(server.url) as probe:
        results = []
        for _ in range(3):
            results.append(await probe())
            # Wait until a close by the server has arrived.
            await asyncio.sleep(0.02)

    assert [(result.outcome, result.detail) for result in results] == [(Outcome.SUCCESS, "")] * 3


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(broken_responses.closes_at_second_request, id="closes"),
        pytest.param(broken_responses.resets_at_second_request, id="resets"),
    ],
)
async def test_several_dead_pooled_connections_fail_no_probe(behaviour: Behaviour) -> None:
    # As when a load balancer drops its idle connections without closing them.
    async with BrokenServer(behaviour) as server, probing(server.url) as probe:
        await asyncio.gather(probe(), probe(), probe(), probe())
        assert server.connections == 4
        result = await probe()

    assert (result.outcome, result.detail) == (Outcome.SUCCESS, "")


async def test_probes_of_a_healthy_server_share_one_connection() -> None:
    async with BrokenServer(answers(GOOD)) as server, probing(server.url) as probe:
        for _ in range(3):
            assert (await probe()).outcome is Outcome.SUCCESS

    assert server.connections == 1


async def test_a_broken_response_does_not_affect_the_next_probe() -> None:
    async with (
        BrokenServer(
            answers(cloud.console_address_of_size(cloud.MIB + 1), cloud.response(500), GOOD)
        ) as server,
        probing(server.url) as probe,
    ):
        outcomes = [(await probe()).outcome for _ in range(3)]

    assert outcomes == [Outcome.BAD_RESPONSE, Outcome.SERVER_ERROR, Outcome.SUCCESS]


# ---- Connecting


async def test_exceeding_the_look_up_limit_is_an_internal_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("exporter.http.resolver._AT_ONCE_MAX", 0)
    result = await probe_once(f"https://{silent_ports.UNKNOWN_HOST}")

    assert result.outcome is Outcome.INTERNAL_ERROR
    assert "too many names" in result.detail


async def test_a_name_that_does_not_resolve_is_a_dns_error() -> None:
    result = await probe_once(f"https://{silent_ports.UNKNOWN_HOST}")

    assert (result.outcome, result.status_code) == (Outcome.DNS_ERROR, 0)
    assert silent_ports.UNKNOWN_HOST in result.detail


async def test_a_closed_port_is_a_connect_error() -> None:
    with silent_ports.closed_port() as url:
        result = await probe_once(url)

    assert (result.outcome, result.status_code) == (Outcome.CONNECT_ERROR, 0)


async def test_a_closed_port_is_a_connect_error_over_tls_too() -> None:
    with silent_ports.closed_port() as url:
        result = await probe_once(url.replace("http:", "https:"))

    assert (result.outcome, result.status_code) == (Outcome.CONNECT_ERROR, 0)


@retry_if_machine_stalled
async def test_a_connection_that_is_never_accepted_is_a_timeout() -> None:
    with silent_ports.never_accepting_port() as url:
        result = await probe_once(url, timeout=SHORT_TIMEOUT)

    assert (result.outcome, result.status_code) == (Outcome.TIMEOUT, 0)


# ---- TLS


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture
def trusting(certificates: Certificates, tmp_path: Path) -> Tls:
    return Tls(ca_file=certificates.write_authority(tmp_path / "ca.pem"))


@pytest.mark.parametrize(
    ("outcome", "behaviour"),
    [
        pytest.param(Outcome.SUCCESS, answers(GOOD), id="good"),
        pytest.param(Outcome.PROTOCOL_ERROR, broken_servers.closes, id="closes"),
        pytest.param(Outcome.PROTOCOL_ERROR, broken_servers.resets, id="resets"),
        pytest.param(Outcome.PROTOCOL_ERROR, answers_and_closes(GOOD[:-9]), id="cut mid-body"),
        pytest.param(Outcome.PROTOCOL_ERROR, answers_and_resets(GOOD[:-9]), id="reset mid-body"),
    ],
)
async def test_a_failure_after_the_handshake_is_not_a_tls_error(
    certificates: Certificates, trusting: Tls, outcome: Outcome, behaviour: Behaviour
) -> None:
    async with BrokenServer(behaviour, tls=certificates.good()) as server:
        result = await probe_once(server.url, tls=trusting)

    assert result.outcome is outcome, result.detail


@pytest.mark.parametrize(
    "kind",
    [
        "wrong_name",
        "expired",
        "not_yet_valid",
        "unknown_authority",
        "self_signed",
    ],
)
async def test_an_untrusted_certificate_is_a_tls_error(
    certificates: Certificates, trusting: Tls, kind: str
) -> None:
    async with BrokenServer(answers(GOOD), tls=getattr(certificates, kind)()) as server:
        result = await probe_once(server.url, tls=trusting)

    assert (result.outcome, result.status_code) == (Outcome.TLS_ERROR, 0), result.detail
    # No token was sent to an untrusted server.
    assert server.requests == []


async def test_a_missing_client_certificate_is_a_tls_error(
    certificates: Certificates, trusting: Tls
) -> None:
    refusing = broken_servers.refuses_client(certificates.demanding_client_certificate())
    async with BrokenServer(refusing) as server:
        result = await probe_once(server.url.replace("http:", "https:"), tls=trusting)

    assert (result.outcome, result.status_code) == (Outcome.TLS_ERROR, 0), result.detail
    assert "certificate required" in result.detail


@pytest.mark.parametrize("kind", ["wrong_name", "expired", "self_signed"])
async def test_any_certificate_is_accepted_without_verification(
    certificates: Certificates, kind: str
) -> None:
    async with BrokenServer(answers(GOOD), tls=getattr(certificates, kind)()) as server:
        result = await probe_once(server.url, tls=Tls(insecure_skip_verify=True))

    assert result.outcome is Outcome.SUCCESS, result.detail


async def test_the_configured_server_name_is_verified(
    certificates: Certificates, trusting: Tls
) -> None:
    named = Tls(ca_file=trusting.ca_file, server_name="other.example")
    async with BrokenServer(answers(GOOD), tls=certificates.wrong_name()) as server:
        result = await probe_once(server.url, tls=named)

    assert result.outcome is Outcome.SUCCESS, result.detail


async def test_the_configured_server_name_does_not_apply_to_the_iam_endpoint(
    certificates: Certificates, trusting: Tls, tmp_path: Path
) -> None:
    soon = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    token = cloud.json_response(201, {"token": {"expires_at": soon}}, X_Subject_Token="t")
    async with (
        BrokenServer(answers(GOOD), tls=certificates.wrong_name()) as api,
        BrokenServer(answers(token), tls=certificates.good()) as iam,
    ):
        config = tmp_path / "config.yaml"
        config.write_text(f"""
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: "0123"
    endpoint: {api.url}
    tls: {{ca_file: {trusting.ca_file}, server_name: other.example}}
    auth:
      type: password
      iam_endpoint: {iam.url.replace("127.0.0.1", "localhost")}
      username: monitor
      password: simulated-password
      domain: d
    servers: [{{id: a}}]
""")
        loaded = load(config, {})
        (target,) = targets_of(loaded)
        result = await parts_probe_once(loaded.projects[0], target, SystemClock())

    assert result.outcome is Outcome.SUCCESS, result.detail


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(broken_servers.speaks_plain_http, id="plain HTTP"),
        pytest.param(broken_servers.closes_at_first_bytes, id="closed mid-handshake"),
        pytest.param(broken_servers.resets_at_first_bytes, id="reset mid-handshake"),
    ],
)
async def test_a_failed_handshake_is_a_tls_error(behaviour: Behaviour) -> None:
    async with BrokenServer(behaviour) as server:
        result = await probe_once(server.url.replace("http:", "https:"))

    assert (result.outcome, result.status_code) == (Outcome.TLS_ERROR, 0), result.detail


@retry_if_machine_stalled
async def test_a_stalled_handshake_is_a_timeout() -> None:
    async with BrokenServer(broken_servers.stalls) as server:
        result = await probe_once(server.url.replace("http:", "https:"), timeout=SHORT_TIMEOUT)

    assert (result.outcome, result.status_code) == (Outcome.TIMEOUT, 0)


async def test_plain_http_to_a_tls_port_is_a_protocol_error(certificates: Certificates) -> None:
    async with BrokenServer(answers(GOOD), tls=certificates.good()) as server:
        result = await probe_once(server.url.replace("https:", "http:"))

    assert (result.outcome, result.status_code) == (Outcome.PROTOCOL_ERROR, 0)


# ---- Proxies


def through(url: str) -> str:
    return url.replace("http://", "http://user:planted-proxy-password@")


async def test_an_unreachable_proxy_is_a_connect_error() -> None:
    with silent_ports.closed_port() as proxy:
        result = await probe_once(f"https://{silent_ports.UNKNOWN_HOST}", proxy_url=through(proxy))

    assert (result.outcome, result.status_code) == (Outcome.CONNECT_ERROR, 0), result.detail


@pytest.mark.parametrize("status", [403, 407, 429, 502])
async def test_a_proxy_that_rejects_the_tunnel_is_a_connect_error(status: int) -> None:
    async with BrokenServer(answers(cloud.response(status))) as proxy:
        result = await probe_once(
            f"https://{silent_ports.UNKNOWN_HOST}", proxy_url=through(proxy.url)
        )

    assert (result.outcome, result.status_code) == (Outcome.CONNECT_ERROR, 0), result.detail
    (request,) = proxy.requests
    assert request.method == "CONNECT"
    assert "x-auth-token" not in request.headers


async def test_the_proxy_file_is_reread_and_invalid_content_is_ignored(
    tmp_path: Path,
) -> None:
    file = tmp_path / "proxy"
    refuses = answers(cloud.response(407))
    async with BrokenServer(refuses) as old, BrokenServer(refuses) as new:
        file.write_text(through(old.url))
        async with probing(
            f"https://{silent_ports.UNKNOWN_HOST}", proxy_url=Secret(file=file)
        ) as probe:
            await probe()
            file.write_text(through(new.url))
            await probe()
            for wrong in ("", "ftp://proxy.example", "http://["):
                file.write_text(wrong)
                await probe()

    assert (len(old.requests), len(new.requests)) == (1, 4)


@retry_if_machine_stalled
async def test_a_proxy_that_never_answers_is_a_timeout() -> None:
    async with BrokenServer(broken_servers.stalls) as proxy:
        result = await probe_once(
            f"https://{silent_ports.UNKNOWN_HOST}",
            proxy_url=through(proxy.url),
            timeout=SHORT_TIMEOUT,
        )

    assert (result.outcome, result.status_code) == (Outcome.TIMEOUT, 0), result.detail
