"""Secrets come from the file or from files beside it, and show nowhere."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config.config import AkskAuth, Config, PasswordAuth
from exporter.config.load import ConfigError

Load = Callable[..., Config]
Refusals = Callable[..., list[str]]
PASSWORD = "{type: password, username: u, domain: d, password_file: pw}"
TOKEN = "{type: token, token: t0ken}"


def test_a_secret_file_is_found_beside_the_configuration_and_read_again_at_each_use(
    load_text: Load, minimal: str, tmp_path: Path
) -> None:
    (tmp_path / "pw").write_text("first\n")
    auth = load_text(minimal.replace(TOKEN, PASSWORD)).projects[0].auth
    assert isinstance(auth, PasswordAuth)
    assert auth.password.reveal() == "first"
    (tmp_path / "pw").write_text("second\r\n")
    assert auth.password.reveal() == "second"


def test_every_secret_can_stand_in_a_file(load_text: Load, minimal: str, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("from-file\n")
    (tmp_path / "proxy").write_text("http://user:from-file@proxy:3128\n")
    keys = "{type: aksk, access_key_file: s, secret_key_file: s, security_token_file: s}"
    config = load_text(minimal.replace(TOKEN, keys) + "    proxy_url_file: proxy\n")
    [project] = config.projects
    assert isinstance(project.auth, AkskAuth)
    assert project.auth.security_token is not None
    assert project.auth.security_token.reveal() == "from-file"
    assert project.auth.access_key.file == project.auth.secret_key.file == tmp_path / "s"
    assert project.proxy_url is not None
    assert project.proxy_url.file == tmp_path / "proxy"
    assert "from-file" not in repr(config) + config.as_yaml
    assert f"access_key_file: {tmp_path / 's'}" in config.as_yaml.replace('"', "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "secret file is empty"),
        (b"\n", "secret file is empty"),
        (b"\xff\xfe", "cannot read secret file: is not UTF-8 text"),
        (b"hunter2\nhunter2", "the file's content: expected a password, got one with a line break"),
        (b"hunter2" * 20_000, "secret file is larger than 65536 bytes"),
    ],
)
def test_what_is_wrong_with_a_secret_file_is_said_without_its_content(
    content: bytes, said: str, refusals: Refusals, minimal: str, tmp_path: Path
) -> None:
    (tmp_path / "pw").write_bytes(content)
    [message] = refusals(minimal.replace(TOKEN, PASSWORD))
    assert message.startswith(f"projects[0].auth.password_file: {said}")
    assert "hunter2" not in message


def test_a_password_written_where_a_path_belongs_does_not_show(
    refusals: Refusals, minimal: str
) -> None:
    text = minimal.replace(TOKEN, PASSWORD.replace("pw", '"${PW}"'))
    [message] = refusals(text, {"PW": "hunter2"})
    assert message == (
        "projects[0].auth.password_file: cannot read secret file: No such file or directory"
    )


def test_a_refusal_shows_no_secret_in_its_traceback_either(load_text: Load, minimal: str) -> None:
    text = minimal.replace("t0ken", "hunter2").replace("region", "reigon")
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
    assert "hunter2" not in shown


def test_secrets_show_neither_in_the_configuration_nor_as_yaml(
    load_text: Load, minimal: str
) -> None:
    config = load_text(minimal.replace("t0ken", "hunter2"))
    assert "hunter2" not in f"{config!r}{config}{config.as_yaml}"
    assert 'token: "<secret>"' in config.as_yaml
