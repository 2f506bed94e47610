"""Render the Kubernetes manifests with kustomize."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.packaging.conftest import ROOT
from tests.real.programs import required

FOLDER = ROOT / "deploy" / "kubernetes"
# `make test` builds it if there is no kubectl.
_BUILT = ROOT / ".kustomize" / "kustomize"


@cache
def text_of(folder: Path) -> str:
    """Return the rendered manifests of a folder as YAML."""
    if not shutil.which("kubectl") and _BUILT.exists():
        command = [str(_BUILT), "build"]
    else:
        command = [required("kubectl"), "kustomize"]
    return subprocess.check_output([*command, str(folder)], text=True)


class Manifests:
    """The objects rendered from a folder."""

    def __init__(self, folder: Path) -> None:
        self.objects: list[dict[str, Any]] = list(yaml.safe_load_all(text_of(folder)))

    def one(self, kind: str) -> dict[str, Any]:
        """Return the only object of a kind."""
        (found,) = [one for one in self.objects if one["kind"] == kind]
        return found

    @property
    def container(self) -> dict[str, Any]:
        """Return the only container of the StatefulSet's pods."""
        (found,) = self.pod["containers"]
        container: dict[str, Any] = found
        return container

    @property
    def pod(self) -> dict[str, Any]:
        """Return the pod template's spec."""
        pod: dict[str, Any] = self.one("StatefulSet")["spec"]["template"]["spec"]
        return pod

    def flag(self, name: str) -> str:
        """Return the value of a flag of the container's command."""
        (found,) = [word for word in self.container["args"] if word.startswith(f"{name}=")]
        value: str = found.partition("=")[2]
        return value
