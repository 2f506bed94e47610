"""The tokens that IAM has given out."""

import secrets
from dataclasses import dataclass

# Tokens kept beyond their end, so that "expired" can be told from "unknown".
_KEPT = 10_000
# How the tokens of the real IAM, signed documents in Base64, begin.
_PREFIX = "MIIT"


@dataclass(frozen=True, slots=True)
class Token:
    """What a token stands for; times are seconds since the simulator's start."""

    project: str
    issued_at: float
    expires_at: float


class Tokens:
    """Gives out tokens that nobody can guess, and knows them again."""

    def __init__(self) -> None:
        """Begin with none."""
        self._tokens: dict[str, Token] = {}

    def issue(self, project: str, *, now: float, lifetime: float, length: int) -> str:
        """Make a token of ``length`` characters for a project."""
        if len(self._tokens) >= _KEPT:
            self._tokens = {
                text: token for text, token in self._tokens.items() if now < token.expires_at
            }
        text = (_PREFIX + secrets.token_urlsafe(length))[:length]
        self._tokens[text] = Token(project, now, now + lifetime)
        return text

    def find(self, text: str) -> Token | None:
        """Return what a token stands for, be it expired or not; None when it is unknown."""
        return self._tokens.get(text)

    def revoke(self, project: str) -> None:
        """End all tokens of a project."""
        self._tokens = {
            text: token for text, token in self._tokens.items() if token.project != project
        }
