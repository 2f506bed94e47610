"""Behaviours of a `BrokenServer` that answers: well, late, in pieces, in part, or without end."""

import asyncio

from tests.real.broken_servers import Behaviour, Connection
from tests.real.cloud_answers import HEAD_OK, console_address

# What a behaviour without end sends at most, should a client swallow it all.
_ENDLESS_MAX_BYTES = 256 << 20


def answers(*raw: bytes) -> Behaviour:
    """Answer the first request with the first answer and so on, the last one for ever after."""

    async def behave(connection: Connection) -> None:
        while True:
            await connection.request()
            served = len(connection.server.requests)
            await connection.send(raw[min(served, len(raw)) - 1])

    return behave


def answers_and_closes(raw: bytes) -> Behaviour:
    """Send ``raw`` to the first request, then FIN: cuts an answer that promises more."""

    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(raw)

    return behave


def answers_and_resets(raw: bytes) -> Behaviour:
    """Send ``raw`` to the first request, then RST."""

    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(raw)
        # An RST overtakes data that the client has not been given yet.
        await asyncio.sleep(0.05)
        connection.reset()

    return behave


def answers_and_stalls(raw: bytes) -> Behaviour:
    """Send ``raw`` to the first request, then nothing more, and keep the connection."""

    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(raw)
        await asyncio.Event().wait()

    return behave


def answers_late(seconds: float, raw: bytes) -> Behaviour:
    """Answer each request ``seconds`` after it came."""

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
    """Send ``head``, then ``piece`` without end."""

    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.send(head)
        while connection.server.bytes_sent < _ENDLESS_MAX_BYTES:
            await connection.send(piece)

    return behave


# ---- Behaviours of a server that keeps connections, and then does not


async def closes_after_answer(connection: Connection) -> None:
    """Answer well, promise to keep the connection, and close it at once."""
    await connection.request()
    await connection.send(console_address())


async def closes_at_second_request(connection: Connection) -> None:
    """Answer well, and close at the next request: the race that every keep-alive can lose."""
    await connection.request()
    await connection.send(console_address())
    await connection.request()


async def resets_at_second_request(connection: Connection) -> None:
    """Answer well, and reset at the next request on the same connection."""
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
