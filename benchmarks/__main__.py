"""Run all benchmarks, the quick ones first."""

import subprocess
import sys

NAMES = (
    "start", "api", "scrape", "pages", "pacing", "latency", "cpu", "quota", "dashboards", "fleet",
    "scale",
)  # fmt: skip

for name in NAMES:
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
