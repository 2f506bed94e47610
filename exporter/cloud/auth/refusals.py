"""Decide from the answers of the API whether a credential or only one server is at fault for a 401.

A 401 does not say whose fault it is. A credential that the API accepts for other requests is good,
and a new one would be answered in the same way.
"""

from exporter.clock import Clock

_PROVEN_LIMIT = 2
# Credentials may really be revoked some times in short order.
_FREE_VERDICTS = 3
_CALM = 200
_WITNESSES_MAX = 100_000


class Refusals:
    """The refusals of one credential since the API last accepted it.

    A credential is at fault at its ``unproven_limit``-th refusal in a row if the API has not
    accepted it since it was issued, and at its ``proven_limit``-th otherwise, half as many if all
    accepted requests were for the server that now refuses. Only refusals by servers that accepted
    the last good credential count, and repeated ones. Refusals of requests that were sent before
    another one was accepted do not count.

    After three verdicts on accepted credentials, each one doubles the limit for the next, until
    the API has accepted 200 requests in a row. So an API that answers 401 at random causes at most
    ``2 + log2(refusals)`` verdicts.
    """

    def __init__(
        self, clock: Clock, *, unproven_limit: int = 1, proven_limit: int = _PROVEN_LIMIT
    ) -> None:
        self._clock = clock
        self._unproven_limit = unproven_limit
        self._proven_limit = proven_limit
        self._verdicts = 0
        self._calm = 0
        self._count = 0
        self._accepted_at: float | None = None
        # The only server that has accepted the credential; None if there are several.
        self._only: str | None = ""
        # Servers that refused the credential since it was last accepted.
        self._refused_by: set[str] = set()
        # Servers that accepted the last credential that any server accepted.
        self._witnesses: set[str] = set()

    @property
    def count(self) -> int:
        """Return the number of refusals in a row that count."""
        return self._count

    @property
    def is_proven(self) -> bool:
        """Return whether the API has accepted the credential since it was issued."""
        return self._accepted_at is not None

    def issued(self) -> None:
        """Record that another credential is in use."""
        self._accepted_at = None
        self._only = ""
        self._count = 0
        self._refused_by.clear()

    def accepted(self, server_id: str) -> None:
        """Record that the API accepted the credential in a request for a server."""
        self._accepted_at = self._clock.monotonic()
        self._count = 0
        if self._refused_by:
            self._witnesses -= self._refused_by
            self._refused_by.clear()
        if len(self._witnesses) >= _WITNESSES_MAX:
            self._witnesses.clear()
        self._witnesses.add(server_id)
        if server_id:
            self._only = server_id if self._only in {"", server_id} else None
        self._calm += 1
        if self._calm >= _CALM:
            self._verdicts = 0

    def refused(self, server_id: str, seconds: float) -> bool:
        """Record a 401 to a request sent ``seconds`` ago.

        Return whether the credential is at fault.
        """
        if self._accepted_at is not None and self._accepted_at > self._clock.monotonic() - seconds:
            self._witnesses.discard(server_id)
            return False
        # Repeated refusals count: without witnesses left, a dead credential would go unnoticed.
        counts = (
            not self._witnesses or server_id in self._witnesses or server_id in self._refused_by
        )
        self._refused_by.add(server_id)
        if not counts:
            return False
        self._calm = 0
        self._count += 1
        if not self.is_proven:
            return self._count >= self._unproven_limit
        limit = self._proven_limit << max(0, self._verdicts - _FREE_VERDICTS + 1)
        if self._only == server_id:
            limit = (limit + 1) // 2
        if self._count < limit:
            return False
        self._verdicts += 1
        self._count = 0
        return True
