"""Store the tokens issued by IAM."""

import secrets
from dataclasses import dataclass

# Expired tokens are kept up to this number, to distinguish "expired" from "unknown".
_TOKENS_MAX = 10_000
# The prefix of the real IAM's tokens, which are signed documents in Base64.
_PREFIX = "MIIT"


@dataclass(frozen=True, slots=True)
class Token:
    """The project and validity of a token; times are seconds since the simulator's start."""

    project: str
    issued_at: float
    expires_at: float


class Tokens:
    """Issue and look up random tokens."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def issue(self, project: str, *, now: float, lifetime: float, length: int) -> str:
        """Issue a token of ``length`` characters for a project."""
        if len(self._tokens) >= _TOKENS_MAX:
            self._tokens = {
                text: token for text, token in self._tokens.items() if now < token.expires_at
            }
        text = (_PREFIX + secrets.token_urlsafe(length))[:length]
        self._tokens[text] = Token(project, now, now + lifetime)
        return text

    def find(self, text: str) -> Token | None:
        """Return a token, expired or not; None if it is unknown."""
        return self._tokens.get(text)

    def revoke(self, project: str) -> None:
        """Revoke all tokens of a project."""
        self._tokens = {
            text: token for text, token in self._tokens.items() if token.project != project
        }
