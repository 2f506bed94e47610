"""A dead DNS zone holds up nobody else."""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.http.resolver import SystemResolver


class FakeSystem:
    """Answers every name but those of ``dead.test``, which keep their threads."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.released = threading.Event()

    def getaddrinfo(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.asked[host] += 1
        if host.endswith("dead.test"):
            self.released.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", port))]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSystem]:
    pretend = FakeSystem()
    monkeypatch.setattr(socket, "getaddrinfo", pretend.getaddrinfo)
    yield pretend
    pretend.released.set()


async def give_up(work: Any) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await work


@pytest.mark.usefixtures("system")
async def test_a_name_is_answered_while_many_others_get_no_answer() -> None:
    resolver = SystemResolver()
    await asyncio.gather(*(give_up(resolver.resolve(f"{n}.dead.test")) for n in range(60)))

    started = time.monotonic()
    (found,) = await resolver.resolve("console.test", 443)

    assert (found["host"], found["port"], found["hostname"]) == ("192.0.2.7", 443, "console.test")
    assert time.monotonic() - started < 5
    # What has to wait for a thread of asyncio's own, a reload for one, need not.
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 5) == "done"


async def test_a_name_is_asked_for_once_however_many_wait(system: FakeSystem) -> None:
    resolver = SystemResolver()
    await asyncio.gather(*(give_up(resolver.resolve("a.dead.test")) for _ in range(20)))
    await give_up(resolver.resolve("a.dead.test"))

    assert system.asked["a.dead.test"] == 1


async def test_a_look_up_that_ends_is_forgotten(system: FakeSystem) -> None:
    resolver = SystemResolver()
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.resolve("unknown.test")
        await resolver.resolve("console.test")

    assert system.asked == {"unknown.test": 2, "console.test": 2}


async def test_look_ups_at_once_are_bounded(
    system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.http.resolver._AT_ONCE_MAX", 3)
    resolver = SystemResolver()
    await asyncio.gather(*(give_up(resolver.resolve(f"{n}.dead.test")) for n in range(3)))

    with pytest.raises(OSError, match="too many"):
        await resolver.resolve("console.test")
    assert "console.test" not in system.asked


async def test_a_name_that_dns_cannot_hold_is_an_error_of_the_look_up() -> None:
    with pytest.raises(OSError, match="DNS"):
        await SystemResolver().resolve("a" * 70 + ".test")
