"""Run websockify with noVNC's pages and a token file, as a console gateway."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.real.certificates import PemFiles
from tests.real.programs import Program, free_port, program, required

# Debian installs noVNC's pages beside the launcher.
_LAUNCHER = "/usr/share/novnc/utils/novnc_proxy"


@contextlib.contextmanager
def websockify(tokens: Path, pem: PemFiles) -> Iterator[Program]:
    """Run websockify over TLS; ``tokens`` is read again for every connection.

    Its lines are ``token: host:port``.
    """
    pages = Path(required(_LAUNCHER)).parent.parent
    port = free_port()
    with program(
        [
            required("websockify"),
            f"--web={pages}",
            f"--cert={pem.certificate}",
            f"--key={pem.key}",
            "--ssl-only",
            "--token-plugin=TokenFile",
            f"--token-source={tokens}",
            f"127.0.0.1:{port}",
        ],
        r"proxying from",
    ) as running:
        running.url = f"https://127.0.0.1:{port}"
        yield running
