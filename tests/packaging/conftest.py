"""Build the sdist and the wheel once for all tests."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]

BUILD_FLAGS = ("--build-constraints", "requirements-build.txt", "--require-hashes")


@dataclass(frozen=True, slots=True)
class Distributions:
    """An sdist and the wheel built from it."""

    sdist: Path
    wheel: Path


def build(folder: Path) -> Distributions:
    """Build both as `make dist` does."""
    subprocess.run(
        [find_uv_bin(), "build", "--quiet", *BUILD_FLAGS, "--out-dir", str(folder)],
        cwd=ROOT,
        check=True,
    )
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return Distributions(sdist, wheel)


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Return the built sdist and wheel."""
    return build(tmp_path_factory.mktemp("dist"))
