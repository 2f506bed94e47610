"""Measure a quota of half the demanded rate, in real time: waiting, 429 responses, recovery."""

import argparse
import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.fleet import fleet

INTERVAL = 10.0
SETTLE_SECONDS = 60.0
RECOVERY_SECONDS = 300.0

Sample = tuple[str, tuple[tuple[str, str], ...]]


def main() -> None:
    """Run it and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long the quota lasts")
    options = parser.parse_args()
    demand = options.servers / INTERVAL
    interval = f"{INTERVAL:.0f}s"
    with fleet(options.servers, interval=interval, timeout="2s", rate=demand * 1.5) as (cloud, url):
        time.sleep(2 * INTERVAL)
        quota = f"{cloud}/simulator/quota/southwest"
        limit = {"limit": round(demand / 2), "window": 1}
        httpx.put(quota, json=limit).raise_for_status()
        oldest, worst, settled = 0.0, 1.0, (0.0, 0.0)
        end = time.monotonic() + options.minutes * 60
        settled_at = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < end:
            time.sleep(1)
            seen = samples(url)
            oldest = max(oldest, oldest_verdict(seen))
            worst = min(worst, *of(seen, "console_probe_success"))
            if time.monotonic() < settled_at:
                settled = requests(seen)
        responses, throttled = requests(seen)
        httpx.put(quota, json=None).raise_for_status()
        ended = time.monotonic()
        while time.monotonic() - ended < RECOVERY_SECONDS:
            seen = samples(url)
            (limit_now,) = of(seen, "console_throttle_limit_requests_per_second")
            (ceiling,) = of(seen, "console_throttle_ceiling_requests_per_second")
            if limit_now >= ceiling:
                break
            time.sleep(1)
        recovered = time.monotonic() - ended
    share = (throttled - settled[1]) / (responses - settled[0])
    for name, value in (
        ("servers, demanded rate, quota", f"{options.servers}, {demand:g}/s, {limit['limit']}/s"),
        ("oldest verdict", f"{oldest / INTERVAL:.2f} intervals"),
        ("429 responses, once settled", f"{share:.2%} of {responses - settled[0]:.0f} requests"),
        ("servers that failed", 0 if worst == 1.0 else "some"),
        ("back at the rate limit after", f"{recovered:.0f} s, at {limit_now:g} of {ceiling:g}/s"),
    ):
        print(f"{name:30} {value}")


def samples(url: str) -> dict[Sample, float]:
    """Return all samples of a scrape."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(httpx.get(f"http://{url}/metrics").text)
        for sample in family.samples
    }


def of(seen: dict[Sample, float], name: str) -> list[float]:
    """Return the values of one metric."""
    return [value for (known, _), value in seen.items() if known == name]


def oldest_verdict(seen: dict[Sample, float]) -> float:
    """Return the age of the oldest verdict in seconds."""
    return time.time() - min(of(seen, "console_probe_last_verdict_timestamp_seconds"))


def requests(seen: dict[Sample, float]) -> tuple[float, float]:
    """Return the number of responses, and how many of them are 429."""
    by_code: dict[str, float] = {}
    for (name, labels), value in seen.items():
        if name == "console_api_requests_total":
            code = dict(labels)["code"]
            by_code[code] = by_code.get(code, 0.0) + value
    return sum(by_code.values()), by_code["429"]


if __name__ == "__main__":
    main()
