"""Simulate the throttle under quotas of half the demanded rate, in virtual time.

Each row is a fleet, a type of quota and the hint in its 429 responses. Each column is a rate limit,
as a multiple of the demanded rate, with the worst of three seeds:

    gap      longest time without a verdict for a server, in intervals: settled (whole run)
    429      share of 429 responses once settled
    back     seconds from the end of the quota until the rate was back at the rate limit
    *        a gap over 4, a share of 2 % or more, or over 300 s

Run as ``python -m benchmarks.pacing``; takes some minutes.
"""

from collections.abc import Callable

from benchmarks.throttled_fleet import FixedWindow, QuotaSpec, Scenario, TokenBucket, run

FLEETS = ((20, 60), (20, 20), (20, 10), (100, 20), (500, 60), (500, 10))
CEILINGS = (1, 2, 5)
HINTS = ("", "retry-after", "policy")
SEEDS = (1, 2, 3)


def bucket(seconds: float) -> Callable[[float], QuotaSpec]:
    """Return a token bucket with a capacity of ``seconds`` of requests."""
    return lambda rate: TokenBucket(rate, max(1, rate * seconds))


def window(seconds: float) -> Callable[[float], QuotaSpec]:
    """Return a fixed window of ``seconds``."""
    return lambda rate: FixedWindow(rate, seconds)


QUOTAS: dict[str, Callable[[float], QuotaSpec]] = {
    "bucket of 1": lambda rate: TokenBucket(rate, 1),
    **{f"bucket {seconds} s": bucket(seconds) for seconds in (2, 10, 60)},
    **{f"window {seconds} s": window(seconds) for seconds in (1, 10, 60, 300)},
}


def cell(servers: int, interval: float, quota: str, hint: str, ceiling: float) -> str:
    """Run one scenario with each seed and return the worst figures as text."""
    figures = [
        run(Scenario(servers, interval, ceiling, QUOTAS[quota], hint=hint, seed=seed))
        for seed in SEEDS
    ]
    settled = max(figure.worst_settled_gap for figure in figures)
    gap = max(figure.worst_gap for figure in figures)
    share = max(figure.settled_share for figure in figures)
    back = max(figure.recovery for figure in figures)
    missed = "*" if settled > 4 or share >= 0.02 or back > 300 else " "
    return f"{settled:5.1f} ({gap:4.1f}) {share:6.2%} {back:4.0f}{missed}"


def main() -> None:
    """Print the table."""
    heads = "   ".join(f"{f'limit {c}x: gap':>12}    429 back " for c in CEILINGS)
    print(f"{'servers':>7} {'every':>5}  {'quota':12} {'429 hint':12} {heads}")
    for servers, interval in FLEETS:
        for quota in QUOTAS:
            if quota == "window 1 s" and servers / interval < 2:
                continue  # less than one request per window is not possible
            for hint in HINTS:
                cells = "   ".join(cell(servers, interval, quota, hint, c) for c in CEILINGS)
                print(f"{servers:7} {interval:4} s  {quota:12} {hint:12} {cells}", flush=True)


if __name__ == "__main__":
    main()
