"""Log lines: one per event, counted, and without secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from exporter.process import log

SECRETS = [
    "https://console.example/vnc/a?token=CANARY&x=1",
    "wss://console.example/websockify#CANARY",
    "http://user:CANARY@proxy.example:3128",
    "X-Auth-Token: CANARY",
    "{'x-auth-token': 'CANARY'}",
    '{"password": "CANARY"}',
    "Authorization: Basic CANARY",
    "Authorization: SDK-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature=CANARY",
    "secret_key=CANARY",
    "Set-Cookie: token=CANARY; Path=/",
]


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_redacted(text: str) -> None:
    assert "CANARY" not in log.redact(text)


def test_other_text_is_not_redacted() -> None:
    text = "cannot connect to clouddc.cn-east-3.myhuaweicloud.com:443: Connection refused"
    assert log.redact(text) == text
    assert log.redact("https://host/path?query").startswith("https://host/path?")


@pytest.mark.parametrize("form", log.FORMATS)
def test_messages_of_exporter_and_libraries_have_one_format_and_are_redacted(form: str) -> None:
    stream, counted = io.StringIO(), list[str]()
    log.configure(level="info", form=form, count=counted.append, stream=stream)
    structlog.get_logger("exporter").warning("probe failed", url=SECRETS[0])
    logging.getLogger("library").error("failed for %s", SECRETS[0])
    structlog.get_logger("exporter").debug("filtered out")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert counted == ["warning", "error"]
    assert "CANARY" not in stream.getvalue()
    if form == "json":
        assert [json.loads(line)["level"] for line in lines] == counted
    else:
        assert all(f"level={level}" in line for level, line in zip(counted, lines, strict=True))


def test_external_text_cannot_forge_a_line() -> None:
    stream = io.StringIO()
    log.configure(level="info", form="logfmt", stream=stream)
    structlog.get_logger("exporter").info(
        "server added", name="a\nlevel=error event=forged\x1b[31m"
    )
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_traceback_is_logged_on_one_line_without_secrets() -> None:
    stream = io.StringIO()
    log.configure(level="info", form="logfmt", stream=stream)
    try:
        raise ValueError(SECRETS[0])  # noqa: TRY301 - the test needs a traceback
    except ValueError:
        structlog.get_logger("exporter").exception("unexpected error")
    assert len(stream.getvalue().splitlines()) == 1
    assert "ValueError" in stream.getvalue()
    assert "CANARY" not in stream.getvalue()


@pytest.mark.parametrize("name", ["httpx", "websockets.client", "uvicorn.access", "apscheduler"])
def test_libraries_that_log_urls_are_silent_at_debug(name: str) -> None:
    stream = io.StringIO()
    log.configure(level="debug", form="logfmt", stream=stream)
    logging.getLogger(name).info("HTTP Request: GET https://host/?token=CANARY")
    assert stream.getvalue() == ""
