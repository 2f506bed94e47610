"""Locks who failed too often in a row, accounts and access keys alike."""

from collections.abc import Hashable

# More names than any test has; a client that makes up names cannot fill the memory.
_NAMES_MAX = 10_000


class Failures:
    """Failures in a row, by name."""

    def __init__(self, limit: int, seconds: float) -> None:
        """Lock a name for ``seconds`` at its ``limit``-th failure in a row; 0 never locks."""
        self._limit = limit
        self._seconds = seconds
        self._counts: dict[Hashable, int] = {}
        self._locked_until: dict[Hashable, float] = {}

    def locked(self, name: Hashable, now: float) -> bool:
        """Tell whether a name is locked."""
        until = self._locked_until.get(name)
        if until is not None and now >= until:
            del self._locked_until[name]
            return False
        return until is not None

    def failed(self, name: Hashable, now: float) -> None:
        """Count a failure."""
        if not self._limit or (name not in self._counts and len(self._counts) >= _NAMES_MAX):
            return
        count = self._counts.get(name, 0) + 1
        self._counts[name] = count % self._limit
        if count == self._limit:
            self._locked_until[name] = now + self._seconds

    def succeeded(self, name: Hashable) -> None:
        """Forget the failures before a success."""
        self._counts.pop(name, None)
