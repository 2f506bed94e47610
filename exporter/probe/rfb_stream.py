"""Read RFB from a WebSocket as a stream of bytes: how they are cut into frames has no meaning."""

import asyncio
from time import perf_counter

from exporter.http.deadline import Deadline
from exporter.http.error_mapping import deadline_error
from exporter.http.websocket import Ended, WebSocket
from exporter.model import Stage
from exporter.outcome import Outcome
from exporter.probe.stage import StageFailedError

# Pings and empty messages carry no bytes; more than this is a flood.
_EMPTY_MAX = 100
# RFC 6455, 7.4.1.
_CODES = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1011: "internal error; websockify sends it when the machine behind it does not answer",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}
_PRIVATE_CODES = range(4000, 5000)


class RfbStream:
    """The bytes of one console; ``unread`` has arrived, ``end`` tells how the WebSocket ended."""

    def __init__(self, messages: WebSocket, deadline: Deadline) -> None:
        self.unread = bytearray()
        self.end: Ended | None = None
        self.deadline = deadline
        self._messages = messages
        self._received = 0
        self._empty = 0

    async def fill(self, size: int, seconds: float) -> None:
        """Receive until ``size`` bytes are unread, the WebSocket ends or ``seconds`` have passed.

        The time counts as spent. Raises `StageFailedError` for a flood of messages without bytes.
        """
        with self.deadline.spending():
            try:
                async with asyncio.timeout(seconds):
                    while len(self.unread) < size and self.end is None:
                        await self._receive()
            except TimeoutError:
                return

    async def peek(self, size: int, name: str) -> bytes:
        """Return the next ``size`` bytes, called ``name`` in errors. They stay unread.

        Raises `StageFailedError` when the WebSocket ends before, `NoResponseError` at the deadline.
        """
        since, seconds = perf_counter(), self.deadline.left
        await self.fill(size, seconds)
        if len(self.unread) < size:
            so_far = f"{len(self.unread)} of {size} bytes of the {name}"
            if self.end is not None:
                raise self.ended(f"after {so_far}")
            raise deadline_error(f"only {so_far} arrived in time", since=since, seconds=seconds)
        return bytes(self.unread[:size])

    async def read(self, size: int, name: str) -> bytes:
        """Take the next ``size`` bytes; raises as `peek`."""
        taken = await self.peek(size, name)
        del self.unread[:size]
        return taken

    async def send(self, data: bytes) -> None:
        """Send bytes; raises `NoResponseError` when the other side reads none until the deadline.

        If the WebSocket has ended, the next `read` tells.
        """
        since, seconds = perf_counter(), self.deadline.left
        with self.deadline.spending():
            try:
                async with asyncio.timeout(seconds):
                    await self._messages.send(data)
            except TimeoutError:
                raise deadline_error(
                    "the gateway does not read", since=since, seconds=seconds
                ) from None

    def ended(self, when: str) -> StageFailedError:
        """Return the error for the end of the WebSocket, which came ``when``."""
        end = self.end or Ended()
        if end.is_violation:
            return StageFailedError(
                Outcome.RFB_ERROR,
                f"the received data violates the WebSocket protocol: {_code(end.code)}",
            )
        how = (
            f"closed with {_code(end.code)}"
            if end.has_close_frame
            else "ended without a close frame (1006 in a browser)"
        )
        if self._received:
            return StageFailedError(Outcome.RFB_ERROR, f"the WebSocket {how} {when}")
        return StageFailedError(
            Outcome.WEBSOCKET_REJECTED,
            f"the WebSocket {how} before the first byte",
            Stage.WEBSOCKET,
        )

    async def _receive(self) -> None:
        message = await self._messages.receive()
        if isinstance(message, Ended):
            self.end = message
            return
        self.unread += message
        self._received += len(message)
        self._empty += not message
        if self._empty == _EMPTY_MAX:
            raise StageFailedError(
                Outcome.RFB_ERROR,
                f"{_EMPTY_MAX} messages were empty, the others contained {self._received} bytes",
            )


def _code(code: int | None) -> str:
    if code is None:
        return "no code"
    if code in _PRIVATE_CODES:
        return f"{code} (defined by the gateway)"
    return f"{code} ({_CODES[code]})" if code in _CODES else str(code)
