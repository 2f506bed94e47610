"""Parse HTTP Basic credentials and verify them against bcrypt hashes."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import bcrypt

from exporter.web.access.password_checks import PasswordChecks

# bcrypt uses no more of a password; the library leaves it to the caller to cut it.
_BCRYPT_BYTES = 72
_HEADER_MAX = 4096
_CACHE_MAX = 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password sent by a client."""

    user: str
    password: bytes = field(repr=False)


def read_basic(header: bytes) -> Credentials | None:
    """Parse a Basic Authorization header (RFC 7617); return None if it is invalid."""
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic" or len(header) > _HEADER_MAX:
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        return None
    user, colon, password = decoded.partition(b":")
    if not colon:
        return None
    return Credentials(user.decode(errors="surrogateescape"), password[:_BCRYPT_BYTES])


class Verifier:
    """Verify credentials, and cache those that were valid.

    The cache holds a keyed hash of user, stored hash and password. It is useless without the key,
    which never leaves the process, and no longer matches when the user is removed or has a new
    password.
    """

    def __init__(self, checks: PasswordChecks) -> None:
        self._checks = checks
        self._secret = secrets.token_bytes(32)
        self._valid: OrderedDict[bytes, None] = OrderedDict()
        self._pending: dict[bytes, asyncio.Future[bool]] = {}

    async def verify(self, credentials: Credentials, users: Mapping[str, str], client: str) -> bool:
        """Return whether ``credentials`` are those of one of ``users``, which must not be empty.

        Raises `TooManyChecksError`.
        """
        stored = users.get(credentials.user)
        # An unknown user costs the same time as a known one: the check of another user's hash,
        # always the same one for the same name.
        hashed = stored or self._decoy_hash(credentials.user, users)
        key = self._cache_key(credentials, hashed)
        if stored is not None and key in self._valid:
            self._valid.move_to_end(key)
            return True
        check = self._pending.get(key)
        if check is None:
            name, password = credentials.user, credentials.password
            check = asyncio.ensure_future(
                self._checks.run(client, name, lambda: _matches(password, hashed))
            )
            self._pending[key] = check
            check.add_done_callback(lambda _: self._pending.pop(key))
        matches = await asyncio.shield(check)
        if matches and stored is not None:
            self._cache(key)
        return matches and stored is not None

    def _cache(self, key: bytes) -> None:
        self._valid[key] = None
        if len(self._valid) > _CACHE_MAX:
            self._valid.popitem(last=False)

    def _cache_key(self, credentials: Credentials, hashed: str) -> bytes:
        user = credentials.user.encode(errors="surrogateescape")
        parts = (user, hashed.encode(), credentials.password)
        # Length prefixes: different parts must not give the same bytes when joined.
        framed = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._secret, framed, hashlib.sha256)

    def _decoy_hash(self, user: str, users: Mapping[str, str]) -> str:
        digest = hmac.digest(self._secret, user.encode(errors="surrogateescape"), hashlib.sha256)
        hashes = list(users.values())
        return hashes[int.from_bytes(digest[:8]) % len(hashes)]


def _matches(password: bytes, hashed: str) -> bool:
    """Compare in constant time; takes tens of milliseconds and releases the GIL."""
    return bcrypt.checkpw(password, hashed.encode())
