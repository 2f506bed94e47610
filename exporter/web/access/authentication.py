"""HTTP Basic authentication with the users of the web configuration."""

from collections.abc import Callable

import structlog
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.web.access.clients import client_of
from exporter.web.access.credentials import Credentials, Verifier, read_basic
from exporter.web.access.live_config import LiveConfig
from exporter.web.access.password_checks import TooManyChecksError

_CHALLENGE = {"www-authenticate": 'Basic realm="console-exporter", charset="UTF-8"'}
_RETRY = {"retry-after": "2"}
_LOG_INTERVAL_SECONDS = 10.0

log = structlog.get_logger(__name__)


class BasicAuthentication:
    """Require the user name and password of a user of the web configuration.

    ``open_paths`` need no authentication. Without users, no path does.
    """

    def __init__(
        self,
        app: ASGIApp,
        live: LiveConfig,
        verifier: Verifier,
        open_paths: frozenset[str],
        monotonic: Callable[[], float],
    ) -> None:
        self._app = app
        self._live = live
        self._verifier = verifier
        self._open_paths = open_paths
        self._failure_log = _FailureLog(monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 or 429."""
        users = (await self._live.current()).config.users
        if not users or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        credentials = _credentials(scope)
        if credentials is None:
            response = PlainTextResponse("log in with user name and password\n", 401, _CHALLENGE)
        else:
            client = client_of((scope.get("client") or (None,))[0])
            try:
                if await self._verifier.verify(credentials, users, client):
                    await self._app(scope, receive, send)
                    return
            except TooManyChecksError:
                self._failure_log.add(client)
                response = PlainTextResponse("too many logins at once\n", 429, _RETRY)
            else:
                self._failure_log.add(client)
                response = PlainTextResponse("wrong user name or password\n", 401, _CHALLENGE)
        await response(scope, receive, send)


def _credentials(scope: Scope) -> Credentials | None:
    headers = [value for name, value in scope["headers"] if name == b"authorization"]
    return read_basic(headers[0]) if len(headers) == 1 else None


class _FailureLog:
    """Log rejected logins, at most one line per `_LOG_INTERVAL_SECONDS`.

    User names are not logged, because people sometimes type their password there.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._count = 0
        self._logged_at = float("-inf")

    def add(self, client: str) -> None:
        self._count += 1
        now = self._monotonic()
        if now - self._logged_at < _LOG_INTERVAL_SECONDS:
            return
        log.warning("logins rejected", count=self._count, last_client=client)
        self._count, self._logged_at = 0, now
