r"""Stage ``rfb``: read the machine's first bytes, its remote framebuffer (RFB) version.

RFC 6143, 7.1.1: the server starts with twelve bytes such as ``RFB 003.008\n``. A client would
reply with its own version and later a ClientInit, which may disconnect other viewers. So a probe
sends nothing.
"""

import asyncio
import re
from time import perf_counter

from exporter.http.deadline import Deadline
from exporter.http.error_mapping import deadline_error
from exporter.http.websocket import Ended, WebSocket
from exporter.model import Stage
from exporter.outcome import Outcome
from exporter.probe.stage import StageFailedError

# Version 3 of the standard, and the others that noVNC accepts: Apple's 003.889, Intel AMT's
# 004.000, RealVNC's 004.001 and 005.000.
_VERSION = re.compile(rb"RFB (003\.00[0-9]|003\.889|004\.00[01]|005\.000)\n")
_BEGINNING = b"RFB 00"
_LENGTH = 12
# Version 3.3 and security type 0: the server sends this without waiting for the client, and then
# closes. TigerVNC does so after too many connections without a login, such as probes.
_CONNECTION_REFUSED = b"RFB 003.003\n\0\0\0\0"
# Pings and empty messages may precede the version; more than this is a flood.
_MESSAGES_MAX = 100
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


async def read_version(messages: WebSocket, deadline: Deadline) -> str:
    """Read at most twelve bytes and return the RFB version, such as ``003.008``.

    Raises `StageFailedError` when the first bytes are not a version or the WebSocket ends before
    them, and `NoResponseError` when the deadline passes.
    """
    received = bytearray()
    since, seconds = perf_counter(), deadline.left
    try:
        with deadline.spending():
            async with asyncio.timeout(seconds):
                await _receive(messages, received)
    except TimeoutError:
        raise deadline_error(
            f"the WebSocket is open, but only {_so_far(received)} arrived in time",
            since=since,
            seconds=seconds,
        ) from None
    found = _VERSION.fullmatch(received)
    if not found:
        raise StageFailedError(
            Outcome.RFB_ERROR, "the console's first bytes are not a known RFB version"
        )
    return found[1].decode()


async def _receive(messages: WebSocket, received: bytearray) -> None:
    for _ in range(_MESSAGES_MAX):
        message = await messages.receive()
        if isinstance(message, Ended):
            raise _ended(message, received)
        if not received and message.startswith(_CONNECTION_REFUSED):
            raise StageFailedError(Outcome.RFB_ERROR, "the console accepts no more viewers")
        received += message[: _LENGTH - len(received)]
        if len(received) == _LENGTH or not _BEGINNING.startswith(received[: len(_BEGINNING)]):
            return
    raise StageFailedError(
        Outcome.RFB_ERROR, f"{_MESSAGES_MAX} messages contained only {_so_far(received)}"
    )


def _ended(end: Ended, received: bytearray) -> StageFailedError:
    """Return the error for a WebSocket that ended before the twelfth byte."""
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
    if received:
        return StageFailedError(Outcome.RFB_ERROR, f"the WebSocket {how} after {_so_far(received)}")
    return StageFailedError(
        Outcome.WEBSOCKET_REJECTED, f"the WebSocket {how} before the first byte", Stage.WEBSOCKET
    )


def _code(code: int | None) -> str:
    if code is None:
        return "no code"
    if code in _PRIVATE_CODES:
        return f"{code} (defined by the gateway)"
    return f"{code} ({_CODES[code]})" if code in _CODES else str(code)


def _so_far(received: bytearray) -> str:
    return f"{len(received)} of {_LENGTH} bytes"
