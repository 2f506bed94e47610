"""A thousand deep probes, a third of which break, leave nothing behind."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from itertools import cycle, islice
from pathlib import Path

from exporter.config.config import Tls
from exporter.model import ProbeResult, Stage
from exporter.outcome import Outcome
from tests.real.broken_servers import Connection
from tests.real.certificates import Certificates
from tests.real.cloud_answers import answer
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


def open_files() -> Counter[str]:
    """Count what this process has open, by kind."""
    kinds: Counter[str] = Counter()
    for descriptor in Path("/proc/self/fd").iterdir():
        # The one that the listing itself has open may be gone.
        with suppress(FileNotFoundError):
            kinds[str(descriptor.readlink()).partition(":")[0]] += 1
    return kinds


async def test_a_thousand_deep_probes_leave_no_socket_task_or_file(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        probes = await probes_of_consoles(stack, tmp_path)
        # What is kept for good, connections to the pretend APIs, is opened by this.
        for probe in dict.fromkeys(probes):
            await asyncio.gather(*(probe() for _ in range(AT_ONCE)))
        await asyncio.sleep(0.2)
        tasks, files = len(asyncio.all_tasks()), open_files()

        places = asyncio.Semaphore(AT_ONCE)

        async def in_turn(probe: Probe) -> ProbeResult:
            async with places:
                return await probe()

        turns = (in_turn(probe) for probe in islice(cycle(probes), PROBES))
        outcomes = Counter([result.outcome for result in await asyncio.gather(*turns)])

        await settled(tasks, files)
        assert len(asyncio.all_tasks()) <= tasks
        assert open_files() <= files
    assert outcomes == {
        Outcome.SUCCESS: 667,
        Outcome.WEBSOCKET_REJECTED: 84 + 83,
        Outcome.TIMEOUT: 83,
        Outcome.RFB_ERROR: 83,
    }


async def settled(tasks: int, files: Counter[str]) -> None:
    """Give what is ending the time to end."""
    give_up = time.monotonic() + 3
    while time.monotonic() < give_up:
        if len(asyncio.all_tasks()) <= tasks and open_files() <= files:
            return
        await asyncio.sleep(0.05)
