"""Tests of three shards: each server is probed once, within the project's rate limit."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from exporter.model import TargetKey
from exporter.targets.sharding import Shard
from tests.real.programs import command, exporter, simulator, until
from tests.real.simulated_project import listed_servers, write_config

SERVERS, SHARDS = 3000, 3
RATE = 60.0
MEASURED_SECONDS = 5.0


@pytest.fixture(scope="module")
def large_cloud() -> Iterator[str]:
    with simulator(f"--servers={SERVERS}", "--seed=1") as running:
        yield running.url


def test_three_shards_probe_each_server_once_within_the_rate_limit(
    tmp_path: Path, large_cloud: str
) -> None:
    servers = listed_servers(large_cloud)
    config = write_config(
        tmp_path / "config.yaml", large_cloud, servers, interval="10s", timeout="5s", rate=RATE
    )
    with ExitStack() as stack:
        before = requests(large_cloud)
        started = time.monotonic()
        shards = [
            stack.enter_context(
                exporter(config, None, f"--shard.index={index}", f"--shard.count={SHARDS}")
            )
            for index in range(SHARDS)
        ]
        own = [
            set(re.findall(r'console_server_info{.*server_id="([^"]+)"', metrics(one.url)))
            for one in shards
        ]
        assert sum(map(len, own)) == len(servers)
        assert set().union(*own) == {server_id for server_id, _ in servers}
        assert all(0.28 < len(some) / len(servers) < 0.39 for some in own)

        moved = [
            server_id
            for server_id, _ in servers
            if Shard(0, SHARDS + 1).owner(TargetKey("southwest", server_id)) == SHARDS
        ]
        assert len(moved) < 0.27 * len(servers)

        # The servers need five times the rate limit.
        until(lambda: requests(large_cloud) - before > RATE, 10)
        measured_from, counted = time.monotonic(), requests(large_cloud)
        time.sleep(MEASURED_SECONDS)
        passed, count = time.monotonic() - measured_from, requests(large_cloud) - counted
        assert 0.5 * RATE * passed < count <= RATE * passed + RATE
        total = requests(large_cloud) - before
        assert total <= RATE * (time.monotonic() - started) + RATE

        text = metrics(shards[1].url)
        assert 'console_exporter_shard_info{count="3",index="1"} 1.0' in text
        assert (
            f'console_throttle_ceiling_requests_per_second{{project="southwest"}} {RATE / 3}'
            in (text)
        )
        other = next(iter(own[2]))
        response = httpx.get(f"http://{shards[1].url}/probe", params={"target": other})
        assert response.status_code == 404
        assert response.text == (
            "this is shard 1 of 3, but shard 2 probes this server; ask that one\n"
        )
        assert "project southwest (cn-southwest-2), shard 1 of 3:" in shards[1].output


def metrics(address: str) -> str:
    return httpx.get(f"http://{address}/metrics", timeout=20).text


def requests(cloud: str) -> int:
    """Return the number of requests that the simulator has counted."""
    return sum(one["count"] for one in httpx.get(f"{cloud}/simulator/counts").json())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--shard.index=3", "--shard.count=3"], "--shard.index must be auto, or a number"),
        (["--shard.index=auto", "--shard.count=0"], "--shard.count must be from 1 to 1000"),
    ],
)
def test_invalid_shard_flags_are_a_one_line_error(flags: list[str], message: str) -> None:
    ended = command("serve", *flags)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"console-exporter: {message}")
    assert len(ended.stderr.splitlines()) == 1
