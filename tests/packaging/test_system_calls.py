"""The service's confinement leaves the program all that it needs: its system calls, watched.

There is no service manager here to confine it. So the program runs as the service would start it,
and each call that it makes is held against what the unit allows.
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

from tests.packaging.flags import known
from tests.packaging.units import SERVICE, allowed_calls, settings, started
from tests.real.programs import program, required, simulator, until
from tests.real.simulated_project import listed_servers, write_config

# SQLite hands its files over where it runs as root, as the tests may and the service does not.
AS_ROOT = {"fchown"} if os.geteuid() == 0 else set()


@dataclass(frozen=True, slots=True)
class Watched:
    """A run of the program: its lines in strace's words, and the folder that it may write to."""

    calls: list[str]
    state: Path

    def named(self, pattern: str) -> list[str]:
        """Return the calls of these names."""
        return [call for call in self.calls if re.match(rf"({pattern})\(", call)]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Probe all the way, answer, reload, stop."""
    folder = tmp_path_factory.mktemp("watched")
    trace, state, notify = folder / "trace", folder / "state", folder / "notify"
    state.mkdir()
    with (
        simulator("--scenario=calm") as cloud,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        told.bind(str(notify))
        # By name, so that the resolver is asked.
        address = cloud.url.replace("127.0.0.1", "localhost")
        config = folder / "config.yaml"
        write_config(config, address, listed_servers(cloud.url)[:3], depth="rfb", timeout="1900ms")
        config.write_text(config.read_text().replace("[127.0.0.1]", "[127.0.0.1, localhost]"))
        with program(
            [
                required("strace"), "-D", "-f", "-qq", "-s", "256", "-o", str(trace),
                sys.executable, "-m", "exporter", *words(config, state),
            ],
            r"address=(127\.0\.0\.1:\d+)",
            {"NOTIFY_SOCKET": str(notify), "WATCHDOG_USEC": "2000000"},
        ) as running:  # fmt: skip
            base = f"http://{running.url}"
            until(lambda: succeeded(base), 30)
            assert httpx.get(f"{base}/").status_code == 200
            assert httpx.post(f"{base}/-/reload").status_code == 200
            before = reloaded(base)
            running.process.send_signal(signal.SIGHUP)
            until(lambda: reloaded(base) > before, 10)
            assert running.stop(seconds=20) == 0
            assert "Traceback" not in running.output
        # Unfinished where a thread is still waiting.
        until(lambda: re.search(r"exit_group\(0(\)| <unfinished)", trace.read_text()), 10)
    lines = trace.read_text().splitlines()
    return Watched([re.sub(r"^\d+\s+", "", line) for line in lines], state)


def words(config: Path, state: Path) -> list[str]:
    """Return the service's command with paths and port of the test's."""
    theirs = {
        "/etc/console-exporter/config.yaml": str(config),
        "/var/lib/console-exporter": str(state),
    }
    ours = []
    for word in started()[1:]:
        for path, ours_path in theirs.items():
            word = word.replace(path, ours_path)  # noqa: PLW2901 - one after the other
        ours.append(word)
    taken, _strange = known(ours)
    return [*taken, "--web.listen-address=127.0.0.1:0"]


def scraped(base: str) -> str:
    return httpx.get(f"{base}/metrics", timeout=20).text


def reloaded(base: str) -> float:
    name = "console_exporter_config_last_reload_success_timestamp_seconds"
    (value,) = re.findall(rf"^{name} (\S+)", scraped(base), re.MULTILINE)
    return float(value)


def succeeded(base: str) -> bool:
    return len(re.findall(r"^console_probe_success{.*} 1", scraped(base), re.MULTILINE)) == 3


def test_each_system_call_is_allowed(watched: Watched) -> None:
    made = {match[1] for call in watched.calls if (match := re.match(r"(\w+)\(", call))}
    assert len(made) > 40, "nothing was watched"
    assert made - allowed_calls() - AS_ROOT == set()


def test_no_memory_is_both_written_and_executed(watched: Watched) -> None:
    assert settings(SERVICE)["MemoryDenyWriteExecute"] == ["yes"]
    mapped = watched.named("mmap|mprotect|pkey_mprotect")
    assert mapped
    refused = [
        call for call in mapped
        if "PROT_EXEC" in call and ("PROT_WRITE" in call or not call.startswith("mmap"))
    ]  # fmt: skip
    assert refused == []


def test_each_socket_is_of_an_allowed_family(watched: Watched) -> None:
    families = {re.search(r"AF_\w+", call)[0] for call in watched.named("socket|socketpair")}  # type: ignore[index]
    (allowed,) = settings(SERVICE)["RestrictAddressFamilies"]
    assert "AF_INET" in families
    assert families <= set(allowed.split())


def test_it_writes_where_its_state_is_and_nowhere_else(watched: Watched) -> None:
    written = {
        match[1]
        for call in watched.named("open|openat|creat|mkdir|mkdirat|rename|unlink")
        if re.search("O_WRONLY|O_RDWR|O_CREAT|^mkdir|^rename|^unlink|^creat", call)
        and (match := re.search(r'"([^"]*)"', call))
    } - {"/dev/null"}
    assert {path for path in written if not Path(path).is_relative_to(watched.state)} == set()


def test_it_reads_of_proc_what_a_narrower_view_would_hide(watched: Watched) -> None:
    assert "ProcSubset" not in settings(SERVICE)
    assert any('"/proc/stat"' in call and "= -1" not in call for call in watched.named("openat"))
