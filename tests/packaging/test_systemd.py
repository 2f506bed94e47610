"""The units are what systemd takes, and close what they say they close."""

import re
import subprocess
from pathlib import Path

from exporter.cli import command_line
from tests.packaging.flags import AWAITED, known
from tests.packaging.units import FOLDER, SERVICE, SOCKET, settings, started
from tests.real.programs import command, required

PROGRAM = "/opt/console-exporter/bin/console-exporter"
# What is left: it talks to the internet, to the service manager, and reads /proc/stat.
EXPOSURE_MAX = 1.1


def test_systemd_verifies_the_units(tmp_path: Path) -> None:
    # It looks whether the program is there, which it is not here: any that runs will do.
    for unit in (SERVICE, SOCKET):
        text = unit.read_text().replace(PROGRAM, "/bin/true")
        (tmp_path / unit.name).write_text(text)
    verified = subprocess.run(
        [required("systemd-analyze"), "verify", "--man=no", "--recursive-errors=yes",
         *(str(tmp_path / unit.name) for unit in (SERVICE, SOCKET))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    ours = [line for line in verified.stderr.splitlines() if "console-exporter" in line]
    assert ours == []
    assert verified.returncode == 0


def test_systemd_rates_the_exposure_as_low() -> None:
    rated = subprocess.run(
        [
            required("systemd-analyze"), "security", "--offline=true", "--no-pager",
            f"--threshold={EXPOSURE_MAX * 10:g}", str(SERVICE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert rated.returncode == 0, rated.stdout
    (level,) = re.findall(r"Overall exposure level for \S+ (\d+\.\d+)", rated.stdout)
    assert float(level) <= EXPOSURE_MAX


def test_the_service_writes_only_where_its_state_is() -> None:
    said = settings(SERVICE)
    assert said["DynamicUser"] == ["yes"]
    assert said["ProtectSystem"] == ["strict"]
    assert "ReadWritePaths" not in said
    folder = f"/var/lib/{said['StateDirectory'][0]}/"
    assert [word for word in started() if word.startswith("--state.file=")] == [
        f"--state.file={folder}state.db"
    ]


def test_the_manager_waits_longer_than_the_program_takes_to_stop() -> None:
    said = settings(SERVICE)
    assert (said["Type"], said["NotifyAccess"]) == (["notify"], ["main"])
    assert int(said["TimeoutStopSec"][0].removesuffix("s")) > 5
    assert said["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_the_program_takes_the_command_of_the_service() -> None:
    taken, strange = known(started()[1:])
    assert taken[0] == "serve"
    assert {word.partition("=")[0] for word in strange} <= AWAITED


def test_the_socket_is_the_port_of_the_program() -> None:
    assert SOCKET.stem == SERVICE.stem, "systemd hands a socket to the service of its name"
    (port,) = settings(SOCKET)["ListenStream"]
    assert f"(default: :{port})" in " ".join(command("serve", "--help").stdout.split())


def test_the_example_of_an_environment_file_has_flags_that_exist_and_no_secret() -> None:
    text = (FOLDER / "environment.example").read_text()
    variables = dict(re.findall(r"^#?(\w+)=(.*)$", text, re.MULTILINE))
    assert settings(SERVICE)["ExecStart"][0].endswith(" $CONSOLE_EXPORTER_FLAGS")
    flags = variables.pop("CONSOLE_EXPORTER_FLAGS").split()
    assert command_line().parse_args(["serve", *flags]).log_format == "json"
    assert set(variables.values()) == {""}


def test_secrets_are_credentials_and_not_files_that_the_service_may_open() -> None:
    assert settings(SERVICE)["LoadCredential"] == ["secret:/etc/console-exporter/secrets"]
    assert "SetCredential" not in settings(SERVICE)
