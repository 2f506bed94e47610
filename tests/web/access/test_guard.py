"""The guard as a whole: login, open paths, headers, and what the log says of it."""

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
from tests.conftest import MovedClock

PATHS = ("/", "/metrics", "/config", "/static/x", "/no-such-page", *HEALTH_PATHS)


async def inside(_request: Request) -> Response:
    return PlainTextResponse("inside", headers={"x-frame-options": "sameorigin"})


def asking(app: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),  # type: ignore[arg-type]
        base_url="http://127.0.0.1",
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    stored = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    path = tmp_path / "web.yml"
    path.write_text(
        f"""
http_server_config: {{headers: {{X-Frame-Options: deny, X-XSS-Protection: "0"}}}}
basic_auth_users: {{prometheus: "{stored}"}}
"""
    )
    return path


def guard(file: Path, clock: MovedClock, open_paths: tuple[str, ...] = ()) -> object:
    app = Starlette(
        routes=[Route(path, inside, methods=["GET", "POST"]) for path in PATHS if "no-" not in path]
    )
    live = LiveConfig(load_rules(file), clock.time)
    return guarded(app, live, ExternalUrl(prefix="/ce"), clock, open_paths)


@pytest.fixture
async def client(file: Path, clock: MovedClock) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(guard(file, clock)) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/ce", *[f"/ce{path}" for path in PATHS], "/elsewhere"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
async def test_nothing_is_open_without_a_login(
    client: httpx.AsyncClient, path: str, method: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize(
    "login",
    [("prometheus", "wrong"), ("prometheus", ""), ("nobody", "secret"), ("Prometheus", "secret")],
)
async def test_wrong_credentials_are_401(client: httpx.AsyncClient, login: tuple[str, str]) -> None:
    assert (await client.get("/ce/metrics", auth=login)).status_code == 401


async def test_right_credentials_are_let_in(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ce/metrics", auth=("prometheus", "secret"))
    assert (answer.status_code, answer.text) == (200, "inside")


async def test_two_authorization_headers_are_none(client: httpx.AsyncClient) -> None:
    right = httpx.BasicAuth("prometheus", "secret")._auth_header  # noqa: SLF001 - a header's text
    headers = [("authorization", right), ("authorization", right)]
    assert (await client.get("/ce/metrics", headers=headers)).status_code == 401


async def test_only_the_health_checks_can_be_opened(file: Path, clock: MovedClock) -> None:
    async with asking(guard(file, clock, HEALTH_PATHS)) as client:
        opened = [p for p in PATHS if (await client.get(f"/ce{p}")).status_code != 401]
        assert opened == list(HEALTH_PATHS)
        for near in ("/-/healthy", "/ce/-/healthy/", "/ce//-/healthy", "/ce/-/healthy%2f"):
            assert (await client.get(near)).status_code == 401


async def test_configured_headers_are_on_every_answer_in_place_of_our_own(
    client: httpx.AsyncClient,
) -> None:
    for login in (None, ("prometheus", "secret")):
        answer = await client.get("/ce/metrics", auth=login)
        assert answer.headers.get_list("x-frame-options") == ["deny"]
        assert answer.headers["x-xss-protection"] == "0"


async def test_refused_logins_are_told_of_now_and_then_and_without_what_was_typed(
    client: httpx.AsyncClient, clock: MovedClock
) -> None:
    with capture_logs() as logs:
        for number in range(10):
            await client.get("/ce/", auth=(f"hunter{number}", "swordfish"))
        await clock.advance(11)
        await client.get("/ce/", auth=("hunter", "swordfish"))
    assert [one["count"] for one in logs] == [1, 10]
    assert not [one for one in logs if "hunter" in str(one) or "swordfish" in str(one)]
