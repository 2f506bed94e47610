"""Permanent and temporary access keys: what they give access to, and when they are rejected."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from exporter.clock import Clock
from exporter.simulator import Simulator

Start = Callable[[dict[str, Any]], Awaitable[Simulator]]


class FakeClock(Clock, Protocol):
    async def advance(self, seconds: float) -> None: ...


async def _session(simulator: Simulator, client: httpx.AsyncClient, ttl: str) -> httpx.Response:
    return await client.put(
        f"{simulator.url}/meta-data/latest/api/token",
        headers={"X-Metadata-Token-Ttl-Seconds": ttl},
    )


async def _keys(simulator: Simulator, client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.get(
        f"{simulator.url}/openstack/latest/securitykey", headers={"X-Metadata-Token": token}
    )


async def _list(
    simulator: Simulator, client: httpx.AsyncClient, clock: Clock, **keys: str
) -> httpx.Response:
    request = SdkRequest(
        method="GET",
        schema="http",
        host=simulator.url.removeprefix("http://"),
        resource_path="/v1/beta-id/physicalservers",
        query_params=[],
        header_params={
            "X-Sdk-Date": datetime.fromtimestamp(clock.time(), UTC).strftime("%Y%m%dT%H%M%SZ"),
            "X-Project-Id": "beta-id",
            **({"X-Security-Token": keys["securitytoken"]} if keys.get("securitytoken") else {}),
        },
        body="",
    )
    signed = Signer(BasicCredentials(keys["access"], keys["secret"])).sign(request)
    return await client.get(
        f"{simulator.url}/v1/beta-id/physicalservers", headers=signed.header_params
    )


async def test_metadata_service_keys_are_accepted_until_they_expire(
    simulator: Simulator, client: httpx.AsyncClient, clock: FakeClock
) -> None:
    token = (await _session(simulator, client, "21600")).text
    keys = (await _keys(simulator, client, token)).json()["credential"]
    assert set(keys) == {"access", "secret", "securitytoken", "expires_at"}
    expires_at = datetime.fromisoformat(keys["expires_at"]).timestamp()
    assert expires_at == clock.time() + 3600
    assert (await _list(simulator, client, clock, **keys)).status_code == 200
    await clock.advance(3600)
    response = await _list(simulator, client, clock, **keys)
    assert (response.status_code, response.json()["error_code"]) == (401, "APIGW.0307")


@pytest.mark.parametrize("token", ["", "another"])
async def test_temporary_keys_without_their_security_token_are_rejected(
    simulator: Simulator, client: httpx.AsyncClient, clock: Clock, token: str
) -> None:
    session = (await _session(simulator, client, "60")).text
    keys = (await _keys(simulator, client, session)).json()["credential"]
    response = await _list(simulator, client, clock, **{**keys, "securitytoken": token})
    assert (response.status_code, response.json()["error_code"]) == (401, "APIGW.0301")


async def test_all_temporary_keys_can_be_expired(
    simulator: Simulator, client: httpx.AsyncClient, clock: Clock
) -> None:
    session = (await _session(simulator, client, "60")).text
    keys = (await _keys(simulator, client, session)).json()["credential"]
    simulator.expire_temporary_keys()
    assert (await _list(simulator, client, clock, **keys)).status_code == 401


async def test_metadata_service_requires_an_unexpired_session_token(
    simulator: Simulator, client: httpx.AsyncClient, clock: FakeClock
) -> None:
    assert (await _keys(simulator, client, "none")).status_code == 401
    token = (await _session(simulator, client, "60")).text
    assert (await _keys(simulator, client, token)).status_code == 200
    await clock.advance(60)
    assert (await _keys(simulator, client, token)).status_code == 401


@pytest.mark.parametrize("ttl", ["", "0", "-1", "x", "21601", "9" * 30])
async def test_invalid_session_ttl_is_rejected(
    simulator: Simulator, client: httpx.AsyncClient, ttl: str
) -> None:
    assert (await _session(simulator, client, ttl)).status_code == 400


async def test_old_metadata_service_has_no_session_tokens(
    document: dict[str, Any], start: Start, client: httpx.AsyncClient
) -> None:
    simulator = await start({**document, "agency": {"session_token": False}})
    assert (await _session(simulator, client, "60")).status_code == 405
    assert (await _keys(simulator, client, "")).status_code == 200


async def test_signature_date_off_by_more_than_15_minutes_is_rejected(
    simulator: Simulator, client: httpx.AsyncClient, clock: FakeClock
) -> None:
    class SkewedClock:
        def __init__(self, seconds: float) -> None:
            self._seconds = seconds

        def time(self) -> float:
            return clock.time() + self._seconds

        monotonic, sleep = clock.monotonic, clock.sleep

    keys = {"access": "AKBETA", "secret": "sk-beta"}
    assert (await _list(simulator, client, SkewedClock(-899), **keys)).status_code == 200
    assert (await _list(simulator, client, SkewedClock(899), **keys)).status_code == 200
    for skew in (-902, 902):
        response = await _list(simulator, client, SkewedClock(skew), **keys)
        assert response.status_code == 401
        assert "expired" in response.json()["error_msg"]


async def test_key_is_locked_for_five_minutes_after_five_wrong_signatures(
    simulator: Simulator, client: httpx.AsyncClient, clock: FakeClock
) -> None:
    right = {"access": "AKBETA", "secret": "sk-beta"}
    for _ in range(5):
        response = await _list(simulator, client, clock, access="AKBETA", secret="wrong")
        assert response.json()["error_code"] == "APIGW.0301"
    assert (await _list(simulator, client, clock, **right)).status_code == 401
    await clock.advance(300)
    assert (await _list(simulator, client, clock, **right)).status_code == 200


async def test_key_is_rejected_for_another_project(
    simulator: Simulator, client: httpx.AsyncClient, clock: Clock
) -> None:
    response = await _list(simulator, client, clock, access="AKALPHA", secret="sk-alpha")
    assert (response.status_code, response.json()["error_code"]) == (403, "iMetal.0004")
