"""Cache credentials across a restart, bound to the account that they belong to.

The cache holds the credentials in plain text, so only its owner may be able to read it. The seal is
a slow, salted digest of the account and its secret. It detects credentials of another account or
from before a password change, and does not help to guess the password.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from math import isfinite

# scrypt with 16 MiB and about 50 ms per guess.
_COST, _BLOCK, _LANES = 1 << 14, 8, 1
_SALT_BYTES = 16
# Tolerance for a clock that was set back between two starts.
_FUTURE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CachedCredentials:
    """Credentials with their lifetime and the seal of their owner.

    ``expires_at`` is Unix time by the cloud's clock, ``obtained_at`` by the local clock.
    ``lifetime`` is the seconds from ``obtained_at`` until the credentials expire.
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
        """Seal credentials for ``owner``, the account and its secret. Slow: run in a thread."""
        salt = secrets.token_hex(_SALT_BYTES)
        return cls(value, expires_at, obtained_at, lifetime, salt, _seal(owner, salt))

    def is_of(self, owner: bytes) -> bool:
        """Return whether the seal is of this account and secret. Slow: run in a thread."""
        return hmac.compare_digest(self.seal.encode(), _seal(owner, self.salt).encode())

    def seconds_left(self, now: float) -> float:
        """Return the remaining lifetime in seconds; 0 also if obtained in the future."""
        if self.obtained_at > now + _FUTURE_SECONDS:
            return 0.0
        return min(self.lifetime, max(0.0, self.obtained_at + self.lifetime - now))

    def to_json(self) -> str:
        """Return the credentials as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "CachedCredentials | None":
        """Parse the output of `to_json`; return None if ``text`` is invalid."""
        try:
            values = json.loads(text)
            cached = cls(**{field.name: values[field.name] for field in fields(cls)})
            times = (cached.expires_at, cached.obtained_at, cached.lifetime)
            texts = (cached.value, cached.salt, cached.seal)
            is_valid = all(isinstance(text, str) for text in texts) and all(map(isfinite, times))
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return cached if is_valid else None


def _seal(owner: bytes, salt: str) -> str:
    return hashlib.scrypt(owner, salt=salt.encode(), n=_COST, r=_BLOCK, p=_LANES).hex()
