"""Credentials as they are kept across a restart, sealed to the account that they were had for.

Whoever reads a keepsake has the credentials in it, so it belongs where only its owner can read. The
seal is a slow digest of the account and its secret, with a salt of its own: a keepsake of another
account, or from before the password was changed, is found out, and it is no quick way to guess the
password.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from math import isfinite

# 16 MiB and some 50 ms a guess.
_COST, _BLOCK, _LANES = 1 << 14, 8, 1
_SALT_BYTES = 16
# A clock may have been put right by a little between two starts.
_FUTURE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CachedCredentials:
    """Credentials, how long they last, and whose they are.

    ``expires_at`` is Unix time by the cloud's clock, ``obtained_at`` by ours; ``lifetime`` is the
    seconds that they were good for when they were obtained.
    """

    value: str = field(repr=False)
    expires_at: float
    obtained_at: float
    lifetime: float
    salt: str
    seal: str = field(repr=False)

    @classmethod
    def of(
        cls,
        value: str,
        owner: bytes,
        *,
        expires_at: float,
        obtained_at: float,
        lifetime: float,
    ) -> "CachedCredentials":
        """Seal credentials to ``owner``, the account and its secret. Slow: for a thread."""
        salt = secrets.token_hex(_SALT_BYTES)
        return cls(value, expires_at, obtained_at, lifetime, salt, _seal(owner, salt))

    def is_of(self, owner: bytes) -> bool:
        """Return whether they were had for this account with this secret. Slow: for a thread."""
        return hmac.compare_digest(self.seal.encode(), _seal(owner, self.salt).encode())

    def seconds_left(self, now: float) -> float:
        """Return the seconds that they are still good for; 0 also when they are from the future."""
        if self.obtained_at > now + _FUTURE_SECONDS:
            return 0.0
        return min(self.lifetime, max(0.0, self.obtained_at + self.lifetime - now))

    def to_json(self) -> str:
        """Return it as a line of text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "CachedCredentials | None":
        """Return what `to_json` gave; None where it is none."""
        try:
            told = json.loads(text)
            cached = cls(**{one.name: told[one.name] for one in fields(cls)})
            times = (cached.expires_at, cached.obtained_at, cached.lifetime)
            texts = (cached.value, cached.salt, cached.seal)
            is_sound = all(isinstance(text, str) for text in texts) and all(map(isfinite, times))
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return cached if is_sound else None


def _seal(owner: bytes, salt: str) -> str:
    return hashlib.scrypt(owner, salt=salt.encode(), n=_COST, r=_BLOCK, p=_LANES).hex()
