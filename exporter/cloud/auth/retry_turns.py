"""Choose the servers whose requests test a credential after the API has refused it."""


class RetryTurns:
    """Gives each server its turn, so that servers which answer 401 by themselves do not go first.

    Probes are due in the same order in every interval. Without turns the same few servers would
    test each new credential, and the others would never show that it is good.
    """

    def __init__(self) -> None:
        self._refused_by: set[str] = set()
        self._passed_over: set[str] = set()

    def is_due(self, server_id: str) -> bool:
        """Return whether a server may test now: those that have not refused go first.

        A server that asks twice without any test in between may test again: all others refused too.
        """
        if server_id not in self._refused_by:
            return True
        if server_id in self._passed_over:
            self.clear()
            return True
        self._passed_over.add(server_id)
        return False

    def refused(self, server_id: str) -> None:
        """Record that a server refused."""
        self._refused_by.add(server_id)
        self._passed_over.clear()

    def clear(self) -> None:
        """Forget all refusals."""
        self._refused_by.clear()
        self._passed_over.clear()
