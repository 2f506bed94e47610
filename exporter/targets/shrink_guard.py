"""Require confirmation of a server list that lost over half of its servers."""


class ShrinkGuard:
    """Accepts a list that lost more than half of its servers only if a second list confirms it.

    A failing cloud may return a partial or empty list, and servers missing from it would no longer
    be probed.
    """

    def __init__(self) -> None:
        self._unconfirmed: int | None = None

    def confirms(self, known: int, found: int) -> bool:
        """Return whether a list of ``found`` servers may replace one of ``known``."""
        if 2 * found >= known:
            self._unconfirmed = None
            return True
        # A second list that is much shorter than the first does not confirm it.
        if self._unconfirmed is not None and 2 * found >= self._unconfirmed:
            self._unconfirmed = None
            return True
        self._unconfirmed = found
        return False
