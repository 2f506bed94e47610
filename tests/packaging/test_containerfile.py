"""The Containerfile has the documented properties, and its steps work in a scratch folder.

No image is built, because that needs a container engine. Not tested: the base image, users and
folders of the image's root, and layers.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.packaging.conftest import ROOT
from tests.packaging.containerfile import Stage, copy, instructions, stages
from tests.real.programs import program

PATH = ROOT / "Containerfile"
BUILD, RUN = stages(PATH)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NOBODY = 65534


def in_context(source: str) -> bool:
    """Return whether .dockerignore leaves a file or folder in the build context."""
    included = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if fnmatch.fnmatch(source, pattern):
                included = line.startswith("!")
    return included


def test_build_and_run_stage_have_the_same_slim_base() -> None:
    assert (BUILD.name, RUN.name) == ("build", "run")
    assert {BUILD.base, RUN.base} == {"${BASE}"}
    (first, *_others) = instructions(PATH)
    assert (first.keyword, first.arguments) == ("ARG", "BASE=python:3.11-slim-bookworm")


def test_copied_files_exist_and_are_in_the_build_context() -> None:
    copied = [source for text in BUILD.all("COPY") for source in copy(text).sources]
    for source in copied:
        assert (ROOT / source).exists(), source
        assert in_context(source), source
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    project = PROJECT["project"]
    for needed in (
        project["readme"], *project["license-files"], *wheel["packages"], *wheel["force-include"],
    ):  # fmt: skip
        assert any(Path(needed).is_relative_to(one) for one in copied), needed


@pytest.mark.parametrize("name", [".git", ".venv", "tests", "iam-password", "my.yaml"])
def test_other_files_are_not_in_the_build_context(name: str) -> None:
    assert not in_context(name)


def test_downloads_are_pinned_by_hash() -> None:
    for stage in (BUILD, RUN):
        assert not re.search(r"\b(curl|wget|apt-get|ADD)\b", " ".join(stage.all("RUN")))
        assert not stage.all("ADD")
        for command in stage.all("RUN"):
            if " install " in command and "pip" in command:
                assert "--require-hashes -r requirements" in command or "--no-index" in command


def test_image_runs_as_nobody_and_stops_on_sigterm() -> None:
    assert RUN.all("USER") == [f"{NOBODY}:{NOBODY}"]
    assert [one.keyword for one in RUN.instructions].index("USER") > max(
        index for index, one in enumerate(RUN.instructions) if one.keyword in ("RUN", "COPY")
    )
    assert RUN.all("STOPSIGNAL") == ["SIGTERM"]
    assert RUN.all("EXPOSE") == ["10429"]
    assert json.loads(RUN.all("ENTRYPOINT")[0]) == ["console-exporter"]
    assert json.loads(RUN.all("CMD")[0]) == [
        "serve", "--config.file=/etc/console-exporter/config.yaml",
    ]  # fmt: skip


def test_labels_equal_the_package_metadata() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', RUN.all("LABEL")[0]))
    project = PROJECT["project"]
    assert labels == {
        "title": project["name"],
        "description": project["description"],
        "version": project["version"],
        "licenses": project["license"],
    }


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """Return a folder in which the steps of the Containerfile were run as in the image's root."""
    # Not pytest's folder: only its owner may enter that.
    with tempfile.TemporaryDirectory(prefix="console-exporter-image-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)
        for name in ("src", "tmp", "opt", "var/lib"):
            (scratch / name).mkdir(parents=True)
        for stage in (BUILD, RUN):
            run_stage(stage, scratch)
        yield scratch


def run_stage(stage: Stage, scratch: Path) -> None:
    """Run the steps of a stage, with absolute paths below the scratch folder."""
    # Like in the base image, `python` must have pip; the system's python may not have it.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(scratch / "tmp")}
    # Settings of this machine for downloads.
    environ |= {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "HTTPS_"))}
    for one in stage.instructions:
        if one.keyword == "RUN":
            if "-o 65534" in one.arguments and os.geteuid() != 0:
                continue
            command = re.sub(r"(?<![\w*])/(?=(opt|tmp|var)/)", f"{scratch}/", one.arguments)
            subprocess.run(["sh", "-ec", command], cwd=scratch / "src", env=environ, check=True)
        elif one.keyword == "COPY" and not copy(one.arguments).from_stage:
            copied = copy(one.arguments)
            for source in copied.sources:
                target = scratch / "src" / copied.target
                if (ROOT / source).is_dir():
                    shutil.copytree(
                        ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__")
                    )
                else:
                    shutil.copy(ROOT / source, target)
        elif one.keyword == "ENV" and stage is BUILD:
            environ |= dict(word.split("=", 1) for word in one.arguments.split())


def test_run_stage_copies_only_the_compiled_venv(root: Path) -> None:
    copies = [copy(text) for text in RUN.all("COPY")]
    assert [(one.from_stage, one.sources) for one in copies] == [
        ("build", ("/opt/console-exporter",))
    ]
    assert all(one.target == one.sources[0] for one in copies), "a venv cannot be moved"
    venv = root / "opt" / "console-exporter"
    assert not list(venv.glob("lib/python*/site-packages/pip")), "pip is not needed at run time"
    assert not list(venv.glob("lib/python*/site-packages/hatchling"))
    assert list(venv.rglob("exporter/**/*.pyc")), (
        "the root is read-only, so modules must be compiled in advance"
    )


def test_default_command_serves_as_nobody_without_writing_files(root: Path) -> None:
    shutil.copy(ROOT / "config.yaml", root / "config.yaml")
    (root / "config.yaml").chmod(0o644)
    entry, (verb, config) = (json.loads(RUN.all(one)[0]) for one in ("ENTRYPOINT", "CMD"))
    config = config.replace("/etc/console-exporter", str(root))
    command = [str(root / "opt/console-exporter/bin" / entry[0]), verb, config]
    before = snapshot(root)
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    with program(
        [*(drop if os.geteuid() == 0 else []), *command, "--web.listen-address=127.0.0.1:0"],
        r"address=(127\.0\.0\.1:\d+)",
        {"HOME": "/nowhere", "PYTHONDONTWRITEBYTECODE": "1"},
    ) as running:
        assert httpx.get(f"http://{running.url}/-/ready").status_code == 200
        assert running.stop() == 0
    assert snapshot(root) == before


def snapshot(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.exists()}
