"""Fragmented free memory is returned to the system while the exporter runs."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter.app.exporter import Exporter
from exporter.config.load import load
from tests.real.process_resources import process_resources

# Too large for Python's small-object pools and too small for mmap: several share a page.
_PIECE_BYTES, _PIECES, _KEEP_EVERY = 1000, 100_000, 50
_CONFIG = """
global: {interval: 1h}
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: "0123"
    endpoint: http://127.0.0.1:9
    auth: {type: aksk, access_key: AK, secret_key: SK}
    servers: [{id: a}]
"""


@pytest.fixture
async def running(clock: Any, tmp_path: Path) -> AsyncIterator[None]:
    path = tmp_path / "config.yaml"
    path.write_text(_CONFIG)
    exporter = Exporter(load(path, {}), version="0", clock=clock)
    await exporter.start()
    yield
    await exporter.stop()


@pytest.mark.usefixtures("running")
async def test_fragmented_free_memory_is_returned_within_30_seconds(clock: Any) -> None:
    retained = [bytes(_PIECE_BYTES) for _ in range(_PIECES)][::_KEEP_EVERY]
    fragmented_bytes = _resident_bytes()

    await clock.advance(29)
    assert _resident_bytes() > fragmented_bytes - _PIECE_BYTES * _PIECES * 0.2
    await clock.advance(1)
    async with asyncio.timeout(10):
        while _resident_bytes() > fragmented_bytes - _PIECE_BYTES * _PIECES * 0.8:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.01)

    assert len(retained) == _PIECES / _KEEP_EVERY


def _resident_bytes() -> int:
    return process_resources(os.getpid()).resident_bytes
