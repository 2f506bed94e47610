"""User names and passwords as they come with requests, and whether they are right."""

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

# bcrypt looks at no more, whatever makes the hash; the library wants it cut by its user.
_BCRYPT_BYTES = 72
_HEADER_MAX = 4096
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client says that it is."""

    user: str
    password: bytes = field(repr=False)


def read_basic(header: bytes) -> Credentials | None:
    """Read an Authorization header of RFC 7617; None when it is none."""
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
    """Says whether credentials are right, and remembers those that were.

    What is remembered is a keyed hash over user, stored hash and password: it is worth nothing
    without the key, which never leaves the process, and matches nothing once the user is removed
    or has a new password.
    """

    def __init__(self, checks: PasswordChecks) -> None:
        """Remember nothing yet."""
        self._checks = checks
        self._secret = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._view: dict[bytes, asyncio.Future[bool]] = {}

    async def right(self, given: Credentials, users: Mapping[str, str], client: str) -> bool:
        """Return whether ``given`` is one of ``users``, of whom there must be one at least.

        Raises `TooManyChecksError`.
        """
        stored = users.get(given.user)
        # An unknown user costs what a known one costs: the check of somebody's hash, the same
        # somebody each time.
        hashed = stored or self._somebody(given.user, users)
        mark = self._mark(given, hashed)
        if stored is not None and mark in self._right:
            self._right.move_to_end(mark)
            return True
        view = self._view.get(mark)
        if view is None:
            view = asyncio.ensure_future(
                self._checks.run(client, given.user, lambda: _matches(given.password, hashed))
            )
            self._view[mark] = view
            view.add_done_callback(lambda _: self._view.pop(mark))
        matches = await asyncio.shield(view)
        if matches and stored is not None:
            self._remember(mark)
        return matches and stored is not None

    def _remember(self, mark: bytes) -> None:
        self._right[mark] = None
        if len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)

    def _mark(self, given: Credentials, hashed: str) -> bytes:
        parts = (given.user.encode(errors="surrogateescape"), hashed.encode(), given.password)
        # With their lengths, so that nothing moves from one part to the next.
        framed = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._secret, framed, hashlib.sha256)

    def _somebody(self, user: str, users: Mapping[str, str]) -> str:
        digest = hmac.digest(self._secret, user.encode(errors="surrogateescape"), hashlib.sha256)
        hashes = list(users.values())
        return hashes[int.from_bytes(digest[:8]) % len(hashes)]


def _matches(password: bytes, hashed: str) -> bool:
    """Compare in constant time, some tens of milliseconds without the interpreter's lock."""
    return bcrypt.checkpw(password, hashed.encode())
