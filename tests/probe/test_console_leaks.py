"""A thousand deep probes, a third of which break, leave nothing behind."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from itertools import cycle, islice
from pathlib import Path

from exporter.config.config import Tls
from exporter.model import ProbeResult, Stage
from exporter.outcome import Outcome
from tests.real.broken_servers import Connection
from tests.real.certificates import Certificates
from tests.real.cloud_answers import answer
from tests.real.open_files import leaving_nothing_behind
from tests.real.probing import Probe, probing
from tests.real.raw_console import (
    VERSION,
    Handshake,
    Speaking,
    accepts,
    console,
    frame,
    says,
    says_and_resets,
)

PROBES, AT_ONCE = 1000, 20
SILENCE = 0.2


async def floods(connection: Connection) -> None:
    # Not without end: asyncio's TLS takes in what nobody receives any more, without an error.
    for _ in range(256):
        await connection.send(frame(bytes(16384)))


async def says_a_version(connection: Connection) -> None:
    """Say it and, as websockify does, end when the client says goodbye."""
    await connection.send(frame(VERSION))
    await connection.first_bytes()


async def probes_of_consoles(stack: AsyncExitStack, folder: Path) -> list[Probe]:
    """Return what probes consoles in their turn: two good ones for each that breaks its way."""
    certificates = Certificates()
    trust = Tls(ca_file=certificates.write_authority(folder / "ca.pem"))

    async def at(
        speaks: Speaking | None = None, handshake: Handshake = accepts, seconds: float = 10.0
    ) -> Probe:
        gateway = await stack.enter_async_context(
            console(handshake=handshake, speaks=speaks, tls=certificates.good(), trust=trust)
        )
        return await stack.enter_async_context(
            probing(gateway.api, timeout=seconds, depth=Stage.RFB, console=gateway.settings)
        )

    good = await at(says_a_version)
    broken = [
        await at(handshake=lambda _: answer(502)),
        await at(says(), seconds=SILENCE),
        await at(says_and_resets()),
        await at(floods),
    ]
    return [probe for one in broken for probe in (good, one, good)]


def seen(result: ProbeResult) -> Outcome:
    """Return a result's outcome; on a busy machine a deadline may be one that nobody watched."""
    return Outcome.TIMEOUT if "held up itself" in result.detail else result.outcome


async def test_a_thousand_deep_probes_leave_no_socket_task_or_file(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        probes = await probes_of_consoles(stack, tmp_path)
        # What is kept for good, connections to the pretend APIs, is opened by this.
        for probe in dict.fromkeys(probes):
            await asyncio.gather(*(probe() for _ in range(AT_ONCE)))

        places = asyncio.Semaphore(AT_ONCE)

        async def in_turn(probe: Probe) -> ProbeResult:
            async with places:
                return await probe()

        # Connections of the last probes are still ending.
        await asyncio.sleep(0.2)
        permits = (in_turn(probe) for probe in islice(cycle(probes), PROBES))
        async with leaving_nothing_behind():
            outcomes = Counter([seen(result) for result in await asyncio.gather(*permits)])

    assert outcomes == {
        Outcome.SUCCESS: 667,
        Outcome.WEBSOCKET_REJECTED: 84 + 83,
        Outcome.TIMEOUT: 83,
        Outcome.RFB_ERROR: 83,
    }
