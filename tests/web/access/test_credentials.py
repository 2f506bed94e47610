"""Passwords: read, checked once, remembered without weakening them."""

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


class Counted(PasswordChecks):
    """Checks that are counted; ``full`` turns them away."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[tuple[str, str]] = []
        self.full = False

    async def run(self, client: str, name: str, work: Callable[[], bool]) -> bool:
        self.runs.append((client, name))
        if self.full:
            raise TooManyChecksError
        return await super().run(client, name, work)


@pytest.fixture
def checks() -> Counted:
    return Counted()


@pytest.fixture
def verifier(checks: Counted) -> Verifier:
    return Verifier(checks)


USERS = {"prometheus": hashed(b"secret"), "ops": hashed(b"other")}
RIGHT = Credentials("prometheus", b"secret")


async def test_right_credentials_are_checked_once_and_then_remembered(
    verifier: Verifier, checks: Counted
) -> None:
    for _ in range(3):
        assert await verifier.right(RIGHT, USERS, "client")
    assert len(checks.runs) == 1


async def test_remembered_credentials_pass_while_the_checks_are_full(
    verifier: Verifier, checks: Counted
) -> None:
    assert await verifier.right(RIGHT, USERS, "client")
    checks.full = True
    assert await verifier.right(RIGHT, USERS, "client")
    with pytest.raises(TooManyChecksError):
        await verifier.right(Credentials("prometheus", b"guess"), USERS, "client")


async def test_wrong_credentials_are_never_remembered_as_right(
    verifier: Verifier, checks: Counted
) -> None:
    assert await verifier.right(RIGHT, USERS, "client")
    for user, password in (
        ("prometheus", b"wrong"),
        ("prometheu", b"ssecret"),
        ("ops", b"secret"),
        ("nobody", b"secret"),
        ("", b""),
    ):
        for _ in range(2):
            assert not await verifier.right(Credentials(user, password), USERS, "client")
    assert len(checks.runs) == 11


async def test_a_removed_user_and_a_changed_password_are_refused_at_once(
    verifier: Verifier,
) -> None:
    assert await verifier.right(RIGHT, USERS, "client")
    assert not await verifier.right(RIGHT, {"ops": USERS["ops"]}, "client")
    assert not await verifier.right(RIGHT, {"prometheus": hashed(b"new")}, "client")
    # Even where somebody else has the very hash.
    assert not await verifier.right(RIGHT, {"ops": USERS["prometheus"]}, "client")


async def test_an_unknown_user_costs_one_check_of_a_known_users_hash(
    verifier: Verifier, checks: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def noted(_password: bytes, stored: str) -> bool:
        asked.append(stored)
        return False

    monkeypatch.setattr(credentials, "_matches", noted)
    for name in ("nobody", "nobody", "somebody", "prometheus"):
        assert not await verifier.right(Credentials(name, b"guess"), USERS, "client")
    assert len(checks.runs) == 4
    assert len(asked) == 4
    assert set(asked) <= set(USERS.values())
    # Always the same one, lest the spread of times tell a name that is unknown.
    assert asked[0] == asked[1]


async def test_credentials_that_come_many_times_at_once_are_checked_once(
    verifier: Verifier, checks: Counted
) -> None:
    answers = await asyncio.gather(*[verifier.right(RIGHT, USERS, "client") for _ in range(20)])
    assert all(answers)
    assert len(checks.runs) == 1


@pytest.mark.parametrize("length", [72, 73, 1000])
async def test_long_passwords_are_cut_where_every_bcrypt_cuts_them(
    verifier: Verifier, length: int
) -> None:
    users = {"a": hashed(b"x" * 72)}
    given = read_basic(b"Basic " + base64.b64encode(b"a:" + b"x" * length))
    assert given is not None
    assert await verifier.right(given, users, "client")


async def test_a_password_with_a_zero_byte_is_wrong_and_no_fault(verifier: Verifier) -> None:
    assert not await verifier.right(Credentials("prometheus", b"secret\0"), USERS, "client")


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
def test_what_is_no_basic_header_is_no_credentials(header: bytes) -> None:
    assert read_basic(header) is None


def test_a_basic_header_is_read() -> None:
    header = b"basic  " + base64.b64encode("jürgen:a:ö".encode())
    assert read_basic(header) == Credentials("jürgen", "a:ö".encode())
    assert "secret" not in repr(RIGHT)


def test_bcrypt_leaves_the_interpreter_to_others() -> None:
    """Or checking in a thread would stall the event loop all the same."""
    slow = bcrypt.hashpw(b"x", bcrypt.gensalt(10))
    thread = threading.Thread(target=bcrypt.checkpw, args=(b"x", slow))
    thread.start()
    permits = 0
    while thread.is_alive():
        permits += 1
    assert permits > 1000
