"""The web configuration in force: new at the next request, and never weaker by accident."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.web.access.live_config import OPEN, LiveConfig, Rules, load_rules
from tests.conftest import MovedClock
from tests.real.certificates import Certificates

# Of the password hunter2.
HASH = "$2y$04$cnyRtc/Oifgk7dGLtyFuUOg6XdI5TJZn0Sbbdc0ovLEsrtfHWEzGW"
USERS = f"basic_auth_users:\n  one: {HASH}\n  two: {HASH}\n"
TLS = "tls_server_config:\n  cert_file: certificate.pem\n  key_file: key.pem\n"
CLIENTS = f"{TLS}  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n"
NAMES = f"{CLIENTS}  client_allowed_sans: [a]\n"

Begin = Callable[[str], LiveConfig]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    certificates = Certificates()
    certificates.write_authority(tmp_path / "ca.pem")
    certificates.write_good(tmp_path)
    return tmp_path / "web.yml"


@pytest.fixture
def begin(file: Path, clock: MovedClock) -> Begin:
    def begun(text: str) -> LiveConfig:
        file.write_text(text)
        return LiveConfig(load_rules(file), clock.time)

    return begun


async def users_of(live: LiveConfig) -> set[str]:
    return set((await live.current()).config.users)


async def test_without_a_file_everybody_is_let_in(clock: MovedClock) -> None:
    rules = await LiveConfig(OPEN, clock.time).current()
    assert (rules.tls, dict(rules.config.users)) == (None, {})


async def test_a_removed_user_is_gone_at_the_next_request(begin: Begin, file: Path) -> None:
    live = begin(USERS)
    assert await users_of(live) == {"one", "two"}
    file.write_text(f"basic_auth_users:\n  two: {HASH}\n")
    assert await users_of(live) == {"two"}


@pytest.mark.parametrize(("age", "readings"), [(0.5, 5), (10.0, 1)])
async def test_only_files_that_were_written_just_now_are_read_again_unchanged(
    file: Path, monkeypatch: pytest.MonkeyPatch, age: float, readings: int
) -> None:
    """Two writes within a file system's tick leave the same times behind."""
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


async def test_many_requests_at_a_change_read_it_once_or_twice(
    begin: Begin, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = begin(USERS)
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
async def test_a_broken_file_leaves_the_last_good_rules_and_is_told_of_once(
    begin: Begin, file: Path, broken: str | None
) -> None:
    live = begin(USERS)
    with capture_logs() as logs:
        if broken is None:
            file.unlink()
        else:
            file.write_text(broken)
        for _ in range(5):
            assert await users_of(live) == {"one", "two"}
    told = [one for one in logs if one["log_level"] == "error"]
    assert len(told) == 1
    assert "web.yml" in told[0]["error"]
    file.write_text(USERS.replace("one", "three"))
    with capture_logs() as logs:
        assert await users_of(live) == {"two", "three"}
    assert [one["event"] for one in logs] == ["web configuration loaded"]


@pytest.mark.parametrize(
    ("strong", "weak", "said"),
    [
        (TLS + USERS, TLS, "basic_auth_users is gone"),
        (TLS + USERS, f"{TLS}basic_auth_users:\n", "basic_auth_users is gone"),
        (TLS + USERS, USERS, "tls_server_config is gone"),
        (CLIENTS, TLS, "client_auth_type asks for less"),
        (NAMES, CLIENTS, "client_allowed_sans is gone"),
    ],
)
async def test_what_would_let_down_the_guard_needs_a_restart(
    begin: Begin, file: Path, strong: str, weak: str, said: str
) -> None:
    live = begin(strong)
    rules = await live.current()
    file.write_text(weak)
    with capture_logs() as logs:
        assert (await live.current()).config == rules.config
    assert said in logs[0]["error"]
    assert "restart" in logs[0]["error"]
    # The other way round is taken at once.
    other = begin(weak)
    await other.current()
    file.write_text(strong)
    assert (await other.current()).config == rules.config


async def test_a_file_that_the_new_configuration_names_is_watched_too(
    begin: Begin, file: Path
) -> None:
    live = begin(USERS)
    await live.current()
    file.write_text(TLS + USERS)
    before = (await live.current()).tls
    Certificates().write_good(file.parent)
    after = (await live.current()).tls
    assert before is not None
    assert after is not before
