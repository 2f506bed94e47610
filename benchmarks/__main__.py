"""Run every measurement, the quick ones first."""

import subprocess
import sys

for name in ("api", "pacing", "quota", "dashboards", "fleet"):
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
