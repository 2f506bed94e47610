"""sdist and wheel have exactly the expected files, and the wheel runs in an empty environment."""

import re
import subprocess
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path, PurePosixPath

import httpx
import pytest
import yaml
from uv import find_uv_bin

from tests.packaging.conftest import BUILD_FLAGS, ROOT, Distributions, build
from tests.real.programs import program, until

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION: str = PROJECT["version"]


def tracked(*folders: str) -> set[str]:
    """Return the files of the repository below these folders."""
    return {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def in_sdist(distributions: Distributions) -> set[str]:
    with tarfile.open(distributions.sdist) as archive:
        names = [PurePosixPath(one.name) for one in archive.getmembers() if one.isfile()]
    assert {name.parts[0] for name in names} == {f"console_exporter-{VERSION}"}
    return {str(name.relative_to(name.parts[0])) for name in names}


def in_wheel(distributions: Distributions) -> set[str]:
    with zipfile.ZipFile(distributions.wheel) as archive:
        return set(archive.namelist())


def test_wheel_has_the_package_and_the_files_of_the_demonstration(
    distributions: Distributions,
) -> None:
    information = f"console_exporter-{VERSION}.dist-info/"
    names = {name for name in in_wheel(distributions) if not name.startswith(information)}
    shipped = {
        "config.yaml",
        "rules/alerts.yaml",
        "rules/recording.yaml",
        *tracked("deploy/prometheus", "deploy/alertmanager"),
    }
    assert names == tracked("exporter") | {f"exporter/shipped/{name}" for name in shipped}


def test_sdist_has_all_sources_and_no_build_results(
    distributions: Distributions,
) -> None:
    names = in_sdist(distributions)
    folders = {str(PurePosixPath(name).parts[0]) for name in names if "/" in name}
    assert folders == {
        "benchmarks", "dashboards", "deploy", "docs", "exporter", "monitoring", "rules", "runbooks",
        "tests",
    }  # fmt: skip
    assert tracked(*folders) == {name for name in names if "/" in name}
    assert {"LICENSE", "README.md", "Makefile", "Containerfile", "pyproject.toml"} <= names
    assert distributions.sdist.stat().st_size < 2_000_000


def test_make_dist_uses_the_same_build_flags() -> None:
    (recipe,) = re.findall(r"^\t\S+/uv build (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert " ".join(BUILD_FLAGS) in recipe


def test_builds_are_reproducible(distributions: Distributions, tmp_path: Path) -> None:
    again = build(tmp_path)
    assert again.sdist.read_bytes() == distributions.sdist.read_bytes()
    assert again.wheel.read_bytes() == distributions.wheel.read_bytes()


def test_metadata_has_version_licence_and_readme(distributions: Distributions) -> None:
    information = f"console_exporter-{VERSION}.dist-info"
    with zipfile.ZipFile(distributions.wheel) as archive:
        metadata = message_from_string(archive.read(f"{information}/METADATA").decode())
        licence = archive.read(f"{information}/licenses/LICENSE").decode()
    assert (metadata["Name"], metadata["Version"]) == ("console-exporter", VERSION)
    assert (metadata["License-Expression"], metadata["License-File"]) == ("Apache-2.0", "LICENSE")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert metadata.get_payload() == (ROOT / "README.md").read_text()
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.fixture(scope="module")
def installed(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a venv with only the pinned dependencies and the wheel."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    python = str(venv / "bin" / "python")
    for arguments in (
        ["venv", "--python", "3.11", str(venv)],
        ["pip", "install", "--python", python, "--require-hashes", "-r", "requirements.txt"],
        ["pip", "install", "--python", python, "--no-deps", "--offline", str(distributions.wheel)],
        ["pip", "check", "--python", python],
    ):
        subprocess.run([find_uv_bin(), *arguments, "--quiet"], cwd=ROOT, check=True)
    return venv


def test_installed_program_prints_its_version(installed: Path) -> None:
    printed = subprocess.check_output(
        [installed / "bin" / "console-exporter", "--version"], text=True
    )
    assert printed == f"console-exporter {VERSION}\n"


@pytest.mark.usefixtures("demo_ports")
def test_demonstration_runs_from_the_wheel_in_an_empty_folder(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    configured = yaml.safe_load((ROOT / "config.yaml").read_text())
    expected = {server["name"] for one in configured["projects"] for server in one["servers"]}
    with program(
        [str(installed / "bin" / "console-exporter"), "demo"], "event=listening"
    ) as running:
        assert servers_of("console_server_info") >= expected
        # All servers are probed within 15 seconds; a quarter of them is enough here.
        until(lambda: len(servers_of("console_probe_outcome")) > len(expected) / 4, 20)
        assert httpx.get("http://127.0.0.1:10429/").status_code == 200
        assert f'version="{VERSION}"' in metrics_text()
        assert str(ROOT) not in running.output
        assert running.stop() == 0
        assert "Traceback" not in running.output
    assert list(tmp_path.iterdir()) == []


def servers_of(metric: str) -> set[str]:
    """Return the names of the servers for which a metric has series."""
    return set(re.findall(rf'^{metric}{{.*server="([^"]+)"', metrics_text(), re.MULTILINE))


def metrics_text() -> str:
    return httpx.get("http://127.0.0.1:10429/metrics").text
