"""An hour at 200 probes a second while faults come and go: memory, lateness, files, slots.

Each minute has 15 s of one fault. The first quarter of an hour is the warm-up. Ends with status 1
when memory grows by more than 1 MB an hour beyond what the noise explains, or a slot is lost.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.real.soaking import Soak, Soaked, soak

_WARM_UP_MINUTES = 15.0
_GROWTH_MAX = 1e6
_LATENESS_MAX = 0.005


def main() -> None:
    """Run it, print what was found, and say whether it is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=200, help="probes a second")
    options = parser.parse_args()
    warm_up = min(_WARM_UP_MINUTES, options.minutes / 4)
    asked = Soak(options.rate, options.minutes * 60, warm_up * 60, period=60.0)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soaked = soak(Path(folder), asked, lambda line: print(line, flush=True))
    sys.exit(report(soaked, options.rate))


def report(soaked: Soaked, rate: int) -> int:
    """Print the figures; return 1 when one of them is not as it must be."""
    growth, error = soaked.growth
    early, late = soaked.lateness
    first, last = soaked.marks[0], soaked.marks[-1]
    rows = [
        ("slots after the warm-up, missed", f"{soaked.expected:.0f}, {soaked.missed:.0f}"),
        ("slots without a result", f"{soaked.unaccounted:.0f} of at most {_unsure(soaked, rate)}"),
        ("memory", f"{last.resident_bytes / 1e6:.1f} MB"),
        ("memory's growth", f"{growth / 1e6:+.2f} MB an hour, ±{2 * error / 1e6:.2f}"),
        ("mean lateness, first and last third", f"{early * 1000:.1f} ms, {late * 1000:.1f} ms"),
        ("files, threads at the start", f"{first.files}, {first.threads}"),
        ("files, threads at the end", f"{last.files}, {last.threads}"),
        ("tracebacks in the log", soaked.log.count("Traceback")),
    ]
    print()
    for name, value in rows:
        print(f"{name:40} {value}")
    ill = (
        growth - 2 * error > _GROWTH_MAX,
        abs(soaked.unaccounted) > _unsure(soaked, rate),
        late > early + _LATENESS_MAX,
        last.files > first.files,
        "Traceback" in soaked.log,
    )
    return int(any(ill))


def _unsure(soaked: Soaked, rate: int) -> float:
    """Return how many slots cannot be told: half a second's, and those under way."""
    return rate / 2 + soaked.under_way


if __name__ == "__main__":
    main()
