"""When a list that lost most of its servers is believed."""


class ShrinkGuard:
    """Believes a list that lost more than half of its servers only when a second one confirms it.

    Half a list, or none, is what a cloud answers that is in trouble; and a server that is not on
    the list is not watched.
    """

    def __init__(self) -> None:
        """Doubt nothing yet."""
        self._doubted: int | None = None

    def confirms(self, known: int, found: int) -> bool:
        """Tell whether a list of ``found`` servers may replace one of ``known``."""
        if 2 * found >= known:
            self._doubted = None
            return True
        # A second list that is again much shorter than the first confirms nothing.
        if self._doubted is not None and 2 * found >= self._doubted:
            self._doubted = None
            return True
        self._doubted = found
        return False
