"""Fixtures: a small simulated cloud on a real socket, and plain clients."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from exporter.clock import Clock
from exporter.simulator import Simulator, parse_scenario, running_simulator

Document = dict[str, Any]

_ALPHA = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def document() -> Document:
    """Return a scenario as plain data with projects ``alpha`` and ``beta``; tests modify it."""
    return {
        "seed": 7,
        "projects": [
            {
                "name": "alpha",
                "region": "cn-north-1",
                "project_id": _ALPHA,
                "users": [{"name": "monitor", "password": "right", "domain": "account"}],
                "access_keys": [{"access_key": "AKALPHA", "secret_key": "sk-alpha"}],
                "token_lifetime": "1h",
                "servers": [
                    {"id": "id-1", "name": "db-01", "tags": {"team": "storage"}},
                    {"id": "id-2", "name": "db-02", "manage_state": "ready"},
                    {"id": "id-3", "name": "web 03"},
                ],
            },
            {
                "name": "beta",
                "region": "cn-north-2",
                "project_id": "beta-id",
                "users": [{"name": "monitor", "password": "right", "domain": "account"}],
                "access_keys": [{"access_key": "AKBETA", "secret_key": "sk-beta"}],
                "servers": [{"id": "id-1", "name": "db-01"}],
            },
        ],
    }


@pytest.fixture
async def start(clock: Clock) -> AsyncIterator[Callable[[Document], Awaitable[Simulator]]]:
    """Return a function that runs a scenario on the tests' clock until the test ends."""
    async with AsyncExitStack() as stack:

        async def run(document: Document) -> Simulator:
            scenario = parse_scenario(document)
            return await stack.enter_async_context(running_simulator(scenario, clock=clock))

        yield run


@pytest.fixture
async def simulator(
    start: Callable[[Document], Awaitable[Simulator]], document: Document
) -> Simulator:
    """Return a running simulator of ``document``."""
    return await start(document)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Return a plain HTTP client."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
def log_in(client: httpx.AsyncClient) -> Callable[..., Awaitable[httpx.Response]]:
    """Return a function that logs in: ``log_in(simulator, password=…, scope=…, …)``."""

    async def request_token(
        simulator: Simulator,
        *,
        name: str = "monitor",
        password: str = "right",
        domain: str = "account",
        scope: dict[str, str] | None = None,
    ) -> httpx.Response:
        user = {"name": name, "password": password, "domain": {"name": domain}}
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": scope or {"id": _ALPHA}},
        }
        url = f"{simulator.url}/v3/auth/tokens?nocatalog=true"
        return await client.post(url, json={"auth": auth})

    return request_token


@pytest.fixture
def ask(
    client: httpx.AsyncClient, log_in: Callable[..., Awaitable[httpx.Response]]
) -> Callable[..., Awaitable[httpx.Response]]:
    """Return a function that requests a console address or another path.

    Without ``token`` it logs in first.
    """

    async def ask_with_token(
        simulator: Simulator,
        path: str = "/id-1/remote-console-address",
        token: str | None = None,
        project: str = _ALPHA,
    ) -> httpx.Response:
        if token is None:
            token = (await log_in(simulator)).headers["X-Subject-Token"]
        url = f"{simulator.url}/v1/{project}/physicalservers{path}"
        return await client.get(url, headers={"X-Auth-Token": token})

    return ask_with_token


@pytest.fixture
def request_address(
    ask: Callable[..., Awaitable[httpx.Response]],
) -> Callable[..., Awaitable[httpx.URL]]:
    """Return a function that requests a console address: ``request_address(simulator, "id-1")``."""

    async def send(simulator: Simulator, server_id: str = "id-1") -> httpx.URL:
        response = await ask(simulator, f"/{server_id}/remote-console-address")
        return httpx.URL(response.json()["url"])

    return send


@pytest.fixture
async def view() -> AsyncIterator[Callable[..., Awaitable[ClientConnection]]]:
    """Return a function that opens the WebSocket of a console address until the test ends."""
    async with AsyncExitStack() as stack:

        async def open_websocket(
            address: httpx.URL, path: str = "websockify", protocols: tuple[str, ...] = ("binary",)
        ) -> ClientConnection:
            url = address.join(path).copy_with(
                scheme="ws", params={"token": address.params["token"]}
            )
            offered = [Subprotocol(name) for name in protocols]
            return await stack.enter_async_context(
                connect(str(url), subprotocols=offered or None, proxy=None)
            )

        yield open_websocket
