"""Store access keys: permanent ones of projects, temporary ones of the agency."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace

from exporter.simulator.scenario import KeyPair, Project

_TEMPORARY_MAX = 1_000
_TOKEN_BYTES = 300


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key pair, the projects it gives access to, and when it expires.

    ``expires_at`` is in seconds since the simulator's start; None means never.
    """

    pair: KeyPair
    projects: frozenset[str]
    expires_at: float | None = None


class AccessKeys:
    """All access keys by access key ID."""

    def __init__(self, projects: Iterable[Project]) -> None:
        projects = tuple(projects)
        self._all_projects = frozenset(project.name for project in projects)
        self._permanent = {
            pair.access_key: KnownKey(pair, frozenset({project.name}))
            for project in projects
            for pair in project.access_keys
        }
        self._temporary: dict[str, KnownKey] = {}

    def find(self, access_key: str) -> KnownKey | None:
        """Return a key, expired or not; None if it is unknown."""
        return self._permanent.get(access_key) or self._temporary.get(access_key)

    def make_temporary(self, now: float, lifetime: float) -> KnownKey:
        """Create a key with a security token, valid for all projects for ``lifetime`` seconds."""
        if len(self._temporary) >= _TEMPORARY_MAX:
            del self._temporary[next(iter(self._temporary))]
        pair = KeyPair(
            access_key=f"HST{secrets.token_hex(10).upper()[:17]}",
            secret_key=secrets.token_urlsafe(30),
            security_token=secrets.token_urlsafe(_TOKEN_BYTES),
        )
        key = KnownKey(pair, self._all_projects, now + lifetime)
        self._temporary[pair.access_key] = key
        return key

    def expire_temporary(self, now: float) -> None:
        """Expire all temporary keys immediately."""
        self._temporary = {
            name: replace(key, expires_at=now) for name, key in self._temporary.items()
        }
