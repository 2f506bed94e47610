"""systemd accepts the units, and their sandbox is as strict as documented."""

import re
import subprocess
from pathlib import Path

from exporter.cli import command_line
from tests.packaging.flags import split_by_known
from tests.packaging.units import FOLDER, SERVICE, SOCKET, service_command, settings
from tests.real.programs import command, required

PROGRAM = "/opt/console-exporter/bin/console-exporter"
# The rest: internet access, the systemd socket, and /proc/stat.
EXPOSURE_MAX = 1.1


def test_systemd_verifies_the_units(tmp_path: Path) -> None:
    # verify needs an existing program; any executable will do.
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


def test_exposure_is_rated_as_low() -> None:
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


def test_service_can_write_only_its_state_folder() -> None:
    service = settings(SERVICE)
    assert service["DynamicUser"] == ["yes"]
    assert service["ProtectSystem"] == ["strict"]
    assert "ReadWritePaths" not in service
    folder = f"/var/lib/{service['StateDirectory'][0]}/"
    assert [word for word in service_command() if word.startswith("--state.file=")] == [
        f"--state.file={folder}state.db"
    ]


def test_stop_timeout_is_longer_than_the_shutdown_of_the_program() -> None:
    service = settings(SERVICE)
    assert (service["Type"], service["NotifyAccess"]) == (["notify"], ["main"])
    assert int(service["TimeoutStopSec"][0].removesuffix("s")) > 5
    assert service["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_program_accepts_the_command_of_the_service() -> None:
    accepted, unknown = split_by_known(service_command()[1:])
    assert accepted[0] == "serve"
    assert unknown == []


def test_socket_has_the_default_port_of_the_program() -> None:
    assert SOCKET.stem == SERVICE.stem, "systemd passes a socket to the service of the same name"
    (port,) = settings(SOCKET)["ListenStream"]
    assert f"(default: :{port})" in " ".join(command("serve", "--help").stdout.split())


def test_example_environment_file_has_valid_flags_and_no_secret() -> None:
    text = (FOLDER / "environment.example").read_text()
    variables = dict(re.findall(r"^#?(\w+)=(.*)$", text, re.MULTILINE))
    assert settings(SERVICE)["ExecStart"][0].endswith(" $CONSOLE_EXPORTER_FLAGS")
    flags = variables.pop("CONSOLE_EXPORTER_FLAGS").split()
    assert command_line().parse_args(["serve", *flags]).log_format == "json"
    assert set(variables.values()) == {""}


def test_secrets_are_systemd_credentials() -> None:
    assert settings(SERVICE)["LoadCredential"] == ["secret:/etc/console-exporter/secrets"]
    assert "SetCredential" not in settings(SERVICE)
