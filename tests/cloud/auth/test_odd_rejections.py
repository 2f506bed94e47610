"""Tests of logins with an API that answers 401: always, for some servers, or at random."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import log2
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.cloud.auth import login_for
from exporter.cloud.auth.login import Login
from exporter.cloud.errors import LoginFailedError
from exporter.config.config import AgencyAuth, AkskAuth, PasswordAuth, Project, TokenAuth
from exporter.config.secret import Secret
from tests.cloud.auth.fake_iam import CountingObserver, FakeIam, api_request, iso, response
from tests.conftest import FakeClock as Clock

if TYPE_CHECKING:
    from tests.conftest import FakeClock

BAD = [f"bad-{number}" for number in range(8)]
GOOD = [f"good-{number}" for number in range(8)]
CREDENTIALS = ["password", "agency", "aksk", "token"]


@dataclass
class FakeApi:
    """Answers requests with 401 if they are to be refused, else with 200; counts both."""

    refuses: Callable[[str, str], bool]
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    async def ask(self, login: Login, server_id: str) -> int:
        """Send a request of a login for a server; return the last status, 0 if none was sent."""
        flow = login.async_auth_flow(api_request(server_id))
        status = 0
        try:
            request = await anext(flow)
            while True:
                credential = request.headers.get("x-auth-token") or request.headers["authorization"]
                is_refused = self.refuses(server_id, credential)
                (self.refused if is_refused else self.accepted).append(server_id)
                status = 401 if is_refused else 200
                request = await flow.asend(response(status))
        except StopAsyncIteration:
            return status
        except LoginFailedError:
            return 0


@dataclass
class Fleet:
    """A project's login, API, and the services that issue its credentials."""

    login: Login
    api: FakeApi
    iam: FakeIam
    observer: CountingObserver
    clock: "FakeClock"

    async def probe(self, servers: list[str], rounds: int) -> dict[str, set[int]]:
        """Probe the servers in turn, in rounds of 60 s; return the statuses of each server."""
        statuses: dict[str, set[int]] = {server: set() for server in servers}
        for _ in range(rounds):
            for server in servers:
                statuses[server].add(await self.api.ask(self.login, server))
                await self.clock.advance(60 / len(servers))
        return statuses


