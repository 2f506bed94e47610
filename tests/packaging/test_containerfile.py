"""The image's recipe: what it promises, and its very steps, run in a scratch folder.

No image is built: that needs an engine. What is not shown here: the base image, the users and
folders of an image's own root, and the layers.
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
    """Return whether .dockerignore lets a file or folder of ours into the build."""
    seen = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if fnmatch.fnmatch(source, pattern):
                seen = line.startswith("!")
    return seen


def test_it_builds_in_one_stage_and_runs_in_another_on_the_same_slim_base() -> None:
    assert (BUILD.name, RUN.name) == ("build", "run")
    assert {BUILD.base, RUN.base} == {"${BASE}"}
    (first, *_others) = instructions(PATH)
    assert (first.word, first.text) == ("ARG", "BASE=python:3.11-slim-bookworm")


def test_all_that_it_copies_is_there_and_not_ignored() -> None:
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


@pytest.mark.parametrize("secret", [".git", ".venv", "tests", "iam-password", "my.yaml"])
def test_what_it_does_not_need_never_reaches_the_builder(secret: str) -> None:
    assert not in_context(secret)


def test_everything_that_is_downloaded_is_pinned_by_hash() -> None:
    for stage in (BUILD, RUN):
        assert not re.search(r"\b(curl|wget|apt-get|ADD)\b", " ".join(stage.all("RUN")))
        assert not stage.all("ADD")
        for command in stage.all("RUN"):
            if " install " in command and "pip" in command:
                assert "--require-hashes -r requirements" in command or "--no-index" in command


def test_the_image_runs_as_nobody_in_particular_and_stops_on_sigterm() -> None:
    assert RUN.all("USER") == [f"{NOBODY}:{NOBODY}"]
    assert [one.word for one in RUN.instructions].index("USER") > max(
        index for index, one in enumerate(RUN.instructions) if one.word in ("RUN", "COPY")
    )
    assert RUN.all("STOPSIGNAL") == ["SIGTERM"]
    assert RUN.all("EXPOSE") == ["10429"]
    assert json.loads(RUN.all("ENTRYPOINT")[0]) == ["console-exporter"]
    assert json.loads(RUN.all("CMD")[0]) == [
        "serve", "--config.file=/etc/console-exporter/config.yaml",
    ]  # fmt: skip


def test_its_labels_are_those_of_the_package() -> None:
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
    """Return a folder that the recipe's steps have been run in, as if it were the image's root."""
    # Not pytest's own folder: nobody but its owner may enter that.
    with tempfile.TemporaryDirectory(prefix="console-exporter-image-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)
        for name in ("src", "tmp", "opt", "var/lib"):
            (scratch / name).mkdir(parents=True)
        for stage in (BUILD, RUN):
            follow(stage, scratch)
        yield scratch


def follow(stage: Stage, scratch: Path) -> None:
    """Do what a stage says; all absolute paths are those of the scratch folder."""
    # The `python` of the base image brings pip, as ours does and the system's may not.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(scratch / "tmp")}
    # Where downloads come from is this machine's business and not the recipe's.
    environ |= {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "HTTPS_"))}
    for one in stage.instructions:
        if one.word == "RUN":
            if "-o 65534" in one.text and os.geteuid() != 0:
                continue
            command = re.sub(r"(?<![\w*])/(?=(opt|tmp|var)/)", f"{scratch}/", one.text)
            subprocess.run(["sh", "-ec", command], cwd=scratch / "src", env=environ, check=True)
        elif one.word == "COPY" and not copy(one.text).origin:
            wanted = copy(one.text)
            for source in wanted.sources:
                target = scratch / "src" / wanted.target
                if (ROOT / source).is_dir():
                    shutil.copytree(
                        ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__")
                    )
                else:
                    shutil.copy(ROOT / source, target)
        elif one.word == "ENV" and stage is BUILD:
            environ |= dict(word.split("=", 1) for word in one.text.split())


def test_what_the_steps_leave_behind_is_all_that_the_second_stage_takes(root: Path) -> None:
    taken = [copy(text) for text in RUN.all("COPY")]
    assert [(one.origin, one.sources) for one in taken] == [("build", ("/opt/console-exporter",))]
    assert all(one.target == one.sources[0] for one in taken), "a venv cannot be moved"
    venv = root / "opt" / "console-exporter"
    assert not list(venv.glob("lib/python*/site-packages/pip")), "nothing installs at run time"
    assert not list(venv.glob("lib/python*/site-packages/hatchling"))
    assert list(venv.rglob("exporter/**/*.pyc")), "compiled beforehand, for none can be written"


def test_its_default_command_serves_as_nobody_without_writing_anything(root: Path) -> None:
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
