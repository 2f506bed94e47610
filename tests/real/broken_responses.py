"""Behaviours of a `BrokenServer` that sends responses: complete, late, partial or endless."""

import asyncio

from tests.real.broken_servers import Behaviour, Connection
from tests.real.cloud_responses import HEAD_OK, console_address

# The maximum that an endless behaviour sends to a client that reads everything.
_ENDLESS_MAX_BYTES = 256 << 20


def answers(*raw: bytes) -> Behaviour:
    """Answer the first request with the first response and so on, then repeat the last one."""

    async def behave(connection: Connection) -> None:
        while True:
            await connection.request()
            served = len(connection.server.requests)
            await connection.send(raw[min(served, len(raw)) - 1])

    return behave


def answers_and_closes(raw: bytes) -> Behaviour:
    """Answer the first request with ``raw``, then FIN, which truncates a longer response."""

    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(raw)

    return behave


def answers_and_resets(raw: bytes) -> Behaviour:
    """Answer the first request with ``raw``, then RST."""

    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(raw)
        # An RST discards data that the client has not read yet.
        await asyncio.sleep(0.05)
        connection.reset()

    return behave


def answers_and_stalls(raw: bytes) -> Behaviour:
    """Answer the first request with ``raw``, then keep the connection open and silent."""

    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(raw)
        await asyncio.Event().wait()

    return behave


def answers_late(seconds: float, raw: bytes) -> Behaviour:
    """Answer each request after ``seconds``."""

    async def behave(connection: Connection) -> None:
        while True:
            await connection.request()
            await asyncio.sleep(seconds)
            await connection.send(raw)

    return behave


def trickles(raw: bytes, *, at_once: int, pause: float) -> Behaviour:
    """Send ``at_once`` bytes of ``raw``, then one byte every ``pause`` seconds."""

    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(raw[:at_once])
        for byte in raw[at_once:]:
            await asyncio.sleep(pause)
            await connection.send(bytes([byte]))

    return behave


def repeats(head: bytes, piece: bytes) -> Behaviour:
    """Send ``head``, then ``piece`` endlessly."""

    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(head)
        while connection.server.bytes_sent < _ENDLESS_MAX_BYTES:
            await connection.send(piece)

    return behave


# ---- Behaviours of a server that breaks keep-alive connections


async def closes_after_response(connection: Connection) -> None:
    """Send a good keep-alive response and close the connection immediately."""
    await connection.request()
    await connection.send(console_address())


async def closes_at_second_request(connection: Connection) -> None:
    """Send a good response and close at the next request, as in the keep-alive race."""
    await connection.request()
    await connection.send(console_address())
    await connection.request()


async def resets_at_second_request(connection: Connection) -> None:
    """Send a good response and reset at the next request on the same connection."""
    await connection.request()
    await connection.send(console_address())
    await connection.request()
    connection.reset()


endless_body = repeats(HEAD_OK + b"\r\n", b"x" * 65536)
endless_chunks = repeats(
    HEAD_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"
)
endless_header = repeats(HEAD_OK + b"X-Endless: ", b"x" * 65536)
endless_headers = repeats(HEAD_OK, b"X-Endless: 0123456789abcdef\r\n" * 1024)
endless_early_hints = repeats(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 64)
