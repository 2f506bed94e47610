"""The tokens in the addresses of consoles."""

from collections import OrderedDict
from uuid import uuid4

# So many per project: 50,000 servers asked once a minute have each theirs for two minutes.
_KEPT = 100_000


class ConsoleTokens:
    """Mints the tokens of one project, and knows them again until they end.

    Beyond 100,000 the oldest end early. Times are seconds since the simulator's start.
    """

    def __init__(self, lifetime: float) -> None:
        """Begin with none; each will last ``lifetime`` seconds."""
        self._lifetime = lifetime
        # All last equally long, so the first ends first.
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tokens)

    def mint(self, server_id: str, now: float) -> str:
        """Make a token that opens the console of a server."""
        while self._tokens:
            first = next(iter(self._tokens))
            if now < self._tokens[first][1] and len(self._tokens) < _KEPT:
                break
            del self._tokens[first]
        token = str(uuid4())
        self._tokens[token] = (server_id, now + self._lifetime)
        return token

    def find(self, token: str, now: float) -> str | None:
        """Return the id of the server that a token opens; None when it opens none, or no more."""
        server_id, expires_at = self._tokens.get(token, ("", 0.0))
        return server_id if now < expires_at else None

    def spend(self, token: str) -> bool:
        """End a token; False when somebody else did."""
        return self._tokens.pop(token, None) is not None
