"""Tests that verdicts, cool-downs and logins survive a restart or a kill."""

import json
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.programs import Program, command, exporter, simulator, until
from tests.real.simulated_project import PASSWORD, write_config

pytestmark = pytest.mark.alone

KILLS = 3
# An interval so long that no scheduled probe runs during a test.
NEVER = "1d"
# The state is written every 3 s.
FLUSHED_SECONDS = 5.0
_COUNTERS = ("_verdicts_total", "_failures_total", "_throttled_total")


@pytest.fixture(scope="module")
def own_cloud() -> Iterator[str]:
    """Run a cloud whose faults and quotas no other test changes."""
    with simulator("--seed=1") as running:
        yield running.url


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@retry_if_machine_stalled
def test_the_state_is_restored_at_once_after_a_kill(
    tmp_path: Path, own_cloud: str, servers: list[tuple[str, str]], state: Path
) -> None:
    config = write_config(
        tmp_path / "config.yaml", own_cloud, servers[:3], interval="1s", timeout="900ms"
    )
    fault = {"kind": "status", "status": 500, "servers": servers[0][1]}
    httpx.put(f"{own_cloud}/simulator/faults", json=[fault]).raise_for_status()
    with exporter(config, None, f"--state.file={state}") as ours:
        until(lambda: " 0.0" in series(ours, "console_probe_success"), 10)
        until(lambda: series(ours, "console_probe_success").count("\n") == 3, 10)
        write_config(config, own_cloud, servers[:3], interval=NEVER, timeout="900ms")
        httpx.post(f"http://{ours.url}/-/reload").raise_for_status()
        time.sleep(1)
        before = known(ours)
        time.sleep(FLUSHED_SECONDS)
        ours.process.kill()
    httpx.put(f"{own_cloud}/simulator/faults", json=[]).raise_for_status()
    logins = count(own_cloud, "create_token")
    token = saved_token(state)

    with exporter(config, None, f"--state.file={state}") as ours:
        text = metrics(ours)
        assert known(ours) == before
        assert re.search(rf"console_probe_success{{.*{servers[0][0]}.*}} 0\.0", text)
        assert sum(map(float, re.findall(r"console_probes_total{.*} (\S+)", text))) == 0
        assert "console_scheduler_overdue_servers 0.0" in text

        probed = httpx.get(f"http://{ours.url}/probe", params={"target": servers[1][0]}).text
        assert 'outcome="success"' in probed
        assert count(own_cloud, "create_token") == logins
        shown = "".join(httpx.get(f"http://{ours.url}{page}").text for page in ("/", "/config"))
        assert ours.stop(signal.SIGTERM) == 0
        assert token not in text + shown + probed + ours.output

    write_config(
        config,
        own_cloud,
        servers[:3],
        password="password: another",
        interval=NEVER,
        timeout="900ms",
    )
    with exporter(config, None, f"--state.file={state}") as ours:
        assert known(ours) == before
        probed = httpx.get(f"http://{ours.url}/probe", params={"target": servers[1][0]}).text
        assert 'outcome="unauthorized"' in probed
        assert count(own_cloud, "create_token") == logins + 1
        assert PASSWORD not in ours.output
        assert ours.stop(signal.SIGTERM) == 0
    assert PASSWORD.encode() not in b"".join(one.read_bytes() for one in tmp_path.glob("state*"))


@retry_if_machine_stalled
def test_a_cool_down_continues_after_a_kill(
    tmp_path: Path, own_cloud: str, servers: list[tuple[str, str]], state: Path
) -> None:
    config = write_config(
        tmp_path / "config.yaml", own_cloud, servers[:3], interval=NEVER, timeout="900ms"
    )
    flag = f"--state.file={state}"
    quota = {"limit": 1, "window": 3600, "kind": "fixed_window", "retry_after": "seconds"}
    with exporter(config, None, flag) as ours:
        ask(ours, servers[0][0])
        httpx.put(f"{own_cloud}/simulator/quota/southwest", json=quota).raise_for_status()
        for _ in range(2):
            result = ask(ours, servers[0][0])
        assert 'outcome="throttled"' in result or 'outcome="skipped"' in result
        resume = series(ours, "console_throttle_resume_timestamp_seconds")
        assert float(resume.split()[-1]) > time.time() + 30
        time.sleep(FLUSHED_SECONDS)
        ours.process.kill()
    httpx.put(f"{own_cloud}/simulator/quota/southwest", json=None).raise_for_status()
    before = count(own_cloud)
    with exporter(config, None, flag) as ours:
        after = series(ours, "console_throttle_resume_timestamp_seconds")
        assert float(after.split()[-1]) == pytest.approx(float(resume.split()[-1]), abs=0.01)
        limit = series(ours, "console_throttle_limit_requests_per_second")
        assert float(limit.split()[-1]) <= 500
        assert 'outcome="skipped"' in ask(ours, servers[0][0])
        assert count(own_cloud) == before


