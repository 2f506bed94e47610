"""All access checks together: login, open paths, headers, log."""

from collections.abc import AsyncIterator
from pathlib import Path

import bcrypt
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from exporter.web.access.external_url import ExternalUrl
from exporter.web.access.guard import HEALTH_PATHS, guarded
from exporter.web.access.live_config import LiveConfig, load_rules
from tests.conftest import FakeClock

PATHS = ("/", "/metrics", "/config", "/static/x", "/no-such-page", *HEALTH_PATHS)


async def inside(_request: Request) -> Response:
    return PlainTextResponse("inside", headers={"x-frame-options": "sameorigin"})


def http_client(app: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),  # type: ignore[arg-type]
        base_url="http://127.0.0.1",
    )


@pytest.fixture
def web_config(tmp_path: Path) -> Path:
    stored = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    path = tmp_path / "web.yml"
    path.write_text(
        f"""
http_server_config: {{headers: {{X-Frame-Options: deny, X-XSS-Protection: "0"}}}}
basic_auth_users: {{prometheus: "{stored}"}}
"""
    )
    return path


def guard(web_config: Path, clock: FakeClock, open_paths: tuple[str, ...] = ()) -> object:
    app = Starlette(
        routes=[Route(path, inside, methods=["GET", "POST"]) for path in PATHS if "no-" not in path]
    )
    live = LiveConfig(load_rules(web_config), clock.time)
    return guarded(app, live, ExternalUrl(prefix="/ce"), clock, open_paths)


@pytest.fixture
async def client(web_config: Path, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(guard(web_config, clock)) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/ce", *[f"/ce{path}" for path in PATHS], "/elsewhere"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
async def test_every_path_needs_a_login(client: httpx.AsyncClient, path: str, method: str) -> None:
    response = await client.request(method, path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize(
    "login",
    [("prometheus", "wrong"), ("prometheus", ""), ("nobody", "secret"), ("Prometheus", "secret")],
)
async def test_wrong_credentials_are_401(client: httpx.AsyncClient, login: tuple[str, str]) -> None:
    assert (await client.get("/ce/metrics", auth=login)).status_code == 401


async def test_valid_credentials_are_accepted(client: httpx.AsyncClient) -> None:
    response = await client.get("/ce/metrics", auth=("prometheus", "secret"))
    assert (response.status_code, response.text) == (200, "inside")


async def test_two_authorization_headers_are_401(client: httpx.AsyncClient) -> None:
    valid = httpx.BasicAuth("prometheus", "secret")._auth_header  # noqa: SLF001 - a header's text
    headers = [("authorization", valid), ("authorization", valid)]
    assert (await client.get("/ce/metrics", headers=headers)).status_code == 401


async def test_only_the_health_checks_can_be_opened(web_config: Path, clock: FakeClock) -> None:
    async with http_client(guard(web_config, clock, HEALTH_PATHS)) as client:
        opened = [p for p in PATHS if (await client.get(f"/ce{p}")).status_code != 401]
        assert opened == list(HEALTH_PATHS)
        for similar in ("/-/healthy", "/ce/-/healthy/", "/ce//-/healthy", "/ce/-/healthy%2f"):
            assert (await client.get(similar)).status_code == 401


async def test_configured_headers_replace_those_of_every_response(
    client: httpx.AsyncClient,
) -> None:
    for login in (None, ("prometheus", "secret")):
        response = await client.get("/ce/metrics", auth=login)
        assert response.headers.get_list("x-frame-options") == ["deny"]
        assert response.headers["x-xss-protection"] == "0"


async def test_rejected_logins_are_logged_rarely_and_without_user_input(
    client: httpx.AsyncClient, clock: FakeClock
) -> None:
    with capture_logs() as logs:
        for number in range(10):
            await client.get("/ce/", auth=(f"hunter{number}", "swordfish"))
        await clock.advance(11)
        await client.get("/ce/", auth=("hunter", "swordfish"))
    assert [one["count"] for one in logs] == [1, 10]
    assert not [one for one in logs if "hunter" in str(one) or "swordfish" in str(one)]
