"""The steps of docs/deployment.md work with the shipped files."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from exporter.config.load import load
from tests.packaging.conftest import ROOT
from tests.packaging.flags import split_by_known
from tests.packaging.units import SERVICE, settings

DOCUMENT = (ROOT / "docs" / "deployment.md").read_text()
STEPS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    for line in block.replace("\\\n", "").splitlines()
    if line
]


def steps(pattern: str) -> list[str]:
    found = [step for step in STEPS if re.match(pattern, step)]
    assert found, pattern
    return found


def test_files_named_in_the_steps_exist() -> None:
    named = {
        word
        for step in STEPS
        for word in shlex.split(step)
        if re.match(r"(deploy|docs|rules)/|requirements|Containerfile$", word)
    }
    assert len(named) >= 6
    for path in named:
        assert (ROOT / path).exists(), path


def test_make_targets_named_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("docs/deployment.md", "CONTRIBUTING.md", "README.md"):
        text = (ROOT / name).read_text()
        assert set(re.findall(r"(?:^|`)make ([a-z]+)\b", text, re.MULTILINE)) <= targets, name


def test_program_accepts_every_command_of_the_steps() -> None:
    for step in [*steps("console-exporter "), *steps("docker run .* serve ")]:
        words = shlex.split(step)
        accepted, unknown = split_by_known(words[words.index("serve") :])
        assert accepted[0] == "serve"
        assert unknown == [], step


def test_steps_install_the_files_that_the_service_uses(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "deploy").symlink_to(ROOT / "deploy")
    (sources / "my.yaml").write_text("projects: []\n")
    (sources / "iam-password").write_text("p")
    (tmp_path / "etc" / "systemd" / "system").mkdir(parents=True)
    for step in steps("install .* /etc/"):
        command = re.sub(r"(?<= )/etc/", f"{tmp_path}/etc/", step)
        subprocess.run(["sh", "-ec", command], cwd=sources, check=True)
    service = settings(SERVICE)
    (environment,) = service["EnvironmentFile"]
    (credentials,) = service["LoadCredential"]
    for path in (environment.removeprefix("-"), credentials.partition(":")[2]):
        assert (tmp_path / path.removeprefix("/")).exists(), path
    folder = tmp_path / "etc" / "console-exporter"
    assert f"--config.file=/{(folder / 'config.yaml').relative_to(tmp_path)}" in (
        service["ExecStart"][0].split()
    )
    assert mode(folder / "config.yaml") == 0o644, "the service has a dynamic user"
    assert mode(folder / "secrets") == 0o700
    assert mode(folder / "secrets" / "iam-password") == 0o600
    assert mode(folder / "environment") == 0o600
    units = {unit.name for unit in (tmp_path / "etc" / "systemd" / "system").iterdir()}
    assert units == {"console-exporter.service", "console-exporter.socket"}


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_program_is_installed_at_the_path_in_the_service() -> None:
    (venv,) = {shlex.split(step)[-1] for step in steps("python3 -m venv ")}
    assert settings(SERVICE)["ExecStart"][0].startswith(f"{venv}/bin/console-exporter serve ")
    first, second = steps(f"{venv}/bin/python -m pip install")
    assert first.endswith(" --require-hashes -r requirements.txt")
    assert " --no-deps " in second


def test_example_login_reads_the_credential(tmp_path: Path) -> None:
    (auth,) = [
        block for block in re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL) if "auth" in block
    ]
    project = {
        "name": "p",
        "region": "cn-southwest-2",
        "project_id": "0" * 32,
        "servers": [{"id": "a"}],
        **yaml.safe_load(auth),
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"projects": [project]}))
    # systemd names a credential from a folder by the setting's name and the file name.
    (name, _folder) = settings(SERVICE)["LoadCredential"][0].split(":")
    (tmp_path / f"{name}_iam-password").write_text("p")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load(tmp_path / "config.yaml", environ).projects[0].name == "p"


def test_secret_beside_the_configuration_is_found_from_any_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "`password_file: iam-password` is beside" in DOCUMENT
    text = (ROOT / "deploy" / "kubernetes" / "base" / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("/run/secrets/console-exporter/", ""))
    (tmp_path / "iam-password").write_text("p")
    monkeypatch.chdir("/")
    assert load(tmp_path / "config.yaml", os.environ).projects[0].servers