@retry_if_machine_stalled
def test_repeated_kills_lose_at_most_ten_seconds_of_state(
    tmp_path: Path, own_cloud: str, servers: list[tuple[str, str]], state: Path
) -> None:
    config = write_config(
        tmp_path / "config.yaml", own_cloud, servers, interval="1s", timeout="900ms"
    )
    random = Random(2)  # noqa: S311 - no secret
    killed_at = 0.0
    for _ in range(KILLS):
        with exporter(config, None, f"--state.file={state}") as ours:
            if killed_at:
                last = re.findall(
                    r"console_probe_last_verdict_timestamp_seconds{.*} (\S+)", metrics(ours)
                )
                assert len(last) == len(servers)
                assert min(map(float, last)) > killed_at - 10
            # Kill it at or shortly after its first writes.
            time.sleep(random.uniform(3.0, 3.4) if killed_at else 4.5)
            ours.process.kill()
            killed_at = time.time()
            ours.process.wait()
            assert '"level":"warning"' not in ours.output
            assert "level=warning" not in ours.output
    assert not list(tmp_path.glob("*.corrupt*"))


def test_a_second_exporter_with_the_same_state_file_does_not_start(
    tmp_path: Path, own_cloud: str, servers: list[tuple[str, str]], state: Path
) -> None:
    config = write_config(
        tmp_path / "config.yaml", own_cloud, servers[:3], interval=NEVER, timeout="900ms"
    )
    with exporter(config, None, f"--state.file={state}"):
        ended = command(
            "serve", f"--config.file={config}", "--web.listen-address=127.0.0.1:0",
            f"--state.file={state}",
        )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr == (
        f"console-exporter: state file {state} is in use by another process:"
        " set a separate file for each exporter with --state.file\n"
    )


def test_probing_continues_if_state_cannot_be_saved(
    tmp_path: Path, own_cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(
        tmp_path / "config.yaml", own_cloud, servers[:3], interval="1s", timeout="900ms"
    )
    with exporter(config, None, f"--state.file={tmp_path}/none/state.db") as ours:
        until(lambda: series(ours, "console_probe_success"), 10)
        until(lambda: "state file not written" in ours.output, 10)
        assert "saved state not loaded" in ours.output
        logged = re.findall(r'log_messages_total{level="warning"} (\S+)', metrics(ours))
        assert float(logged[0]) >= 2
        assert ours.stop(signal.SIGTERM) == 0


def saved_token(state: Path) -> str:
    """Return the token in the state file of an exporter that was killed."""
    with closing(sqlite3.connect(state)) as database:
        (login,) = database.execute("SELECT login FROM note").fetchone()
    token: str = json.loads(login)["value"]
    assert len(token) > 1000
    return token


def metrics(ours: Program) -> str:
    return httpx.get(f"http://{ours.url}/metrics", timeout=20).text


def series(ours: Program, name: str) -> str:
    return "".join(re.findall(rf"^{name}{{.*\n", metrics(ours), re.MULTILINE))


def known(ours: Program) -> list[str]:
    """Return the probe metrics of all servers except counters, which restart at 0."""
    return [
        line
        for line in metrics(ours).splitlines()
        if line.startswith("console_probe_") and not line.partition("{")[0].endswith(_COUNTERS)
    ]


def ask(ours: Program, server: str) -> str:
    header = {"X-Prometheus-Scrape-Timeout-Seconds": "2"}
    return httpx.get(f"http://{ours.url}/probe", params={"target": server}, headers=header).text


def count(cloud: str, operation: str = "") -> int:
    return sum(
        int(one["count"])
        for one in httpx.get(f"{cloud}/simulator/counts").json()
        if operation in {"", one["operation"]}
    )
