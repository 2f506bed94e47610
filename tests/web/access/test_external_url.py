"""The external URL, the prefix, and what is served under it."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.access.external_url import ExternalUrl, ExternalUrlError, Prefixed


@pytest.mark.parametrize(
    ("external", "prefix", "expected"),
    [
        (None, None, ExternalUrl()),
        ("http://host:9090", None, ExternalUrl("http://host:9090")),
        ("https://host:443/", None, ExternalUrl("https://host")),
        ("http://HOST:80/a/b/", None, ExternalUrl("http://host", "/a/b")),
        ("http://[::1]:8080/x", None, ExternalUrl("http://[::1]:8080", "/x")),
        ("https://host/a", "/", ExternalUrl("https://host")),
        ("https://host/a", "b/", ExternalUrl("https://host", "/b")),
        (None, "//a//b", ExternalUrl(prefix="/a/b")),
        (None, "", ExternalUrl()),
    ],
)
def test_the_prefix_is_the_external_urls_path_unless_given(
    external: str | None, prefix: str | None, expected: ExternalUrl
) -> None:
    assert ExternalUrl.of_flags(external, prefix) == expected


@pytest.mark.parametrize(
    "external",
    [
        "host", "ftp://host", "http://", "http://a b", "http://h:99999", "http://u@h", "//h/x",
        "http://h/?q", "http://h/#f", "http://h/../x", "http://h/%2e", "http://h/a\\b",
    ],
)  # fmt: skip
def test_an_external_url_that_is_none_is_refused(external: str) -> None:
    with pytest.raises(ExternalUrlError, match="--web"):
        ExternalUrl.of_flags(external, None)


@pytest.fixture
def client() -> httpx.AsyncClient:
    async def said(request: Request) -> Response:
        return PlainTextResponse(request.url.path)

    app = Starlette(routes=[Route("/", said), Route("/metrics", said)])
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(Prefixed(app, "/console exporter")), base_url="http://h"
    )


@pytest.mark.parametrize("path", ["/", "/console%20exporter"])
async def test_the_root_leads_to_the_prefix(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (302, "/console%20exporter/")


async def test_routes_are_under_the_prefix_and_nowhere_else(client: httpx.AsyncClient) -> None:
    assert (await client.get("/console%20exporter/")).status_code == 200
    assert (await client.get("/console%20exporter/metrics")).status_code == 200
    for path in ("/metrics", "/console%20exporterx/metrics", "/console%20exporter/no"):
        assert (await client.get(path)).status_code == 404
