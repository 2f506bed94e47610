"""The access keys that the cloud knows: lasting ones of projects, temporary ones of the agency."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace

from exporter.simulator.scenario import Project
from exporter.simulator.signature import KeyPair

_TEMPORARY_KEPT = 1_000
_TOKEN_BYTES = 300


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key pair, the projects it opens, and its end in seconds since the simulator's start."""

    pair: KeyPair
    projects: frozenset[str]
    expires_at: float | None = None


class AccessKeys:
    """All keys, by their public half."""

    def __init__(self, projects: Iterable[Project]) -> None:
        """Begin with the keys of the scenario."""
        projects = tuple(projects)
        self._all_projects = frozenset(project.name for project in projects)
        self._lasting = {
            pair.access_key: KnownKey(pair, frozenset({project.name}))
            for project in projects
            for pair in project.access_keys
        }
        self._temporary: dict[str, KnownKey] = {}

    def find(self, access_key: str) -> KnownKey | None:
        """Return a key, be it expired or not; None when it is unknown."""
        return self._lasting.get(access_key) or self._temporary.get(access_key)

    def make_temporary(self, now: float, lifetime: float) -> KnownKey:
        """Make a key for every project, with a security token, that ends after ``lifetime``."""
        if len(self._temporary) >= _TEMPORARY_KEPT:
            del self._temporary[next(iter(self._temporary))]
        pair = KeyPair(
            access_key=f"HST{secrets.token_hex(10).upper()[:17]}",
            secret_key=secrets.token_urlsafe(30),
            security_token=secrets.token_urlsafe(_TOKEN_BYTES),
        )
        key = KnownKey(pair, self._all_projects, now + lifetime)
        self._temporary[pair.access_key] = key
        return key

    def end_temporary(self, now: float) -> None:
        """Let every temporary key expire at once."""
        self._temporary = {
            name: replace(key, expires_at=now) for name, key in self._temporary.items()
        }
