"""What stays is not looked through for garbage again and again."""

import re
from pathlib import Path

import httpx

from tests.real.programs import exporter, until
from tests.real.simulated_project import write_config


def test_the_garbage_collector_looks_through_everything_at_a_reload_and_not_before(
    tmp_path: Path, cloud: str
) -> None:
    many = [(f"id-{number}", f"srv-{number:05}") for number in range(1_000)]
    config = write_config(tmp_path / "config.yaml", cloud, many, interval="5s")
    with exporter(config) as ours:
        base = f"http://{ours.url}"
        assert _full_collections(base) == 0
        assert httpx.post(f"{base}/-/reload", timeout=30).status_code == 200
        assert _full_collections(base) == 1
        config.write_text("projects: 5")
        assert httpx.post(f"{base}/-/reload").status_code == 400
        # It is on, whatever became of a reload: what is young is looked through.
        before = _collections(base, "0")
        until(lambda: _collections(base, "0") > before, 10, every=0.01)


def _full_collections(base: str) -> int:
    return _collections(base, "2")


def _collections(base: str, generation: str) -> int:
    text = httpx.get(f"{base}/metrics").text
    found = re.search(rf'python_gc_collections_total{{generation="{generation}"}} (\S+)', text)
    assert found is not None
    return int(float(found[1]))
