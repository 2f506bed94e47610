"""Secrets are read from the configuration or from files, and are never shown."""

import dataclasses
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from exporter.config.config import AkskAuth, Config, PasswordAuth, Project
from exporter.config.load import ConfigError
from exporter.config.rendering import as_yaml

Load = Callable[..., Config]
Errors = Callable[..., list[str]]
PASSWORD = "{type: password, username: u, domain: d, password_file: pw}"
TOKEN = "{type: token, token: t0ken}"


def test_secret_file_is_relative_to_the_configuration_and_read_again_at_each_use(
    load_text: Load, minimal: str, tmp_path: Path
) -> None:
    (tmp_path / "pw").write_text("first\n")
    auth = load_text(minimal.replace(TOKEN, PASSWORD)).projects[0].auth
    assert isinstance(auth, PasswordAuth)
    assert auth.password.reveal() == "first"
    (tmp_path / "pw").write_text("second\r\n")
    assert auth.password.reveal() == "second"


def test_every_secret_can_be_read_from_a_file(
    load_text: Load, minimal: str, tmp_path: Path
) -> None:
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
    assert "from-file" not in repr(config) + as_yaml(config)
    assert f"access_key_file: {tmp_path / 's'}" in as_yaml(config).replace('"', "")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "secret file is empty"),
        (b"\n", "secret file is empty"),
        (b"\xff\xfe", "cannot read secret file: is not UTF-8 text"),
        (
            b"hunter2\nhunter2",
            "content of the file: expected a password, got one with a line break",
        ),
        (b"hunter2" * 20_000, "secret file is larger than 65536 bytes"),
    ],
)
def test_error_of_a_secret_file_does_not_show_its_content(
    content: bytes, expected: str, errors: Errors, minimal: str, tmp_path: Path
) -> None:
    (tmp_path / "pw").write_bytes(content)
    [message] = errors(minimal.replace(TOKEN, PASSWORD))
    assert message.startswith(f"projects[0].auth.password_file: {expected}")
    assert "hunter2" not in message


def test_password_given_instead_of_a_path_is_not_shown(errors: Errors, minimal: str) -> None:
    text = minimal.replace(TOKEN, PASSWORD.replace("pw", '"${PW}"'))
    [message] = errors(text, {"PW": "hunter2"})
    assert message == (
        "projects[0].auth.password_file: cannot read secret file: No such file or directory"
    )


def test_traceback_of_a_config_error_shows_no_secret(load_text: Load, minimal: str) -> None:
    content = minimal.replace("t0ken", "hunter2").replace("region", "reigon")
    with pytest.raises(ConfigError) as caught:
        load_text(content)
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
    assert "hunter2" not in text


def test_secrets_are_hidden_in_the_configuration_and_its_yaml(
    load_text: Load, minimal: str
) -> None:
    config = load_text(minimal.replace("t0ken", "hunter2"))
    assert "hunter2" not in f"{config!r}{config}{as_yaml(config)}"
    assert "token: <secret>" in as_yaml(config)


def test_secrets_are_hidden_from_code_that_copies_all_fields(
    load_text: Load, minimal: str, tmp_path: Path
) -> None:
    (tmp_path / "proxy").write_text("http://user:hunter2@proxy:3128\n")
    text = minimal.replace("t0ken", "hunter2") + "    proxy_url_file: proxy\n"
    [project] = load_text(text).projects
    shown = TypeAdapter(Project).dump_python(project)
    assert "hunter2" not in f"{dataclasses.asdict(project)}{shown}"
    with pytest.raises(PydanticSerializationError) as caught:
        TypeAdapter(Project).dump_json(project)
    assert "hunter2" not in str(caught.value)
