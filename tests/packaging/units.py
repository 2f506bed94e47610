"""Parse the shipped systemd units."""

import re
import shlex
import subprocess
from collections import defaultdict
from pathlib import Path

from tests.packaging.conftest import ROOT
from tests.real.programs import required

FOLDER = ROOT / "deploy" / "systemd"
SERVICE = FOLDER / "console-exporter.service"
SOCKET = FOLDER / "console-exporter.socket"


def settings(unit: Path) -> dict[str, list[str]]:
    """Return all values of each setting, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", unit.read_text())
    found = defaultdict(list)
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        found[name].append(value)
    return dict(found)


def service_command() -> list[str]:
    """Return the arguments of ExecStart, without variables."""
    (command,) = settings(SERVICE)["ExecStart"]
    return [word for word in shlex.split(command) if not word.startswith("$")]


def allowed_calls() -> frozenset[str]:
    """Return the system calls that SystemCallFilter allows, expanded by systemd."""
    groups = _groups()
    allowed: set[str] = set()
    for line in settings(SERVICE)["SystemCallFilter"]:
        calls = {call for word in line.lstrip("~").split() for call in _expand(word, groups)}
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return frozenset(allowed)


def _groups() -> dict[str, list[str]]:
    text = subprocess.check_output(
        [required("systemd-analyze"), "--no-pager", "syscall-filter"], text=True
    )
    groups: dict[str, list[str]] = {}
    words: list[str] = []
    for line in text.splitlines():
        if line.startswith("@"):
            words = groups.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            words.append(line.strip())
        elif line.startswith("#"):
            # The calls after a comment are in no group.
            words = []
    return groups


def _expand(word: str, groups: dict[str, list[str]]) -> set[str]:
    if not word.startswith("@"):
        return {word}
    return {call for one in groups[word] for call in _expand(one, groups)}
