"""Lock accounts and access keys after too many failures in a row."""

from collections.abc import Hashable

# Bounds memory when a client makes up names; more than any test uses.
_NAMES_MAX = 10_000


class Failures:
    """Failures in a row by name.

    A name is locked for ``seconds`` at its ``limit``-th failure in a row; limit 0 never locks.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._counts: dict[Hashable, int] = {}
        self._locked_until: dict[Hashable, float] = {}

    def locked(self, name: Hashable, now: float) -> bool:
        """Return whether a name is locked."""
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
        """Reset the count of failures."""
        self._counts.pop(name, None)
