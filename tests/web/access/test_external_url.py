"""The external URL and the route prefix."""

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
def test_prefix_defaults_to_the_path_of_the_external_url(
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
def test_invalid_external_url_is_rejected(external: str) -> None:
    with pytest.raises(ExternalUrlError, match="--web"):
        ExternalUrl.of_flags(external, None)


@pytest.fixture
def client() -> httpx.AsyncClient:
    async def handler(request: Request) -> Response:
        return PlainTextResponse(request.url.path)

    app = Starlette(routes=[Route("/", handler), Route("/metrics", handler)])
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(Prefixed(app, "/console exporter")), base_url="http://h"
    )


@pytest.mark.parametrize("path", ["/", "/console%20exporter"])
async def test_root_redirects_to_the_prefix(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.headers["location"]) == (302, "/console%20exporter/")


async def test_routes_exist_only_under_the_prefix(client: httpx.AsyncClient) -> None:
    assert (await client.get("/console%20exporter/")).status_code == 200
    assert (await client.get("/console%20exporter/metrics")).status_code == 200
    for path in ("/metrics", "/console%20exporterx/metrics", "/console%20exporter/no"):
        assert (await client.get(path)).status_code == 404
