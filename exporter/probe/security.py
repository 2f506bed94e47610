"""Stage ``security``: ask the machine which security types it offers.

RFC 6143, 7.1.2: after the client's version the server lists its security types, or refuses the
viewer and says why. This stage disconnects before it chooses a type: long before the ClientInit,
whose shared flag may disconnect other viewers.
"""

from exporter.outcome import Outcome
from exporter.probe.refusal import read_refusal
from exporter.probe.rfb import SECURITY_TYPE_BYTES, common_version
from exporter.probe.rfb_stream import RfbStream
from exporter.probe.stage import StageFailedError

# IANA's registry of remote framebuffer security types, and UltraVNC's types.
_NAMES = {
    1: "None",
    2: "VNC authentication",
    5: "RA2",
    6: "RA2ne",
    16: "Tight",
    17: "Ultra",
    18: "TLS",
    19: "VeNCrypt",
    20: "SASL",
    21: "MD5 hash authentication",
    22: "xvp",
    23: "Secure Tunnel",
    24: "Integrated SSH",
    30: "Apple Diffie-Hellman",
    113: "MS-Logon II",
    129: "RA2-256",
    130: "RA2ne-256",
    0xFFFFFFFA: "MS-Logon",
}
_BYTE_MAX = 255
_NAMED_MAX = 8


async def read_security_types(stream: RfbStream, version: str, token: str) -> str:
    """Send the client's version and return the names of the security types that the server offers.

    ``version`` is the server's; ``token``, that of the console address, is never shown. Raises
    `StageFailedError` when the server refuses or offers nothing, and `NoResponseError` when the
    deadline passes.
    """
    spoken = common_version(version)
    await stream.send(f"RFB {spoken}\n".encode())
    if spoken == "003.003":
        kind = int.from_bytes(await stream.read(SECURITY_TYPE_BYTES, "security type"))
        kinds = [kind] if kind <= _BYTE_MAX or kind in _NAMES else []
        refused = not kind
    else:
        count = (await stream.read(1, "number of security types"))[0]
        kinds = list(await stream.read(count, "security types")) if count else []
        refused = not count
    if refused:
        raise await read_refusal(stream, token)
    names = [_NAMES.get(kind, f"type {kind}") for kind in dict.fromkeys(kinds) if kind]
    if not names:
        raise StageFailedError(Outcome.RFB_ERROR, "the console offers no valid security type")
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return f"{', '.join(names[:_NAMED_MAX])}{more}"
