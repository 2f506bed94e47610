"""The lines that docs/api.md shows do what it says."""

import re
import subprocess
from pathlib import Path

from tests.real.programs import exporter, required, simulator, until
from tests.real.simulated_project import listed_servers, write_config

ROOT = Path(__file__).parents[3]
LINES = "".join(re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL))


def test_every_line_that_is_shown_works_against_the_pretend_cloud(tmp_path: Path) -> None:
    required("curl")
    required("jq")
    with simulator("--seed=1") as cloud:
        config = write_config(tmp_path / "config.yaml", cloud.url, listed_servers(cloud.url))
        with exporter(config) as ours:

            def told() -> str:
                lines = LINES.replace("localhost:10429", ours.url)
                ran = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", lines],
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert (ran.returncode, ran.stderr) == (0, "")
                return ran.stdout

            until(lambda: "southwest\tdb-04\tnot_found\tapi\t" in told(), 20, every=0.5)
            text = told()
            failing, _, rest = text.partition("\n4\n")
            assert "southwest\tgpu-03\tnot_ready\tapi\t" in failing
            assert '"project": "southwest"' in rest
            assert '"working"' in rest
            assert '"stage": "rfb"' in rest
