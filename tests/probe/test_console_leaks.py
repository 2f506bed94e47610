"""A thousand deep probes, a third of which fail, leak no resources."""

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
from tests.real.cloud_responses import response
from tests.real.leak_check import asserting_no_leaks
from tests.real.probing import Probe, probing
from tests.real.raw_console import (
    VERSION,
    Handshake,
    WebSocketBehaviour,
    accepts,
    console,
    frame,
    sends,
    sends_and_resets,
)

PROBES, CONCURRENT = 1000, 20
SHORT_TIMEOUT = 0.2


async def floods(connection: Connection) -> None:
    # Limited: asyncio's TLS goes on accepting data after the peer stopped reading.
    for _ in range(256):
        await connection.send(frame(bytes(16384)))


async def says_a_version(connection: Connection) -> None:
    """Send a version and, as websockify does, end when the client sends a close frame."""
    await connection.send(frame(VERSION))
    await connection.first_bytes()


async def probes_of_consoles(stack: AsyncExitStack, folder: Path) -> list[Probe]:
    """Return the probes to repeat: for each kind of broken console, one of it and two good ones."""
    certificates = Certificates()
    trust = Tls(ca_file=certificates.write_authority(folder / "ca.pem"))

    async def at(
        behaviour: WebSocketBehaviour | None = None,
        handshake: Handshake = accepts,
        seconds: float = 10.0,
    ) -> Probe:
        gateway = await stack.enter_async_context(
            console(handshake=handshake, behaviour=behaviour, tls=certificates.good(), trust=trust)
        )
        return await stack.enter_async_context(
            probing(gateway.api, timeout=seconds, depth=Stage.RFB, console=gateway.settings)
        )

    good = await at(says_a_version)
    broken = [
        await at(handshake=lambda _: response(502)),
        await at(sends(), seconds=SHORT_TIMEOUT),
        await at(sends_and_resets()),
        await at(floods),
    ]
    return [probe for failing in broken for probe in (good, failing, good)]


def normalized_outcome(result: ProbeResult) -> Outcome:
    """Return a result's outcome, with a deadline missed by a busy machine as a timeout."""
    return Outcome.TIMEOUT if "exporter itself was blocked" in result.detail else result.outcome


async def test_a_thousand_deep_probes_leak_no_socket_task_or_file(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        probes = await probes_of_consoles(stack, tmp_path)
        # Opens the pooled connections to the simulated APIs, which stay open.
        for probe in dict.fromkeys(probes):
            await asyncio.gather(*(probe() for _ in range(CONCURRENT)))

        semaphore = asyncio.Semaphore(CONCURRENT)

        async def limited(probe: Probe) -> ProbeResult:
            async with semaphore:
                return await probe()

        # Connections of the last probes are still closing.
        await asyncio.sleep(0.2)
        running = (limited(probe) for probe in islice(cycle(probes), PROBES))
        async with asserting_no_leaks():
            results = await asyncio.gather(*running)
            outcomes = Counter(normalized_outcome(result) for result in results)

    assert outcomes == {
        Outcome.SUCCESS: 667,
        Outcome.WEBSOCKET_REJECTED: 84 + 83,
        Outcome.TIMEOUT: 83,
        Outcome.RFB_ERROR: 83,
    }
