"""Run nginx as the proxy in front of a console."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.real.certificates import PemFiles
from tests.real.programs import Program, free_port, program, required

UPGRADE = """
proxy_http_version 1.1;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade;
"""


def passing(path: str, upstream: str, directives: str = UPGRADE) -> str:
    """Return a location that proxies ``path`` to ``upstream``."""
    return f"location {path} {{ proxy_pass {upstream}; {directives} }}\n"


def returning(path: str, status: int, content_type: str = "text/html") -> str:
    """Return a location that returns a fixed response."""
    return (
        f"location {path} {{ types {{ }} default_type {content_type};"
        f" return {status} '<!DOCTYPE html><title>noVNC</title>'; }}\n"
    )


@contextlib.contextmanager
def nginx(folder: Path, pem: PemFiles, *locations: str) -> Iterator[Program]:
    """Run nginx over TLS on a free loopback port, as a single unprivileged process."""
    port = free_port()
    temporary = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"""
daemon off;
master_process off;
pid {folder / "nginx.pid"};
error_log stderr notice;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  {temporary}
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {pem.certificate};
    ssl_certificate_key {pem.key};
    {"".join(locations)}
  }}
}}
"""
    )
    with program(
        [_binary(), "-e", "stderr", "-p", str(folder), "-c", str(configuration)],
        r"using the .* event method",
    ) as running:
        running.url = f"https://127.0.0.1:{port}"
        yield running


def _binary() -> str:
    # On Debian it is only in root's PATH.
    debian = Path("/usr/sbin/nginx")
    return str(debian) if debian.exists() else required("nginx")
