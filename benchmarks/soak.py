"""Run for an hour at 200 probes a second with intermittent faults: memory, lateness, files, slots.

Each minute has 15 s of one fault. The first quarter of an hour is the warm-up. The exit status is 1
if memory grows by more than 1 MB an hour beyond the noise, or a slot is lost.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.real.soak import SoakResult, SoakSpec, soak

_WARM_UP_MINUTES = 15.0
_GROWTH_MAX = 1e6
_LATENESS_MAX = 0.005


def main() -> None:
    """Run it, print the results, and exit 1 if one exceeds a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=200, help="probes a second")
    options = parser.parse_args()
    warm_up = min(_WARM_UP_MINUTES, options.minutes / 4)
    settings = SoakSpec(options.rate, options.minutes * 60, warm_up * 60, period=60.0)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soaked = soak(Path(folder), settings, lambda line: print(line, flush=True))
    sys.exit(print_results(soaked, options.rate))


def print_results(soaked: SoakResult, rate: int) -> int:
    """Print the results; return 1 if one of them exceeds a limit."""
    growth, error = soaked.growth
    early, late = soaked.lateness
    first, last = soaked.marks[0], soaked.marks[-1]
    rows = [
        ("slots after the warm-up, missed", f"{soaked.expected:.0f}, {soaked.missed:.0f}"),
        (
            "slots without a result",
            f"{soaked.unaccounted:.0f} of at most {_uncertain(soaked, rate)}",
        ),
        ("memory", f"{last.resident_bytes / 1e6:.1f} MB"),
        ("growth of memory", f"{growth / 1e6:+.2f} MB an hour, ±{2 * error / 1e6:.2f}"),
        ("mean lateness, first and last third", f"{early * 1000:.1f} ms, {late * 1000:.1f} ms"),
        ("files, threads at the start", f"{first.files}, {first.threads}"),
        ("files, threads at the end", f"{last.files}, {last.threads}"),
        ("tracebacks in the log", soaked.log.count("Traceback")),
    ]
    print()
    for name, value in rows:
        print(f"{name:40} {value}")
    failures = (
        growth - 2 * error > _GROWTH_MAX,
        abs(soaked.unaccounted) > _uncertain(soaked, rate),
        late > early + _LATENESS_MAX,
        last.files > first.files,
        "Traceback" in soaked.log,
    )
    return int(any(failures))


def _uncertain(soaked: SoakResult, rate: int) -> float:
    """Return how many slots are uncertain: those of half a second, and running probes."""
    return rate / 2 + soaked.in_progress


if __name__ == "__main__":
    main()
