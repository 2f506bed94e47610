"""Tests that long-lived objects are excluded from garbage collection."""

import re
from pathlib import Path

import httpx
import pytest

from tests.real.programs import exporter, until
from tests.real.simulated_project import write_config

pytestmark = pytest.mark.alone


def test_a_full_collection_runs_only_after_a_project_is_rebuilt(tmp_path: Path, cloud: str) -> None:
    many = [(f"id-{number}", f"srv-{number:05}") for number in range(1_000)]
    path = tmp_path / "config.yaml"
    config = write_config(path, cloud, many, interval="5s")
    with exporter(config) as ours:
        base = f"http://{ours.url}"
        assert _full_collections(base) == 0
        assert httpx.post(f"{base}/-/reload", timeout=30).status_code == 200
        assert _full_collections(base) == 0
        # Garbage collection is enabled: the young generation is collected.
        before = _collections(base, "0")
        until(lambda: _collections(base, "0") > before, 10, every=0.01)
        write_config(path, cloud, many, interval="5s", rate=900.0)
        assert httpx.post(f"{base}/-/reload", timeout=30).status_code == 200
        until(lambda: _full_collections(base) == 1, 10)


def _full_collections(base: str) -> int:
    return _collections(base, "2")


def _collections(base: str, generation: str) -> int:
    text = httpx.get(f"{base}/metrics").text
    found = re.search(rf'python_gc_collections_total{{generation="{generation}"}} (\S+)', text)
    assert found is not None
    return int(float(found[1]))
