"""Measure the status pages with 10,000 servers: time and size of the grid, filter in a browser.

Meanwhile the exporter probes all servers of a simulated cloud every minute; 5 % fail. The lag of
the event loop is the exporter's metric, the maximum of the last minute: without requests, with the
grid requested every second, and with a browser open.
"""

import argparse
import gzip
import json
import sys
import time
from statistics import median

import httpx

from benchmarks.fleet import fleet
from tests.real.browser import chromium, open_page

MEASURED_SECONDS = 60
PAGE_MS, PAGE_BYTES, FILTER_MS, LAG_MS = 300, 1_000_000, 100, 50
BROKEN = [{"kind": "status", "status": 500, "fraction": 0.05}]
FILTERS = ("server-00", "server-00420", "500", "", "error at api", "")
# Resolves when the next frame has been painted: the message is handled after the frame.
TYPE = """text => new Promise(done => {
    const input = document.getElementById("q");
    const began = performance.now();
    input.value = text;
    input.dispatchEvent(new Event("input", {bubbles: true}));
    requestAnimationFrame(() => {
        const painted = new MessageChannel();
        painted.port1.onmessage = () => done(performance.now() - began);
        painted.port2.postMessage(0);
    });
})"""


def main() -> None:
    """Run it, print the results, and exit 1 if one exceeds a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=10_000)
    options = parser.parse_args()
    with fleet(options.servers, interval="60s", timeout="10s") as (cloud, address):
        url = f"http://{address}"
        httpx.put(f"{cloud}/simulator/faults", content=json.dumps(BROKEN)).raise_for_status()
        print(
            "waiting until all servers are probed and the start no longer affects the lag",
            flush=True,
        )
        time.sleep(2 * MEASURED_SECONDS + 5)
        idle = lag(url)
        pages = [page(url) for _ in range(MEASURED_SECONDS)]
        change_times = changes(url)
        requested = lag(url)
        filters = filtered(url)
        opened = lag(url)
    print_results(options.servers, pages, change_times, filters, (idle, requested, opened))


def page(url: str) -> tuple[float, int, int]:
    """Request the grid once; return milliseconds, compressed and uncompressed bytes.

    Returns one second after the call.
    """
    with httpx.Client(timeout=30) as client:
        started = time.perf_counter()
        with client.stream("GET", f"{url}/", headers={"accept-encoding": "gzip"}) as response:
            raw = b"".join(response.iter_raw())
        took = (time.perf_counter() - started) * 1000
    time.sleep(max(0.0, 1 - took / 1000))
    return took, len(raw), len(gzip.decompress(raw))


def changes(url: str) -> tuple[float, float]:
    """Return the milliseconds of a request for changes: without changes, and for 500 cells."""
    with httpx.Client(base_url=url, timeout=30) as client:
        revision = client.get("/fleet/changes").json()["revision"]
        times = []
        for _ in range(50):
            started = time.perf_counter()
            client.get("/fleet/changes", params={"since": revision}).raise_for_status()
            times.append((time.perf_counter() - started) * 1000)
        boot, _, number = revision.partition(".")
        started = time.perf_counter()
        client.get("/fleet/changes", params={"since": f"{boot}.{int(number) - 500}"})
        return median(times), (time.perf_counter() - started) * 1000


def filtered(url: str) -> list[tuple[str, float]]:
    """Return the milliseconds of each filter in a browser, from input to painted frame."""
    with chromium() as browser, open_page(browser) as one:
        started = time.perf_counter()
        one.page.goto(url)
        one.page.wait_for_selector(".live")
        print(f"{'loaded in a browser and live':50} {time.perf_counter() - started:.2f} s")
        found = []
        for _ in range(5):
            for text in FILTERS:
                found.append((text, one.page.evaluate(TYPE, text)))
                one.page.wait_for_timeout(150)
        return found


def lag(url: str) -> float:
    """Return the maximum event-loop lag of the last minute in milliseconds."""
    text = httpx.get(
        f"{url}/metrics", params={"name[]": "console_exporter_event_loop_lag_seconds"}
    ).text
    return float(text.split()[-1]) * 1000


def print_results(
    servers: int,
    pages: list[tuple[float, int, int]],
    change_times: tuple[float, float],
    filters: list[tuple[str, float]],
    lags: tuple[float, float, float],
) -> None:
    """Print the results."""
    times = [took for took, _, _ in pages]
    compressed, plain = pages[-1][1:]
    by_text = {text: [took for one, took in filters if one == text] for text in FILTERS}
    rows = [
        ("servers", f"{servers}"),
        ("grid, gzip", f"median {median(times):.0f} ms, worst {max(times):.0f} ms"),
        ("size of the grid", f"{compressed / 1000:.0f} kB gzipped, {plain / 1000:.0f} kB plain"),
        ("request for changes: none", f"median {change_times[0]:.1f} ms"),
        ("request for changes: 500 cells", f"{change_times[1]:.1f} ms"),
        *(
            (f"filter {text!r}", f"median {median(all_of):.0f} ms, worst {max(all_of):.0f} ms")
            for text, all_of in by_text.items()
        ),
        ("maximum event-loop lag, no requests", f"{lags[0]:.1f} ms"),
        ("maximum lag, grid requested every second", f"{lags[1]:.1f} ms"),
        ("maximum lag, browser open", f"{lags[2]:.1f} ms"),
    ]
    for name, value in rows:
        print(f"{name:50} {value}")
    exceeding = (
        median(times) > PAGE_MS
        or compressed > PAGE_BYTES
        or max(map(median, by_text.values())) > FILTER_MS
        or max(lags[1:]) > LAG_MS
    )
    sys.exit(1 if exceeding else 0)


if __name__ == "__main__":
    main()
