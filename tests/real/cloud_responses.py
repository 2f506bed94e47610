"""HTTP responses as raw bytes: documented ones of the cloud, and invalid ones."""

import functools
import gzip
import json
import struct
import zlib
from http import HTTPStatus

HEAD_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CONSOLE_URL = (
    "https://cn-southwest-242-console.huaweicloud.com:443/vnc/host.cn-southwest-242/"
    "vnc_auto.html?token=2e3e42cb-b5e7-49f0-91b6-d16401a823ac&compression=9&quality=0&resize=scale"
)
REQUEST_ID = "a2bfcd09f6a3d7f2c1d2e3f405162738"
MIB = 1 << 20
_ZEROS = bytes(16 * MIB)


def response(status: int, body: bytes | str = b"", **headers: str) -> bytes:
    """Return an HTTP response; ``_`` in header names stands for ``-``."""
    body = body.encode() if isinstance(body, str) else body
    fields = {"Content-Length": str(len(body)), "X-Request-Id": REQUEST_ID}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def json_response(status: int, body: object, **headers: str) -> bytes:
    """Return an HTTP response with a JSON body."""
    return response(status, json.dumps(body), Content_Type="application/json", **headers)


def error(status: int, code: str, message: str = "refused", **headers: str) -> bytes:
    """Return an error in the format of CloudDC and the API gateway."""
    return json_response(status, {"error_code": code, "error_msg": message}, **headers)


def console_address(url: object = CONSOLE_URL) -> bytes:
    """Return the documented 200 response with ``url`` as the console address."""
    return json_response(200, {"url": url})


def console_address_of_size(size: int) -> bytes:
    """Return a good response with a body of exactly ``size`` bytes."""
    body = {"url": CONSOLE_URL, "padding": ""}
    body["padding"] = "x" * (size - len(json.dumps(body)))
    return json_response(200, body)


def gzipped(body: bytes, encoding: str = "gzip") -> bytes:
    """Return a 200 response with ``body`` compressed."""
    return response(200, gzip.compress(body), Content_Encoding=encoding)


GOOD_BODY = json.dumps({"url": CONSOLE_URL}).encode()

# The gateway's real 429, from reports of users.
THROTTLED_BY_GATEWAY = json_response(
    429,
    {
        "error_msg": "The throttling threshold has been reached: "
        "policy user over ratelimit,limit:200,time:5 minute",
        "error_code": "APIGW.0308",
        "request_id": REQUEST_ID,
    },
)

IAM_UNAUTHORIZED = json_response(
    401,
    {
        "error": {
            "code": 401,
            "message": "The request you have made requires authentication.",
            "title": "Unauthorized",
        }
    },
)


@functools.cache
def gzip_bomb() -> bytes:
    """Return a response of about 1 MiB on the wire that decompresses to slightly over 1 GiB.

    The compressed body is below 1 MiB, so only a limit on decompressed bytes detects it.
    """
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    compressor.compress(_ZEROS)
    compressor.flush(zlib.Z_FULL_FLUSH)
    # A full flush resets the compressor's state, so every block has the same bytes.
    block = compressor.compress(_ZEROS) + compressor.flush(zlib.Z_FULL_FLUSH)
    blocks = 64
    ending = compressor.compress(b"\0") + compressor.flush()
    checksum = 0
    for _ in range(blocks):
        checksum = zlib.crc32(_ZEROS, checksum)
    size = blocks * len(_ZEROS) + 1
    body = (
        b"\x1f\x8b\x08" + bytes(6) + b"\xff"
        + block * blocks
        + ending
        + struct.pack("<II", zlib.crc32(b"\0", checksum), size & 0xFFFFFFFF)
    )  # fmt: skip
    return response(200, body, Content_Encoding="gzip")
