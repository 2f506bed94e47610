"""The login: who is let in when the web configuration has users."""

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
_TELL_SECONDS = 10.0

log = structlog.get_logger(__name__)


class BasicAuthentication:
    """Lets requests through that name a user of the web configuration and know the password."""

    def __init__(
        self,
        app: ASGIApp,
        live: LiveConfig,
        verifier: Verifier,
        open_paths: frozenset[str],
        monotonic: Callable[[], float],
    ) -> None:
        """Guard ``app``, all of it but ``open_paths``."""
        self._app = app
        self._live = live
        self._verifier = verifier
        self._open_paths = open_paths
        self._refusals = _Refusals(monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have the request answered."""
        users = (await self._live.current()).config.users
        if not users or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        given = _given(scope)
        if given is None:
            refusal = PlainTextResponse("log in with user name and password\n", 401, _CHALLENGE)
        else:
            client = client_of((scope.get("client") or (None,))[0])
            try:
                if await self._verifier.right(given, users, client):
                    await self._app(scope, receive, send)
                    return
            except TooManyChecksError:
                self._refusals.note(client)
                refusal = PlainTextResponse("too many log-ins at once\n", 429, _RETRY)
            else:
                self._refusals.note(client)
                refusal = PlainTextResponse("wrong user name or password\n", 401, _CHALLENGE)
        await refusal(scope, receive, send)


def _given(scope: Scope) -> Credentials | None:
    headers = [value for name, value in scope["headers"] if name == b"authorization"]
    return read_basic(headers[0]) if len(headers) == 1 else None


class _Refusals:
    """Tells of refused log-ins, now and then: an attack shall not fill the log too.

    No user name is told, for people type their password there.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._count = 0
        self._told_at = float("-inf")

    def note(self, client: str) -> None:
        self._count += 1
        now = self._monotonic()
        if now - self._told_at < _TELL_SECONDS:
            return
        log.warning("log-ins refused", count=self._count, last_client=client)
        self._count, self._told_at = 0, now
