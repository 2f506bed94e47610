"""The current web configuration, reloaded when its files change."""

import asyncio
import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from exporter.config.errors import ConfigError, ConfigErrorDetail
from exporter.web.access.tls import server_context
from exporter.web.access.web_config import WebConfig
from exporter.web.access.web_config_loader import load_web_config

# Two writes within one tick of the file system's clock leave the same modification time, so a file
# that was written shortly before it was read is read again.
_SETTLE_SECONDS = 2.0

log = structlog.get_logger(__name__)

FileStamp = tuple[int, int, int, int]
Stamp = tuple[FileStamp, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """A web configuration and the TLS made from it."""

    config: WebConfig
    tls: ssl.SSLContext | None


OPEN = Rules(WebConfig(), None)
"""No web configuration: plain HTTP, no authentication."""


def load_rules(path: Path) -> Rules:
    """Load the web configuration at ``path`` and create its TLS context. Raises `ConfigError`."""
    config = load_web_config(path)
    try:
        return Rules(config, server_context(config.tls) if config.tls else None)
    except ssl.SSLError as error:
        reason = (error.reason or "unknown reason").lower().replace("_", " ")
        message = f"OpenSSL rejects cipher_suites or curve_preferences: {reason}"
        raise ConfigError([ConfigErrorDetail(path, 0, 0, "tls_server_config", message)]) from None


class LiveConfig:
    """Provide the current rules; every call checks whether the files have changed.

    The first file of ``rules`` is the configuration file itself.
    """

    def __init__(self, rules: Rules, clock_time: Callable[[], float]) -> None:
        self._rules = rules
        self._clock_time = clock_time
        self._files = rules.config.files
        self._stamp: Stamp = ()
        self._settled = False
        self._rejected: Stamp = ()
        self._lock = asyncio.Lock()
        self._loads = 0

    async def current(self) -> Rules:
        """Return the current rules; a change takes effect with the next call.

        If the files are invalid, the errors are logged once and the last good rules stay active.
        """
        if self._files and self._changed():
            loads = self._loads
            async with self._lock:
                # If another call has loaded the files meanwhile, use its result.
                if self._loads == loads:
                    self._loads += 1
                    await self._reload()
        return self._rules

    def _changed(self) -> bool:
        return not self._settled or self._stamp != _stamp(self._files)

    async def _reload(self) -> None:
        path = self._files[0]
        stamp, started = _stamp(self._files), self._clock_time()
        try:
            rules = await asyncio.to_thread(load_rules, path)
        except ConfigError as error:
            self._reject(stamp, str(error).splitlines())
        else:
            removed = _removed_protection(self._rules.config, rules.config)
            messages = [f"{path}: {message}" for message in removed]
            if messages:
                self._reject(stamp, messages)
            else:
                self._apply(rules)
        # Files that the new configuration adds have no stamp yet.
        complete = len(stamp) == len(self._files)
        self._stamp = stamp
        self._settled = complete and started - _newest(stamp) > _SETTLE_SECONDS

    def _reject(self, stamp: Stamp, messages: list[str]) -> None:
        if stamp != self._rejected:
            for message in messages:
                log.error("web configuration not loaded", error=message)
        self._rejected = stamp

    def _apply(self, rules: Rules) -> None:
        if rules.config != self._rules.config:
            log.info("web configuration loaded", file=str(rules.config.files[0]))
            self._rules = rules
            self._files = rules.config.files
        self._rejected = ()


def _stamp(files: tuple[Path, ...]) -> Stamp:
    return tuple(_file_stamp(path) for path in files)


def _file_stamp(path: Path) -> FileStamp:
    try:
        found = os.stat(path)  # noqa: PTH116 - runs with every request, and pathlib is slower
    except OSError:
        return 0, 0, 0, 0
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _newest(stamp: Stamp) -> float:
    return max(max(modified, changed) for modified, changed, _, _ in stamp) / 1e9


def _removed_protection(old: WebConfig, new: WebConfig) -> Iterator[str]:
    """Yield a message for each protection that a new configuration removes.

    Such a change needs a restart: a file that is only half written would look the same.
    """
    if old.users and not new.users:
        yield "basic_auth_users was removed or is empty; restart to serve without a login"
    if old.tls and not new.tls:
        yield "tls_server_config was removed; restart to serve without TLS"
    if old.tls and new.tls:
        if new.tls.client_certificate.value < old.tls.client_certificate.value:
            yield "client_auth_type is weaker than before; restart to allow that"
        if old.tls.client_allowed_sans and not new.tls.client_allowed_sans:
            yield "client_allowed_sans was removed; restart to allow that"
