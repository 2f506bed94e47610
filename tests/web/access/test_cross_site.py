"""Which requests of browsers may change something."""

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
from tests.conftest import MovedClock

EXTERNAL = ExternalUrl.of_flags("https://exporter.example/console", None)


async def changed(_request: Request) -> Response:
    return PlainTextResponse("changed")


def asking(url: str, external: ExternalUrl = EXTERNAL, rules: Rules = OPEN) -> httpx.AsyncClient:
    live = LiveConfig(rules, MovedClock().time)
    app = Starlette(routes=[Route("/", changed, methods=["GET", "POST", "PUT", "DELETE"])])
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
        # Our own pages behind a proxy that speaks TLS, whatever host it asks for.
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
        # The same host over plain HTTP, by somebody in between.
        ("https://192.0.2.7", {"origin": "http://192.0.2.7"}, 403),
        (HERE, {"origin": "http://exporter.example"}, 403),
        # DNS rebinding: the page's own name leads to us.
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
async def test_only_programs_and_our_own_pages_change_something(
    url: str, headers: dict[str, str], status: int, content_type: str
) -> None:
    sent = headers | ({"content-type": content_type} if content_type else {})
    async with asking(url) as client:
        assert (await client.post("/", headers=sent, content=b"{}")).status_code == status


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_other_changing_methods_are_guarded_too(method: str) -> None:
    async with asking(HERE) as client:
        answer = await client.request(method, "/", headers={"origin": "https://evil.example"})
    assert answer.status_code == 403


async def test_reading_is_for_the_browser_to_guard() -> None:
    async with asking("http://any.name") as client:
        answer = await client.get("/", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200


async def test_a_refused_name_is_told_the_cure() -> None:
    async with asking("http://exporter.lan", ExternalUrl()) as client:
        answer = await client.post("/", headers={"origin": "http://exporter.lan"})
    assert "--web.external-url" in answer.text


async def test_a_name_of_their_own_will_do_where_there_is_a_login() -> None:
    rules = Rules(WebConfig(users={"somebody": "hash"}), None)
    async with asking("http://exporter.lan", ExternalUrl(), rules) as client:
        for origin, status in (("http://exporter.lan", 200), ("http://evil.example", 403)):
            answer = await client.post("/", headers={"origin": origin})
            assert answer.status_code == status
