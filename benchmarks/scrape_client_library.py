"""Serve the series of a text with prometheus-client's web server, set up as usual."""

import argparse
import sys
import threading
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.parser import text_string_to_metric_families


def filled(text: str) -> CollectorRegistry:
    """Return a registry with gauges and counters that have the values of a text."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    for family in text_string_to_metric_families(text):
        if not family.samples:
            continue
        # Samples may have different labels, but a metric needs the same for all samples. An empty
        # label counts as absent.
        names = sorted({name for sample in family.samples for name in sample.labels})
        kind = Counter if family.type == "counter" else Gauge
        metric = kind(family.name, family.documentation, names, registry=registry)
        for sample in family.samples:
            values = [sample.labels[name] for name in names]
            child = metric.labels(*values) if names else metric
            if isinstance(child, Counter):
                child.inc(sample.value)
            else:
                child.set(sample.value)
    return registry


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    registry = filled(parser.parse_args().text.read_text())
    server, thread = start_http_server(0, "127.0.0.1", registry)
    print(f"listening on http://127.0.0.1:{server.server_port}/metrics", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        sys.exit(0)
