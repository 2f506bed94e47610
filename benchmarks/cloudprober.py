"""Run cloudprober with the same checks as this exporter, over connections that it keeps."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import peer
from tests.real.programs import Program, free_port, program


@contextlib.contextmanager
def cloudprober(
    folder: Path, urls: list[str], authority: Path, token: str, interval: float
) -> Iterator[Program]:
    """Run it with one target for each URL: certificate, status and body are checked.

    ``interval`` is in seconds; metrics are at ``/metrics`` of the yielded program's ``url``.
    """
    endpoints = "".join(
        f"    endpoint {{ name: {json.dumps(f'id-{number}')} url: {json.dumps(url)} }}\n"
        for number, url in enumerate(urls)
    )
    port = free_port()
    file = folder / "cloudprober.cfg"
    file.write_text(
        f"""
host: "127.0.0.1"
port: {port}
probe {{
  name: "console"
  type: HTTP
  interval_msec: {int(interval * 1000)}
  timeout_msec: 5000
  targets {{
{endpoints}  }}
  http_probe {{
    keep_alive: true
    header {{ key: "X-Auth-Token" value: {json.dumps(token)} }}
    tls_config {{ ca_cert_file: {json.dumps(str(authority))} }}
  }}
  validator {{ name: "status" http_validator {{ success_status_codes: "200" }} }}
  validator {{ name: "body" regex: "\\"url\\": \\"https?://[^\\"]+\\"" }}
}}
surfacer {{ type: PROMETHEUS }}
"""
    )
    command = [peer("cloudprober"), f"--config_file={file}"]
    with program(command, r"Initialized prometheus surfacer|[Ss]tarting|prometheus") as running:
        running.url = f"http://127.0.0.1:{port}"
        yield running
