"""Tell whether a project's API answers at all, so that a failure is blamed on the right side.

A probe without an answer of the API says nothing about its server: the network, a proxy or the
endpoint may be at fault. It does if the API answers another request of the project at the same
time. Where no other request does, one control request finds out for all failing probes.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable

import httpx
import structlog

from exporter.clock import Clock
from exporter.cloud.api_error import ApiError
from exporter.cloud.errors import LoginFailedError
from exporter.http.errors import BadResponseError, NoResponse, NoResponseError
from exporter.http.json_body import json_body

CONTROL_SECONDS = 5.0
"""Least time between two control requests, and how long a failed one counts."""

_OK = 200
_FIRST_ERROR = 400
_NOT_FOUND = 404
_THROTTLED = 429
_SERVER_NOT_FOUND = "iMetal.0100"
# A gateway that does not know the API: no such API, no such version or environment.
_NO_SUCH_API = frozenset(
    f"{gateway}.{number}"
    for gateway in ("APIGW", "APIG")
    for number in ("0101", "0103", "0104", "0105", "0106")
)
# The exporter's own limits say nothing about the API.
_OWN_LIMITS = frozenset({NoResponse.EXHAUSTED, NoResponse.BLOCKED})

log = structlog.get_logger(__name__)


def is_from_api(response: httpx.Response) -> bool:
    """Return whether a response has the API's own shape: a documented body, or its error code.

    Of the 404s only an unknown server's is the API's own: any web server may answer 404.
    """
    status = response.status_code
    if status == _OK:
        body = json_body(response)
        return isinstance(body, dict) and (
            isinstance(body.get("url"), str) or isinstance(body.get("servers"), list)
        )
    code = ApiError.of(response).code
    if status == _NOT_FOUND:
        return code == _SERVER_NOT_FOUND
    return status >= _FIRST_ERROR and "." in code and not is_unknown_api(code)


def is_unknown_api(code: str) -> bool:
    """Return whether an error code says that the gateway does not know the API."""
    return code in _NO_SUCH_API


class Reachability:
    """Whether the API of one project answers, as far as its responses and control requests show.

    ``reachable`` is None before the first evidence.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reachable: bool | None = None
        self._answered_at = -math.inf
        # The end of the last control request without an answer, until the API answers.
        self._refuted_at = -math.inf
        self._next_control_at = -math.inf
        # Shared by all failed probes that wait: they have all begun before its result.
        self._evidence: asyncio.Future[bool] | None = None
        self._control: asyncio.Task[None] | None = None

    def observe(self, response: httpx.Response) -> None:
        """Learn from a response to a request to the API."""
        if is_from_api(response):
            self.answered()

    def answered(self) -> None:
        """Record that the API itself has just answered a request."""
        self.reachable = True
        self._answered_at = self._clock.monotonic()
        self._refuted_at = -math.inf
        self._conclude(answers=True)

    async def confirm(self, began: float, ask: Callable[[], Awaitable[None]]) -> bool:
        """Return whether the API answers, for a failed probe that began at ``began``.

        ``began`` is monotonic time in seconds. ``ask`` sends a control request, whose response is
        observed like any other; it may raise `httpx.RequestError`. It is called if the API has
        answered nobody since ``began``, at most once every `CONTROL_SECONDS` for all callers.
        Without any evidence the result is false. Raises nothing but cancellation, which affects no
        other caller.
        """
        if self._answered_at >= began:
            return True
        if self._refuted_at >= min(began, self._clock.monotonic() - CONTROL_SECONDS):
            return False
        loop = asyncio.get_running_loop()
        if self._evidence is None:
            self._evidence = loop.create_future()
        if self._control is None:
            self._control = loop.create_task(self._run_control(ask))
            # Also runs if the task is cancelled before its first step.
            self._control.add_done_callback(self._control_ended)
        return await asyncio.shield(self._evidence)

    async def aclose(self) -> None:
        """Cancel a running control request; waiting callers get false."""
        if control := self._control:
            control.cancel()
            await asyncio.wait({control})

    async def _run_control(self, ask: Callable[[], Awaitable[None]]) -> None:
        await self._clock.sleep(max(0.0, self._next_control_at - self._clock.monotonic()))
        # Another response may have been the evidence in the meantime.
        if self._evidence is not None:
            await self._send(ask)

    def _control_ended(self, _task: asyncio.Task[None]) -> None:
        self._control = None
        self._conclude(answers=False)

    async def _send(self, ask: Callable[[], Awaitable[None]]) -> None:
        sent_at = self._clock.monotonic()
        try:
            await ask()
        except LoginFailedError:
            return
        except NoResponseError as error:
            if error.reason in _OWN_LIMITS:
                return
        except BadResponseError as error:
            # Throttled before the API could answer.
            if error.status == _THROTTLED:
                return
        except Exception:  # a bug of the exporter must not count against the API
            log.exception("control request failed: internal error")
            return
        finally:
            self._next_control_at = self._clock.monotonic() + CONTROL_SECONDS
        if self._answered_at < sent_at:
            self.reachable = False
            self._refuted_at = self._clock.monotonic()

    def _conclude(self, *, answers: bool) -> None:
        """Answer all who wait."""
        evidence, self._evidence = self._evidence, None
        if evidence is not None and not evidence.done():
            evidence.set_result(answers)
