"""Read why a console refuses a viewer: RFC 6143, 7.1.2, a length and a text.

Servers refuse in the place of the security types. TigerVNC and TurboVNC also do so at once, without
waiting for the client's version, and then claim to speak version 3.3.
"""

from exporter.outcome import Outcome
from exporter.probe.rfb_stream import RfbStream
from exporter.probe.stage import StageFailedError
from exporter.process.log import redact

_LENGTH_BYTES = 4
_SHOWN_MAX = 300
# What servers say when they would accept this viewer at another time. QEMU, libvncserver and
# neatvnc have no such text: they close the connection.
_BUSY = (
    # TigerVNC, common/rfb/VNCServerST.cxx, and RealVNC, help.realvnc.com, article 360003563111:
    # a host connected too often without a login.
    "too many security failures",
    # TightVNC and TurboVNC, Xvnc's auth.c. TurboVNC adds "Client temporarily blocked".
    "too many authentication failures",
    # UltraVNC, winvnc/vncclient.cpp: "Your connection has been rejected to many attempts."
    "rejected to many attempts",
    # TurboVNC, Xvnc's sockets.c: as many viewers as -maxconnections allows.
    "connection limit reached",
    # UltraVNC, winvnc/vncclient.cpp: as many viewers as MaxViewers allows.
    "max viewers reached",
    # TigerVNC, common/rfb/VNCServerST.cxx, and TurboVNC, Xvnc's auth.c: "The server is already in
    # use". They say it after the login only.
    "server is already in use",
)


async def read_refusal(stream: RfbStream, token: str) -> StageFailedError:
    """Read the reason of a refusal and return it as an error.

    An incomplete reason counts as far as it arrives before the deadline. ``token``, that of the
    console address, is never shown.
    """
    await stream.fill(_LENGTH_BYTES, stream.deadline.left)
    secret = token.encode()
    # All of the token, if it begins in what is shown.
    size = min(int.from_bytes(stream.unread[:_LENGTH_BYTES]), _SHOWN_MAX + len(secret))
    if len(stream.unread) >= _LENGTH_BYTES:
        await stream.fill(_LENGTH_BYTES + size, stream.deadline.left)
    reason = _printable(bytes(stream.unread[_LENGTH_BYTES : _LENGTH_BYTES + size]), secret)
    if not reason:
        return StageFailedError(
            Outcome.RFB_ERROR, "the console refuses the connection without a reason"
        )
    if any(text in reason.lower() for text in _BUSY):
        return StageFailedError(Outcome.BUSY, f"the console accepts no more viewers: {reason}")
    return StageFailedError(Outcome.RFB_ERROR, f"the console refuses the connection: {reason}")


def _printable(raw: bytes, secret: bytes) -> str:
    """Return the beginning of a reason as one line, as far as the secret."""
    shown = (raw.partition(secret)[0] if secret else raw)[:_SHOWN_MAX].decode(errors="replace")
    line = " ".join("".join(char if char.isprintable() else " " for char in shown).split())
    return redact(line)
