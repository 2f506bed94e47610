"""The shell examples of docs/api.md work."""

import re
import subprocess
from pathlib import Path

import httpx

from tests.real.programs import exporter, required, simulator, until
from tests.real.simulated_project import listed_servers, write_config

ROOT = Path(__file__).parents[3]
EXAMPLES = "".join(
    re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
)


def test_examples_of_the_document_work_against_the_simulated_cloud(tmp_path: Path) -> None:
    required("curl")
    required("jq")
    with simulator("--seed=1") as cloud:
        servers = listed_servers(cloud.url)
        config = write_config(
            tmp_path / "config.yaml", cloud.url, servers, interval="3s", timeout="2500ms"
        )
        with exporter(config) as ours:

            def names(state: str) -> set[str]:
                response = httpx.get(f"http://{ours.url}/api/v1/servers", params={"state": state})
                return {one["server"] for one in response.json()["data"]["servers"]}

            until(
                lambda: names("failing") >= {"db-04", "gpu-03"} and "db-01" in names("working"), 40
            )
            ran = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", EXAMPLES.replace("localhost:10429", ours.url)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
    assert (ran.returncode, ran.stderr) == (0, "")
    failing, _, rest = ran.stdout.partition("\n4\n")
    assert "southwest\tdb-04\tnot_found\tapi\t" in failing
    assert "southwest\tgpu-03\tnot_ready\tapi\t" in failing
    assert '"project": "southwest"' in rest
    assert '"working"' in rest
    assert '"stage": "rfb"' in rest
