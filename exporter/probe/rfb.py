r"""Stage ``rfb``: read the machine's first bytes, its remote framebuffer (RFB) version.

RFC 6143, 7.1.1: the server starts with twelve bytes such as ``RFB 003.008\n`` and waits for the
client's version. This stage sends nothing. It waits a moment after the version, because a gateway
whose machine is gone closes then, and because some servers refuse a viewer at once.
"""

import re
from time import perf_counter

from exporter.http.error_mapping import deadline_error
from exporter.outcome import Outcome
from exporter.probe.refusal import read_refusal
from exporter.probe.rfb_stream import RfbStream
from exporter.probe.stage import StageFailedError

# Version 3 of the standard, and the others that noVNC accepts: Apple's 003.889, Intel AMT's
# 004.000, RealVNC's 004.001 and 005.000.
_VERSION = re.compile(rb"RFB (003\.00[0-9]|003\.889|004\.00[01]|005\.000)\n")
_BEGINNING = b"RFB 00"
_LENGTH = 12
SECURITY_TYPE_BYTES = 4
"""Length of the security type in version 3.3."""
_INVALID = bytes(SECURITY_TYPE_BYTES)
# How long the other side has after the version to end the connection or to refuse the viewer.
_SETTLING_SECONDS = 0.2
# More unread bytes than this prove that the connection is open.
_UNREAD_MAX = 256


async def read_version(stream: RfbStream, token: str) -> str:
    """Return the RFB version, such as ``003.008``. Bytes after it stay unread.

    ``token``, that of the console address, is never shown. Raises `StageFailedError` when the first
    bytes are not a version, the WebSocket ends before or right after them, or the console refuses
    viewers, and `NoResponseError` when the deadline passes.
    """
    unread, deadline = stream.unread, stream.deadline
    since, seconds = perf_counter(), deadline.left
    while len(unread) < _LENGTH and _BEGINNING.startswith(unread[: len(_BEGINNING)]):
        before = len(unread)
        await stream.fill(before + 1, deadline.left)
        if len(unread) == before:
            if stream.end is not None:
                raise stream.ended(f"after {before} of {_LENGTH} bytes")
            raise deadline_error(
                f"the WebSocket is open, but only {before} of {_LENGTH} bytes arrived in time",
                since=since,
                seconds=seconds,
            )
    found = _VERSION.fullmatch(bytes(unread[:_LENGTH]))
    if not found:
        raise StageFailedError(
            Outcome.RFB_ERROR, "the console's first bytes are not a known RFB version"
        )
    del unread[:_LENGTH]
    version = found[1].decode()
    await _settle(stream, version, token)
    return version


def common_version(version: str) -> str:
    """Return the highest of the versions 3.3, 3.7 and 3.8 that a server of ``version`` speaks."""
    return max(
        (one for one in ("003.003", "003.007", "003.008") if one <= version), default="003.003"
    )


async def _settle(stream: RfbStream, version: str, token: str) -> None:
    """Wait a moment for the end of the connection or a refusal, and raise an error for these."""
    until = stream.deadline.spent + min(_SETTLING_SECONDS, stream.deadline.left)
    if common_version(version) == "003.003":
        await stream.fill(SECURITY_TYPE_BYTES, until - stream.deadline.spent)
        if stream.unread and (await stream.peek(SECURITY_TYPE_BYTES, "security type")) == _INVALID:
            await stream.read(SECURITY_TYPE_BYTES, "security type")
            raise await read_refusal(stream, token)
    await stream.fill(_UNREAD_MAX, max(0.0, until - stream.deadline.spent))
    if stream.end is not None:
        raise stream.ended("right after the RFB version")
