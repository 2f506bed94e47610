"""The web configuration as it stands at this moment: read again when its files have changed."""

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

# Two writes within a file system's tick leave the same times behind: a file that was written just
# before it was read is read again.
_UNSETTLED_SECONDS = 2.0

log = structlog.get_logger(__name__)

FileStamp = tuple[int, int, int, int]
Stamp = tuple[FileStamp, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """A web configuration and the TLS made from it."""

    config: WebConfig
    tls: ssl.SSLContext | None


OPEN = Rules(WebConfig(), None)
"""No web configuration: everybody is let in, over plain HTTP."""


def load_rules(path: Path) -> Rules:
    """Read the web configuration at ``path`` and try its TLS. Raises `ConfigError`."""
    config = load_web_config(path)
    try:
        return Rules(config, server_context(config.tls) if config.tls else None)
    except ssl.SSLError as error:
        why = (error.reason or "unknown reason").lower().replace("_", " ")
        message = f"OpenSSL refuses cipher_suites or curve_preferences: {why}"
        raise ConfigError([ConfigErrorDetail(path, 0, 0, "tls_server_config", message)]) from None


class LiveConfig:
    """Gives the rules in force, and looks whether files have changed each time it is asked."""

    def __init__(self, rules: Rules, clock_time: Callable[[], float]) -> None:
        """Begin with ``rules``, whose first file is the configuration itself."""
        self._rules = rules
        self._clock_time = clock_time
        self._files = rules.config.files
        self._stamp: Stamp = ()
        self._settled = False
        self._refused: Stamp = ()
        self._reading = asyncio.Lock()
        self._readings = 0

    async def current(self) -> Rules:
        """Return the rules in force; a change is in force from the next call on.

        Files that cannot be used are told of once, and the last good rules stay.
        """
        if self._files and self._changed():
            seen = self._readings
            async with self._reading:
                # Whoever waited while a reading began and ended has its result.
                if self._readings == seen:
                    self._readings += 1
                    await self._read_again()
        return self._rules

    def _changed(self) -> bool:
        return not self._settled or self._stamp != _stamp(self._files)

    async def _read_again(self) -> None:
        path = self._files[0]
        stamp, began = _stamp(self._files), self._clock_time()
        try:
            rules = await asyncio.to_thread(load_rules, path)
        except ConfigError as error:
            self._refuse(stamp, str(error).splitlines())
        else:
            weaker = [f"{path}: {what}" for what in _weaker(self._rules.config, rules.config)]
            if weaker:
                self._refuse(stamp, weaker)
            else:
                self._go_over_to(rules)
        # Of files that were not known before the reading nothing is known yet.
        known = len(stamp) == len(self._files)
        self._stamp = stamp
        self._settled = known and began - _newest(stamp) > _UNSETTLED_SECONDS

    def _refuse(self, stamp: Stamp, details: list[str]) -> None:
        if stamp != self._refused:
            for detail in details:
                log.error("web configuration not loaded", error=detail)
        self._refused = stamp

    def _go_over_to(self, rules: Rules) -> None:
        if rules.config != self._rules.config:
            log.info("web configuration loaded", file=str(rules.config.files[0]))
            self._rules = rules
            self._files = rules.config.files
        self._refused = ()


def _stamp(files: tuple[Path, ...]) -> Stamp:
    return tuple(_file_stamp(path) for path in files)


def _file_stamp(path: Path) -> FileStamp:
    try:
        found = os.stat(path)  # noqa: PTH116 - asked at every request, and pathlib is slower
    except OSError:
        return 0, 0, 0, 0
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _newest(stamp: Stamp) -> float:
    return max(max(modified, changed) for modified, changed, _, _ in stamp) / 1e9


def _weaker(old: WebConfig, new: WebConfig) -> Iterator[str]:
    """Yield what a new configuration would let down.

    A file that is half written at the moment lets down whatever its other half holds.
    """
    if old.users and not new.users:
        yield "basic_auth_users is gone or empty; restart to serve without a login"
    if old.tls and not new.tls:
        yield "tls_server_config is gone; restart to serve without TLS"
    if old.tls and new.tls:
        if new.tls.client_certificate.value < old.tls.client_certificate.value:
            yield "client_auth_type asks for less than before; restart to allow that"
        if old.tls.client_allowed_sans and not new.tls.client_allowed_sans:
            yield "client_allowed_sans is gone; restart to allow that"
