"""Parsing, verification and caching of credentials."""

import asyncio
import base64
import threading
from collections.abc import Callable

import bcrypt
import pytest

from exporter.web.access import credentials
from exporter.web.access.credentials import Credentials, Verifier, read_basic
from exporter.web.access.password_checks import PasswordChecks, TooManyChecksError


def hashed(password: bytes) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()


class CountingChecks(PasswordChecks):
    """Count checks; reject them while ``full`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[tuple[str, str]] = []
        self.full = False

    async def run(self, client: str, name: str, check: Callable[[], bool]) -> bool:
        self.runs.append((client, name))
        if self.full:
            raise TooManyChecksError
        return await super().run(client, name, check)


@pytest.fixture
def checks() -> CountingChecks:
    return CountingChecks()


@pytest.fixture
def verifier(checks: CountingChecks) -> Verifier:
    return Verifier(checks)


USERS = {"prometheus": hashed(b"secret"), "ops": hashed(b"other")}
VALID = Credentials("prometheus", b"secret")


async def test_valid_credentials_are_checked_once_and_then_cached(
    verifier: Verifier, checks: CountingChecks
) -> None:
    for _ in range(3):
        assert await verifier.verify(VALID, USERS, "client")
    assert len(checks.runs) == 1


async def test_cached_credentials_are_accepted_while_the_queue_is_full(
    verifier: Verifier, checks: CountingChecks
) -> None:
    assert await verifier.verify(VALID, USERS, "client")
    checks.full = True
    assert await verifier.verify(VALID, USERS, "client")
    with pytest.raises(TooManyChecksError):
        await verifier.verify(Credentials("prometheus", b"guess"), USERS, "client")


async def test_wrong_credentials_are_never_cached(
    verifier: Verifier, checks: CountingChecks
) -> None:
    assert await verifier.verify(VALID, USERS, "client")
    for user, password in (
        ("prometheus", b"wrong"),
        ("prometheu", b"ssecret"),
        ("ops", b"secret"),
        ("nobody", b"secret"),
        ("", b""),
    ):
        for _ in range(2):
            assert not await verifier.verify(Credentials(user, password), USERS, "client")
    assert len(checks.runs) == 11


async def test_removed_user_and_changed_password_take_effect_at_once(
    verifier: Verifier,
) -> None:
    assert await verifier.verify(VALID, USERS, "client")
    assert not await verifier.verify(VALID, {"ops": USERS["ops"]}, "client")
    assert not await verifier.verify(VALID, {"prometheus": hashed(b"new")}, "client")
    # Not even if another user has the same hash.
    assert not await verifier.verify(VALID, {"ops": USERS["prometheus"]}, "client")


async def test_unknown_user_costs_one_check_of_a_known_users_hash(
    verifier: Verifier, checks: CountingChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def record(_password: bytes, stored: str) -> bool:
        checked.append(stored)
        return False

    monkeypatch.setattr(credentials, "_matches", record)
    for name in ("nobody", "nobody", "somebody", "prometheus"):
        assert not await verifier.verify(Credentials(name, b"guess"), USERS, "client")
    assert len(checks.runs) == 4
    assert len(checked) == 4
    assert set(checked) <= set(USERS.values())
    # Always the same hash, so that timing does not reveal an unknown name.
    assert checked[0] == checked[1]


async def test_concurrent_identical_credentials_are_checked_once(
    verifier: Verifier, checks: CountingChecks
) -> None:
    responses = await asyncio.gather(*[verifier.verify(VALID, USERS, "client") for _ in range(20)])
    assert all(responses)
    assert len(checks.runs) == 1


@pytest.mark.parametrize("length", [72, 73, 1000])
async def test_long_passwords_are_truncated_to_72_bytes(verifier: Verifier, length: int) -> None:
    users = {"a": hashed(b"x" * 72)}
    given = read_basic(b"Basic " + base64.b64encode(b"a:" + b"x" * length))
    assert given is not None
    assert await verifier.verify(given, users, "client")


async def test_password_with_a_zero_byte_is_wrong(verifier: Verifier) -> None:
    assert not await verifier.verify(Credentials("prometheus", b"secret\0"), USERS, "client")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Basic",
        b"Basic !!!",
        b"Basic " + base64.b64encode(b"no colon"),
        b"Bearer abc",
        b"Basic " + base64.b64encode(b"a:" + b"b" * 10_000),
    ],
)
def test_invalid_header_gives_no_credentials(header: bytes) -> None:
    assert read_basic(header) is None


def test_basic_header_is_parsed() -> None:
    header = b"basic  " + base64.b64encode("jürgen:a:ö".encode())
    assert read_basic(header) == Credentials("jürgen", "a:ö".encode())
    assert "secret" not in repr(VALID)


def test_bcrypt_releases_the_gil() -> None:
    """Otherwise a check in a thread would block the event loop too."""
    slow = bcrypt.hashpw(b"x", bcrypt.gensalt(10))
    thread = threading.Thread(target=bcrypt.checkpw, args=(b"x", slow))
    thread.start()
    iterations = 0
    while thread.is_alive():
        iterations += 1
    assert iterations > 1000
