"""The sandbox of the service allows every system call that the program makes.

There is no systemd here that could run the service. So the program runs under strace with the
command of the unit, and each call is compared with the settings of the unit.
"""

import os
import re
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.packaging.flags import split_by_known
from tests.packaging.units import SERVICE, allowed_calls, service_command, settings
from tests.real.programs import program, required, simulator, until
from tests.real.simulated_project import listed_servers, write_config

# As root, SQLite changes the owner of its files; tests may run as root, the service does not.
AS_ROOT = {"fchown"} if os.geteuid() == 0 else set()


@dataclass(frozen=True, slots=True)
class Trace:
    """The system calls of a run as strace prints them, and the state folder."""

    calls: list[str]
    state: Path

    def named(self, pattern: str) -> list[str]:
        """Return the calls whose names match ``pattern``."""
        return [call for call in self.calls if re.match(rf"({pattern})\(", call)]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """Trace a run: probe all stages, serve requests, reload, stop."""
    folder = tmp_path_factory.mktemp("trace")
    trace_file, state, notify = folder / "strace", folder / "state", folder / "notify"
    state.mkdir()
    with (
        simulator("--scenario=calm") as cloud,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify_socket,
    ):
        notify_socket.bind(str(notify))
        # A name, so that the resolver is used.
        address = cloud.url.replace("127.0.0.1", "localhost")
        config = folder / "config.yaml"
        write_config(config, address, listed_servers(cloud.url)[:3], depth="rfb", timeout="1900ms")
        config.write_text(config.read_text().replace("[127.0.0.1]", "[127.0.0.1, localhost]"))
        with program(
            [
                required("strace"), "-D", "-f", "-qq", "-s", "256", "-o", str(trace_file),
                sys.executable, "-m", "exporter", *arguments(config, state),
            ],
            r"address=(127\.0\.0\.1:\d+)",
            {"NOTIFY_SOCKET": str(notify), "WATCHDOG_USEC": "2000000"},
        ) as running:  # fmt: skip
            base = f"http://{running.url}"
            until(lambda: all_succeeded(base), 30)
            assert httpx.get(f"{base}/").status_code == 200
            assert httpx.post(f"{base}/-/reload").status_code == 200
            before = reloaded_at(base)
            running.process.send_signal(signal.SIGHUP)
            until(lambda: reloaded_at(base) > before, 10)
            assert running.stop(seconds=20) == 0
            assert "Traceback" not in running.output
        # The call is unfinished if a thread is still waiting.
        until(lambda: re.search(r"exit_group\(0(\)| <unfinished)", trace_file.read_text()), 10)
    lines = trace_file.read_text().splitlines()
    return Trace([re.sub(r"^\d+\s+", "", line) for line in lines], state)


def arguments(config: Path, state: Path) -> list[str]:
    """Return the command of the service with the paths and port of the test."""
    replacements = {
        "/etc/console-exporter/config.yaml": str(config),
        "/var/lib/console-exporter": str(state),
    }
    replaced = []
    for argument in service_command()[1:]:
        for path, test_path in replacements.items():
            argument = argument.replace(path, test_path)  # noqa: PLW2901 - each replacement in turn
        replaced.append(argument)
    accepted, _unknown = split_by_known(replaced)
    return [*accepted, "--web.listen-address=127.0.0.1:0"]


def metrics_text(base: str) -> str:
    return httpx.get(f"{base}/metrics", timeout=20).text


def reloaded_at(base: str) -> float:
    name = "console_exporter_config_last_reload_success_timestamp_seconds"
    (value,) = re.findall(rf"^{name} (\S+)", metrics_text(base), re.MULTILINE)
    return float(value)


def all_succeeded(base: str) -> bool:
    return len(re.findall(r"^console_probe_success{.*} 1", metrics_text(base), re.MULTILINE)) == 3


def test_each_system_call_is_allowed(trace: Trace) -> None:
    made = {match[1] for call in trace.calls if (match := re.match(r"(\w+)\(", call))}
    assert len(made) > 40, "the trace is too short"
    assert made - allowed_calls() - AS_ROOT == set()


def test_no_memory_is_writable_and_executable(trace: Trace) -> None:
    assert settings(SERVICE)["MemoryDenyWriteExecute"] == ["yes"]
    mapped = trace.named("mmap|mprotect|pkey_mprotect")
    assert mapped
    forbidden = [
        call for call in mapped
        if "PROT_EXEC" in call and ("PROT_WRITE" in call or not call.startswith("mmap"))
    ]  # fmt: skip
    assert forbidden == []


def test_each_socket_has_an_allowed_address_family(trace: Trace) -> None:
    families = {re.search(r"AF_\w+", call)[0] for call in trace.named("socket|socketpair")}  # type: ignore[index]
    (allowed,) = settings(SERVICE)["RestrictAddressFamilies"]
    assert "AF_INET" in families
    assert families <= set(allowed.split())


def test_program_writes_only_its_state_folder(trace: Trace) -> None:
    written = {
        match[1]
        for call in trace.named("open|openat|creat|mkdir|mkdirat|rename|unlink")
        if re.search("O_WRONLY|O_RDWR|O_CREAT|^mkdir|^rename|^unlink|^creat", call)
        and (match := re.search(r'"([^"]*)"', call))
    } - {"/dev/null"}
    assert {path for path in written if not Path(path).is_relative_to(trace.state)} == set()


def test_program_reads_proc_stat_which_procsubset_would_hide(trace: Trace) -> None:
    assert "ProcSubset" not in settings(SERVICE)
    assert any('"/proc/stat"' in call and "= -1" not in call for call in trace.named("openat"))
