"""Reloading of the web configuration: at the next request, and never weaker by accident."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.web.access.live_config import OPEN, LiveConfig, Rules, load_rules
from tests.conftest import FakeClock
from tests.real.certificates import Certificates

# Hash of the password hunter2.
HASH = "$2y$04$cnyRtc/Oifgk7dGLtyFuUOg6XdI5TJZn0Sbbdc0ovLEsrtfHWEzGW"
USERS = f"basic_auth_users:\n  one: {HASH}\n  two: {HASH}\n"
TLS = "tls_server_config:\n  cert_file: certificate.pem\n  key_file: key.pem\n"
CLIENTS = f"{TLS}  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n"
NAMES = f"{CLIENTS}  client_allowed_sans: [a]\n"

Start = Callable[[str], LiveConfig]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    certificates = Certificates()
    certificates.write_authority(tmp_path / "ca.pem")
    certificates.write_good(tmp_path)
    return tmp_path / "web.yml"


@pytest.fixture
def start(file: Path, clock: FakeClock) -> Start:
    def started(text: str) -> LiveConfig:
        file.write_text(text)
        return LiveConfig(load_rules(file), clock.time)

    return started


async def users_of(live: LiveConfig) -> set[str]:
    return set((await live.current()).config.users)


async def test_without_a_file_there_is_no_tls_and_no_login(clock: FakeClock) -> None:
    rules = await LiveConfig(OPEN, clock.time).current()
    assert (rules.tls, dict(rules.config.users)) == (None, {})


async def test_removed_user_is_rejected_at_the_next_request(start: Start, file: Path) -> None:
    live = start(USERS)
    assert await users_of(live) == {"one", "two"}
    file.write_text(f"basic_auth_users:\n  two: {HASH}\n")
    assert await users_of(live) == {"two"}


@pytest.mark.parametrize(("age", "readings"), [(0.5, 5), (10.0, 1)])
async def test_unchanged_files_are_read_again_only_if_written_recently(
    file: Path, monkeypatch: pytest.MonkeyPatch, age: float, readings: int
) -> None:
    """Two writes within one tick of the file system's clock leave the same times."""
    file.write_text(USERS)
    rules = load_rules(file)
    written = file.stat().st_ctime
    live = LiveConfig(rules, lambda: written + age)
    read: list[Path] = []

    def counted(path: Path) -> Rules:
        read.append(path)
        return rules

    monkeypatch.setattr("exporter.web.access.live_config.load_rules", counted)
    assert all([await live.current() is rules for _ in range(5)])
    assert len(read) == readings


async def test_concurrent_requests_after_a_change_load_it_at_most_twice(
    start: Start, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = start(USERS)
    await live.current()
    read: list[Path] = []

    def counted(path: Path) -> Rules:
        read.append(path)
        return load_rules(path)

    monkeypatch.setattr("exporter.web.access.live_config.load_rules", counted)
    file.write_text(USERS.replace("one", "three"))
    rules = await asyncio.gather(*[live.current() for _ in range(100)])
    assert all("three" in one.config.users for one in rules)
    assert len(read) <= 2


@pytest.mark.parametrize("broken", ["basic_auth_users: [", "", "basic_auth_users: {a: b}", None])
async def test_invalid_file_keeps_the_last_good_rules_and_is_logged_once(
    start: Start, file: Path, broken: str | None
) -> None:
    live = start(USERS)
    with capture_logs() as logs:
        if broken is None:
            file.unlink()
        else:
            file.write_text(broken)
        for _ in range(5):
            assert await users_of(live) == {"one", "two"}
    errors = [one for one in logs if one["log_level"] == "error"]
    assert len(errors) == 1
    assert "web.yml" in errors[0]["error"]
    file.write_text(USERS.replace("one", "three"))
    with capture_logs() as logs:
        assert await users_of(live) == {"two", "three"}
    assert [one["event"] for one in logs] == ["web configuration loaded"]


@pytest.mark.parametrize(
    ("strong", "weak", "message"),
    [
        (TLS + USERS, TLS, "basic_auth_users was removed"),
        (TLS + USERS, f"{TLS}basic_auth_users:\n", "basic_auth_users was removed"),
        (TLS + USERS, USERS, "tls_server_config was removed"),
        (CLIENTS, TLS, "client_auth_type is weaker"),
        (NAMES, CLIENTS, "client_allowed_sans was removed"),
    ],
)
async def test_removing_protection_needs_a_restart(
    start: Start, file: Path, strong: str, weak: str, message: str
) -> None:
    live = start(strong)
    rules = await live.current()
    file.write_text(weak)
    with capture_logs() as logs:
        assert (await live.current()).config == rules.config
    assert message in logs[0]["error"]
    assert "restart" in logs[0]["error"]
    # Adding protection takes effect at once.
    other = start(weak)
    await other.current()
    file.write_text(strong)
    assert (await other.current()).config == rules.config


async def test_files_named_by_a_new_configuration_are_watched(start: Start, file: Path) -> None:
    live = start(USERS)
    await live.current()
    file.write_text(TLS + USERS)
    before = (await live.current()).tls
    Certificates().write_good(file.parent)
    after = (await live.current()).tls
    assert before is not None
    assert after is not before
