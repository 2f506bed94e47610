"""Store the tokens of console addresses."""

from collections import OrderedDict
from uuid import uuid4

# Per project: enough for 50,000 servers that get a new token each minute, valid for two minutes.
_TOKENS_MAX = 100_000


class ConsoleTokens:
    """The console tokens of one project, each valid for ``lifetime`` seconds.

    Beyond 100,000 the oldest expire early. Times are seconds since the simulator's start.
    """

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        # All have the same lifetime, so they expire in order of insertion.
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tokens)

    def issue(self, server_id: str, now: float) -> str:
        """Issue a token for the console of a server."""
        while self._tokens:
            first = next(iter(self._tokens))
            if now < self._tokens[first][1] and len(self._tokens) < _TOKENS_MAX:
                break
            del self._tokens[first]
        token = str(uuid4())
        self._tokens[token] = (server_id, now + self._lifetime)
        return token

    def find(self, token: str, now: float) -> str | None:
        """Return the server ID of a token; None if it is unknown or expired."""
        server_id, expires_at = self._tokens.get(token, ("", 0.0))
        return server_id if now < expires_at else None

    def spend(self, token: str) -> bool:
        """Invalidate a token; return False if it is already invalid."""
        return self._tokens.pop(token, None) is not None