def new_fleet(kind: str, refuses: Callable[[str, str], bool], clock: "FakeClock") -> Fleet:
    iam, observer = FakeIam(clock), CountingObserver()
    secret = Secret("right")
    auths: dict[str, TokenAuth | PasswordAuth | AkskAuth | AgencyAuth] = {
        "password": PasswordAuth("https://iam.example", "monitor", secret, "my-account"),
        "agency": AgencyAuth("http://169.254.169.254"),
        "aksk": AkskAuth(Secret("AK"), secret),
        "token": TokenAuth(Secret("token-0")),
    }

    async def metadata(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            return response(404)
        iam.requests.append(request)
        keys = {"access": f"AK{len(iam.requests)}", "secret": "SK", "securitytoken": "ST"}
        return response(200, {"credential": keys | {"expires_at": iso(clock.time() + 86400)}})

    project = Project(
        name="p",
        region="r",
        project_id="0123",
        endpoint="https://clouddc.example",
        auth=auths[kind],
    )
    login = login_for(project, send=iam, fetch=metadata, observer=observer, clock=clock)
    return Fleet(login, FakeApi(refuses), iam, observer, clock)


def is_bad(server_id: str, credential: str) -> bool:  # noqa: ARG001 - the signature of refuses
    return server_id.startswith("bad")


@pytest.mark.parametrize("kind", CREDENTIALS)
async def test_one_bad_server_causes_neither_logins_nor_failures_of_others(
    kind: str, clock: "FakeClock"
) -> None:
    fleet = new_fleet(kind, is_bad, clock)
    statuses = await fleet.probe([*GOOD, "bad"], rounds=30)
    assert {server for server, seen in statuses.items() if seen != {200}} == {"bad"}
    assert statuses["bad"] == {401}
    assert len(fleet.iam.requests) == fleet.observer.refreshed <= 1
    assert fleet.observer.failed == 0


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.parametrize("bad_first", [True, False])
async def test_with_half_of_the_servers_bad_the_good_ones_are_probed(
    kind: str, clock: "FakeClock", *, bad_first: bool
) -> None:
    fleet = new_fleet(kind, is_bad, clock)
    servers = BAD + GOOD if bad_first else GOOD + BAD
    # Keys are tested by each bad server, with waits of 1 to 5 minutes, if the bad come first.
    await fleet.probe(servers, rounds=30)
    logins = len(fleet.iam.requests)
    statuses = await fleet.probe(servers, rounds=30)
    assert all(statuses[server] == {200} for server in GOOD)
    assert all(statuses[server] == {401} for server in BAD)
    assert len(fleet.iam.requests) == logins <= (2 if bad_first else 1)


@pytest.mark.parametrize("kind", CREDENTIALS)
async def test_every_third_response_401_causes_few_logins(kind: str, clock: "FakeClock") -> None:
    chance = random.Random(1)  # noqa: S311 - not for secrets
    fleet = new_fleet(kind, lambda *_: chance.random() < 1 / 3, clock)
    await fleet.probe(GOOD + BAD, rounds=100)
    assert len(fleet.iam.requests) <= 8
    lost = 1600 - len(fleet.api.accepted) - len(fleet.api.refused)
    assert lost < 100


@pytest.mark.parametrize("kind", ["password", "agency"])
@given(
    answers=st.lists(
        st.tuples(st.integers(0, 7), st.sampled_from(["accept", "refuse"])), max_size=190
    )
)
@settings(max_examples=50)
async def test_logins_are_bounded_for_any_sequence_of_responses(
    kind: str, answers: list[tuple[int, str]]
) -> None:
    """Bound: 4 + log2(refusals), as no time passes."""
    remaining = iter(answers)
    fleet = new_fleet(kind, lambda *_: next(remaining, (0, "accept"))[1] == "refuse", Clock())
    for server, _ in answers:
        await fleet.api.ask(fleet.login, str(server))
    assert len(fleet.iam.requests) <= 4 + log2(max(len(fleet.api.refused), 1))


@pytest.mark.parametrize("kind", ["password", "agency"])
@given(
    events=st.lists(
        st.sampled_from(["probe", "revoke", "expire", "pause"]), min_size=1, max_size=12
    ),
    bad=st.integers(0, 4),
)
@settings(max_examples=20)
async def test_a_revoked_or_expired_credential_is_renewed_within_a_few_probes(
    kind: str, events: list[str], bad: int
) -> None:
    clock = Clock()
    dead: set[str] = set()

    def key(credential: str) -> str:
        return credential.partition("Access=")[2].partition(",")[0] or credential

    def refuses(server_id: str, credential: str) -> bool:
        return server_id.startswith("bad") or key(credential) in dead

    fleet = new_fleet(kind, refuses, clock)
    servers = [*GOOD[:4], *BAD[:bad]]
    await fleet.probe(servers, rounds=26)
    replaced = 0
    for event in events:
        match event:
            case "probe":
                await fleet.probe(servers, rounds=1)
            case "revoke":
                replaced += 1
                dead |= {f"token-{n}" for n in range(len(fleet.iam.requests) + 1)}
                dead |= {f"AK{n}" for n in range(len(fleet.iam.requests) + 1)}
                before = len(fleet.api.refused)
                await fleet.probe(servers, rounds=1)
                # Two probes of good servers, and the bad ones.
                assert len(fleet.api.refused) - before <= 2 + 2 * bad
                # The limit of refusals in a row is two again after 200 accepted requests.
                await fleet.probe(servers, rounds=50)
            case "expire":
                replaced += 1
                await clock.advance(86400)
            case "pause":
                await clock.advance(120)
    statuses = await fleet.probe(servers, rounds=1)
    assert all(statuses[server] == {200} for server in servers if server.startswith("good"))
    assert len(fleet.iam.requests) <= 3 + 2 * replaced


@pytest.mark.parametrize("kind", CREDENTIALS)
async def test_a_credential_that_all_reject_is_seldom_sent(kind: str, clock: "FakeClock") -> None:
    fleet = new_fleet(kind, lambda *_: True, clock)
    await fleet.probe([f"server-{number}" for number in range(28)], rounds=16)
    # Of 448 probes; a password or agency has new credentials at 0, 2, 6 and 11 minutes.
    assert len(fleet.api.refused) <= 1 + 10 * 4
    assert len(fleet.iam.requests) <= 5


async def test_nothing_is_sent_after_iam_has_refused_to_replace_a_rejected_token(
    clock: "FakeClock",
) -> None:
    revoked: set[str] = set()
    fleet = new_fleet("password", lambda _, credential: credential in revoked, clock)
    servers = [f"server-{number}" for number in range(28)]
    await fleet.probe(servers, rounds=1)
    revoked.add("token-1")
    fleet.iam.password = "another"
    await fleet.probe(servers, rounds=16)
    assert len(fleet.api.refused) == 2
    assert len(fleet.iam.rejected_at) == 1
    with pytest.raises(LoginFailedError, match="IAM refused the login of user 'monitor': check"):
        await fleet.login.authorize(api_request())
    fleet.iam.password = "right"
    await fleet.probe(servers, rounds=15)
    assert (await fleet.probe(servers, rounds=1))["server-0"] == {200}


async def test_the_probe_that_finds_the_token_rejected_gets_the_answer_of_iam(
    clock: "FakeClock",
) -> None:
    fleet = new_fleet("password", lambda _, token: token == "token-1" and bool(accepted), clock)
    accepted: list[str] = fleet.api.accepted
    fleet.api.accepted.append("")
    request = api_request()
    await fleet.login.authorize(request)
    fleet.iam.password = "another"
    with pytest.raises(LoginFailedError, match="IAM refused the login of user 'monitor': check"):
        await fleet.login.renew(request)
