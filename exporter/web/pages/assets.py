"""What the pages are made of: templates, and static files under addresses that change with them."""

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
_FOR_EVER = "public, max-age=31536000, immutable"


class StaticFiles:
    """The static files, read once. A browser keeps one for ever, by a name that tells its text."""

    def __init__(self) -> None:
        """Read them all; they are few and small."""
        self._files = {path.name: path.read_bytes() for path in sorted(_STATIC.iterdir())}
        self._tags = {
            name: hashlib.sha256(text).hexdigest()[:12] for name, text in self._files.items()
        }

    def address(self, name: str) -> str:
        """Return a file's address, relative to the root of the pages."""
        return f"static/{name}?v={self._tags[name]}"

    async def answer(self, request: Request) -> Response:
        """Answer the file that a path asks for."""
        return self._file(request.path_params["name"], request.query_params.get("v"))

    async def icon(self, _request: Request) -> Response:
        """Answer the icon that browsers ask for when no page has told them of ours."""
        return self._file("icon.svg", None)

    def _file(self, name: str, tag: str | None) -> Response:
        if name not in self._files:
            raise HTTPException(_NOT_FOUND)
        # Another tag is that of another version, whose page may still be open.
        cached = _FOR_EVER if tag == self._tags[name] else "no-cache"
        return Response(
            self._files[name],
            headers={
                "content-type": _MEDIA_TYPES[Path(name).suffix],
                "cache-control": cached,
            },
        )


def templates(files: StaticFiles, version: str) -> Environment:
    """Return the pages' templates. They escape all that they are given."""
    environment = Environment(
        loader=PackageLoader("exporter.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"static": files.address, "version": version}
    return environment
