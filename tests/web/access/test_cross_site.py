"""Cross-site requests that change something are rejected."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.access.cross_site import SameSite
from exporter.web.access.external_url import ExternalUrl
from exporter.web.access.live_config import OPEN, LiveConfig, Rules
from exporter.web.access.web_config import WebConfig
from tests.conftest import FakeClock

EXTERNAL = ExternalUrl.of_flags("https://exporter.example/console", None)


async def handler(_request: Request) -> Response:
    return PlainTextResponse("changed")


def http_client(
    url: str, external: ExternalUrl = EXTERNAL, rules: Rules = OPEN
) -> httpx.AsyncClient:
    live = LiveConfig(rules, FakeClock().time)
    app = Starlette(routes=[Route("/", handler, methods=["GET", "POST", "PUT", "DELETE"])])
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(SameSite(app, live, external)), base_url=url
    )


HERE = "http://127.0.0.1:10429"


@pytest.mark.parametrize(
    ("url", "headers", "status"),
    [
        # Programs.
        (HERE, {}, 200),
        ("http://any.name:10429", {}, 200),
        # Our own pages.
        (HERE, {"origin": HERE}, 200),
        (HERE, {"origin": HERE, "sec-fetch-site": "same-origin"}, 200),
        ("http://localhost:10429", {"origin": "http://localhost:10429"}, 200),
        ("http://[::1]:10429", {"origin": "http://[::1]:10429"}, 200),
        ("http://192.0.2.7:10429", {"origin": "http://192.0.2.7:10429"}, 200),
        ("http://192.0.2.7", {"origin": "http://192.0.2.7"}, 200),
        # Our own pages behind a proxy that terminates TLS, with any Host header.
        (HERE, {"origin": "https://exporter.example"}, 200),
        (HERE, {"origin": "https://exporter.example", "sec-fetch-site": "same-origin"}, 200),
        ("http://192.0.2.7", {"origin": "https://192.0.2.7", "host": "192.0.2.7:443"}, 200),
        # Other sites.
        (HERE, {"origin": "https://evil.example"}, 403),
        (HERE, {"origin": "https://exporter.example", "sec-fetch-site": "cross-site"}, 403),
        (HERE, {"origin": HERE, "sec-fetch-site": "same-site"}, 403),
        (HERE, {"sec-fetch-site": "cross-site"}, 403),
        (HERE, {"sec-fetch-site": "nonsense"}, 403),
        (HERE, {"origin": "null"}, 403),
        (HERE, {"origin": ""}, 403),
        (HERE, {"origin": "http://127.0.0.1:9090"}, 403),
        (HERE, {"origin": "http://127.0.0.1"}, 403),
        (HERE, {"origin": "http://localhost:10429"}, 403),
        (HERE, {"origin": "file://"}, 403),
        (HERE, {"origin": f"{HERE}@evil.example"}, 403),
        (HERE, {"origin": f"{HERE}/"}, 403),
        (HERE, {"origin": "http://127.0.0.1:99999999"}, 403),
        # The same host over plain HTTP: a downgrade.
        ("https://192.0.2.7", {"origin": "http://192.0.2.7"}, 403),
        (HERE, {"origin": "http://exporter.example"}, 403),
        # DNS rebinding: the page's host name resolves to us.
        (
            "http://evil.example:10429",
            {"origin": "http://evil.example:10429", "sec-fetch-site": "same-origin"},
            403,
        ),
        ("http://evil.example:10429", {"origin": "http://evil.example:10429"}, 403),
        ("http://evil.example:10429", {"sec-fetch-site": "same-origin"}, 403),
        ("http://localhost.evil.example", {"origin": "http://localhost.evil.example"}, 403),
    ],
)
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/x-www-form-urlencoded", "text/plain", ""],
)
async def test_only_programs_and_own_pages_may_post(
    url: str, headers: dict[str, str], status: int, content_type: str
) -> None:
    sent = headers | ({"content-type": content_type} if content_type else {})
    async with http_client(url) as client:
        assert (await client.post("/", headers=sent, content=b"{}")).status_code == status


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_put_and_delete_are_checked_too(method: str) -> None:
    async with http_client(HERE) as client:
        response = await client.request(method, "/", headers={"origin": "https://evil.example"})
    assert response.status_code == 403


async def test_cross_site_get_is_allowed() -> None:
    async with http_client("http://any.name") as client:
        response = await client.get("/", headers={"sec-fetch-site": "cross-site"})
    assert response.status_code == 200


async def test_rejected_host_name_response_names_the_flag() -> None:
    async with http_client("http://exporter.lan", ExternalUrl()) as client:
        response = await client.post("/", headers={"origin": "http://exporter.lan"})
    assert "--web.external-url" in response.text


async def test_any_host_name_is_allowed_with_a_login() -> None:
    rules = Rules(WebConfig(users={"user": "hash"}), None)
    async with http_client("http://exporter.lan", ExternalUrl(), rules) as client:
        for origin, status in (("http://exporter.lan", 200), ("http://evil.example", 403)):
            response = await client.post("/", headers={"origin": origin})
            assert response.status_code == status
