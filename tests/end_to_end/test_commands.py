"""Tests of the output and exit statuses of all commands."""

import json
import re
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.programs import command, exporter, until
from tests.real.simulated_project import write_config

BAD = """
global: {interval: 10s, timeout: 20s, colour: red}
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: 0123456789abcdef0123456789abcdef
    endpoint: http://clouddc.example
    auth: {type: password, username: monitor, password: "${NOT_SET_ANYWHERE}", domain: d}
    servers: [{id: a}, {id: a}]
"""


@pytest.fixture
def bad_config(tmp_path: Path) -> Path:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    return path


def assert_lists_every_error(text: str) -> None:
    for part in ("colour", "timeout", "endpoint", "NOT_SET_ANYWHERE", "servers[1]"):
        assert part in text, part
    for line in text.strip().splitlines():
        assert re.search(r"bad\.yaml:\d+:\d+: ", line), line
    assert "Traceback" not in text


@pytest.mark.parametrize("name", ["serve", "check-config"])
def test_an_invalid_configuration_is_an_error_that_lists_everything(
    bad_config: Path, name: str
) -> None:
    ended = command(name, f"--config.file={bad_config}")
    assert ended.returncode == 1
    assert_lists_every_error(ended.stderr)


def test_an_invalid_configuration_at_reload_keeps_the_old_one_active(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(tmp_path / "bad.yaml", cloud, servers[:2])
    with exporter(config) as ours:
        base = f"http://{ours.url}"
        until(lambda: "console_probe_success{" in httpx.get(f"{base}/metrics").text, 10)
        config.write_text(BAD)
        response = httpx.post(f"{base}/-/reload")
        assert response.status_code == 400
        assert_lists_every_error(response.text)
        ours.process.send_signal(signal.SIGHUP)
        until(lambda: ours.output.count("configuration reload failed") > len(BAD) // 100, 30)
        metrics = httpx.get(f"{base}/metrics").text
        assert "console_exporter_config_last_reload_successful 0.0" in metrics
        assert "console_exporter_targets 2.0" in metrics
        before = attempts(metrics)
        until(lambda: attempts(httpx.get(f"{base}/metrics").text) > before, 10)
        write_config(config, cloud, servers[:3])
        ours.process.send_signal(signal.SIGHUP)
        until(lambda: "console_exporter_targets 3.0" in httpx.get(f"{base}/metrics").text, 30)


def attempts(metrics: str) -> float:
    pattern = r"console_probes_total{.*} (\S+)"
    return sum(float(value) for value in re.findall(pattern, metrics))


def test_a_port_in_use_is_a_one_line_error(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(tmp_path / "config.yaml", cloud, servers)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = command("serve", f"--config.file={config}", f"--web.listen-address={address}")
    assert ended.returncode == 1
    assert ended.stderr == (
        f"console-exporter: cannot listen on {address}: Address already in use;"
        " choose another with --web.listen-address\n"
    )


@pytest.mark.parametrize("address", ["nonsense", ":99999", "127.0.0.1:http"])
def test_an_invalid_listen_address_is_a_one_line_error(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]], address: str
) -> None:
    config = write_config(tmp_path / "config.yaml", cloud, servers)
    ended = command("serve", f"--config.file={config}", f"--web.listen-address={address}")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"console-exporter: listen address '{address}'")
    assert len(ended.stderr.splitlines()) == 1


def test_an_unresolvable_listen_address_is_an_error(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(tmp_path / "config.yaml", cloud, servers)
    address = "does-not-exist.invalid:10429"
    ended = command("serve", f"--config.file={config}", f"--web.listen-address={address}")
    assert ended.returncode == 1
    # The second message appears where no name server is reachable.
    assert re.search(
        rf"cannot listen on {address}: (Name or service not known|Temporary failure in .*);",
        ended.stderr,
    )


def test_serve_warns_if_the_rate_limit_is_too_low(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(tmp_path / "config.yaml", cloud, servers, interval="10s", rate=0.5)
    with exporter(config) as ours:
        until(lambda: "rate limit too low for the configured probes" in ours.output, 30)


@pytest.mark.parametrize("name", ["serve", "check-config", "discover", "probe"])
def test_a_missing_file_is_a_one_line_error(tmp_path: Path, name: str) -> None:
    arguments = ["db-01"] if name == "probe" else []
    ended = command(name, f"--config.file={tmp_path / 'none.yaml'}", *arguments)
    assert ended.returncode == 1
    assert "none.yaml" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_check_config_prints_the_capacity_plan(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(tmp_path / "config.yaml", cloud, servers[:10], interval="10s", rate=2.0)
    ended = command("check-config", f"--config.file={config}")
    assert ended.returncode == 0
    assert "10 servers need 1 probes per second, 50% of the 2 allowed" in ended.stdout


def test_check_config_exits_2_if_the_rate_limit_is_too_low(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(tmp_path / "config.yaml", cloud, servers[:10], interval="10s", rate=0.5)
    ended = command("check-config", f"--config.file={config}")
    assert ended.returncode == 2
    assert "The rate limit is too low" in ended.stdout


def test_probe_exits_0_only_on_success_and_prints_json(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]]
) -> None:
    config = write_config(tmp_path / "config.yaml", cloud, servers)
    ended = command("probe", f"--config.file={config}", "db-01", "--format=json")
    result = json.loads(ended.stdout)
    assert (ended.returncode, result["outcome"], result["stage"]) == (0, "success", "")
    assert command("probe", f"--config.file={config}", "db-01").returncode == 0
    missing = command("probe", f"--config.file={config}", "nobody")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "console-exporter: no configured server has this id or name\n"


def test_config_schema_prints_json() -> None:
    ended = command("config-schema")
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["type"] == "object"


@pytest.mark.alone
@retry_if_machine_stalled
def test_sigterm_ends_the_program_within_5_seconds_despite_a_hanging_probe(
    tmp_path: Path, servers: list[tuple[str, str]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as never_answers:
        cloud = f"http://127.0.0.1:{never_answers.getsockname()[1]}"
        config = write_config(
            tmp_path / "config.yaml", cloud, servers, interval="60s", timeout="50s"
        )
        with exporter(config) as ours:
            until(lambda: is_ready(ours.url), 30)
            started = time.monotonic()
            assert ours.stop(signal.SIGTERM) == 0
            assert time.monotonic() - started < 5
            assert "Traceback" not in ours.output


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"http://{url}/-/ready").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_cleanly(
    tmp_path: Path, cloud: str, servers: list[tuple[str, str]], number: int
) -> None:
    config = write_config(tmp_path / "config.yaml", cloud, servers)
    with exporter(config) as ours:
        until(lambda: is_ready(ours.url), 30)
        assert ours.stop(number) == 0
        assert "Traceback" not in ours.output


def test_help_lists_all_commands() -> None:
    ended = command("--help")
    assert ended.returncode == 0
    for name in ("serve", "check-config", "discover", "probe", "simulate", "demo", "config-schema"):
        assert name in ended.stdout
