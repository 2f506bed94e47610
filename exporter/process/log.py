"""Configure logging: one line per event, in logfmt or JSON, with secrets redacted.

The exporter passes no secrets to log calls. Redaction is a second line of defense, mainly for the
messages of libraries.
"""

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol

import structlog

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("logfmt", "json")

_REDACTED = "<redacted>"
_SECRETS = (
    # The query of a URL, which holds the token of a console address.
    (re.compile(r"(\b(?:https?|wss?)://[^\s\"'?#<>]*)[?#][^\s\"'<>]*"), rf"\1?{_REDACTED}"),
    # User info of a URL.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@\"']+@"), rf"\1{_REDACTED}@"),
    (
        re.compile(
            r"(?i)\b(x-auth-token|x-subject-token|x-security-token|x-metadata-token|authorization"
            r"|proxy-authorization|set-cookie|cookie|password|secret[_-]?key|securitytoken|token"
            r"|signature|secret)(['\"]?\s*[:=]\s*)(?:(?:basic|bearer|sdk-hmac-sha256)\s+[^'\"]*"
            r"|'[^']*'|\"[^\"]*\"|[^\s,;&'\"]+)"
        ),
        rf"\1\2{_REDACTED}",
    ),
)
# Libraries that log full URLs at INFO or DEBUG.
_URL_LOGGERS = ("httpx", "httpcore", "websockets", "uvicorn", "apscheduler", "asyncio")

Event = MutableMapping[str, Any]


class Stream(Protocol):
    """Output of log lines."""

    def write(self, text: str, /) -> object:
        """Write one line."""

    def flush(self) -> object:
        """Write buffered lines."""


def redact(text: str) -> str:
    """Return ``text`` with everything replaced that looks like a secret."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def configure(
    *,
    level: str,
    form: str,
    count: Callable[[str], None] = lambda _level: None,
    stream: Stream | None = None,
) -> None:
    """Write all log messages, including those of libraries, to ``stream`` (default: stderr).

    ``level`` is one of `LEVELS`, ``form`` one of `FORMATS`. ``count`` is called with the level of
    each message.
    """

    def counted(_logger: object, _method: str, event: Event) -> Event:
        count(str(event.get("level", "info")))
        return event

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    renderer = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.processors.LogfmtRenderer(
            key_order=["ts", "level", "event"], drop_missing=True
        )
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                counted,
                _flatten,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _URL_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _redact_event(_logger: object, _method: str, event: Event) -> Event:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
        elif isinstance(value, BaseException):
            event[key] = redact(str(value))
    return event


def _flatten(_logger: object, _method: str, event: Event) -> Event:
    """Escape unprintable characters, so that external text cannot forge a log line."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = "".join(
                char if char.isprintable() else char.encode("unicode_escape").decode()
                for char in value
            )
    return event
