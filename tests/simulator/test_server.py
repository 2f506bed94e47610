"""The simulator as a process: one line when ready, one line on errors, a clean exit."""

import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from exporter.simulator import generated_servers, load_scenario
from tests.real.certificates import Certificates

_RUN = (
    "import sys; from pathlib import Path; from exporter.simulator import run;"
    " sys.exit(run({arguments}))"
)


@contextmanager
def _process(arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN.format(arguments=arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_prints_its_address_and_exits_cleanly_on_a_signal(number: signal.Signals) -> None:
    with _process("'127.0.0.1', 0, scenario='default', servers=40, seed=5") as process:
        assert process.stdout
        assert process.stderr
        line = process.stdout.readline()
        assert line.startswith("simulated cloud listening on http://127.0.0.1:")
        url = line.split()[-1]
        with httpx.Client(trust_env=False) as client:
            assert client.get(f"{url}/simulator/counts").json() == []
            southwest = load_scenario().projects[0]
            user = southwest.users[0]
            credentials = {
                "name": user.name,
                "password": user.password,
                "domain": {"name": user.domain},
            }
            scope = {"project": {"id": southwest.project_id}}
            identity = {"methods": ["password"], "password": {"user": credentials}}
            token = client.post(
                f"{url}/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}}
            ).headers["X-Subject-Token"]
            page = client.get(
                f"{url}/v1/{southwest.project_id}/physicalservers?limit=1000",
                headers={"X-Auth-Token": token},
            ).json()
        ids = [server["id"] for server in page["servers"]]
        generated = generated_servers(5, southwest.project_id, 40)
        assert ids == [server.id for server in (*southwest.servers, *generated)]
        process.send_signal(number)
        assert process.wait(5) == 0
        assert process.stdout.read() == ""
        assert process.stderr.read() == ""


def test_port_in_use_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _process(f"'127.0.0.1', {port}, scenario='default'") as process:
            out, error = process.communicate(timeout=10)
    assert process.returncode == 1
    assert out == ""
    message = (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --listen"
    )
    assert error == f"console-exporter: {message}\n"


def test_invalid_scenario_is_reported_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("projects: []\n")
    arguments = f"'127.0.0.1', 0, scenario={str(path)!r}"
    with _process(arguments) as process:
        out, error = process.communicate(timeout=10)
    assert process.returncode == 1
    assert out == ""
    assert error == f"console-exporter: scenario {path}: projects: at least one is required\n"


def test_process_serves_over_tls_with_its_certificate(tmp_path: Path) -> None:
    certificates = Certificates()
    authority = certificates.write_authority(tmp_path / "ca.pem")
    pem = certificates.write_good(tmp_path)
    paths = f"(Path({str(pem.certificate)!r}), Path({str(pem.key)!r}))"
    arguments = f"'127.0.0.1', 0, scenario='calm', certificate={paths}"
    with _process(arguments) as process:
        assert process.stdout is not None
        url = process.stdout.readline().rsplit(" ", 1)[1].strip()
        assert url.startswith("https://")
        trusting = ssl.create_default_context(cafile=authority)
        assert httpx.get(url, verify=trusting).status_code == 404


def test_unusable_certificate_is_reported_in_one_line(tmp_path: Path) -> None:
    missing = f"Path({str(tmp_path / 'no.pem')!r})"
    with _process(
        f"'127.0.0.1', 0, scenario='calm', certificate=({missing}, {missing})"
    ) as process:
        assert process.wait(30) == 1
        assert process.stderr is not None
        output = process.stderr.read()
    assert "No such file" in output
    assert len(output.splitlines()) == 1
