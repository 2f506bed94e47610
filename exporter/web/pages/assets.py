"""Templates and static files of the pages; the URL of a static file changes with its content."""

import hashlib
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_NOT_FOUND = 404
_CACHE_FOREVER = "public, max-age=31536000, immutable"


class StaticFiles:
    """The static files, read once at start.

    Their URLs contain a hash of the content, so browsers may cache them forever.
    """

    def __init__(self) -> None:
        self._files = {path.name: path.read_bytes() for path in sorted(_STATIC.iterdir())}
        self._tags = {
            name: hashlib.sha256(text).hexdigest()[:12] for name, text in self._files.items()
        }

    def url(self, name: str) -> str:
        """Return a file's URL, relative to the root of the pages."""
        return f"static/{name}?v={self._tags[name]}"

    async def file(self, request: Request) -> Response:
        """Return the file named in the path."""
        return self._file(request.path_params["name"], request.query_params.get("v"))

    async def icon(self, _request: Request) -> Response:
        """Return the icon for browsers that request ``/favicon.ico``."""
        return self._file("icon.svg", None)

    def _file(self, name: str, tag: str | None) -> Response:
        if name not in self._files:
            raise HTTPException(_NOT_FOUND)
        # A different tag comes from an open page of another version.
        cache_control = _CACHE_FOREVER if tag == self._tags[name] else "no-cache"
        return Response(
            self._files[name],
            headers={
                "content-type": _MEDIA_TYPES[Path(name).suffix],
                "cache-control": cache_control,
            },
        )


def templates(files: StaticFiles, version: str) -> Environment:
    """Return the pages' templates; they escape every value."""
    environment = Environment(
        loader=PackageLoader("exporter.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"static": files.url, "version": version}
    return environment
