"""A DNS zone that does not answer delays no other look-ups."""

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
    """Answers every name except those in ``dead.test``, whose threads block."""

    def __init__(self) -> None:
        self.queries: Counter[str] = Counter()
        self.released = threading.Event()

    def getaddrinfo(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.queries[host] += 1
        if host.endswith("dead.test"):
            self.released.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", port))]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSystem]:
    fake = FakeSystem()
    monkeypatch.setattr(socket, "getaddrinfo", fake.getaddrinfo)
    yield fake
    fake.released.set()


async def give_up(work: Any) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await work


@pytest.mark.usefixtures("system")
async def test_a_name_resolves_while_many_other_look_ups_hang() -> None:
    resolver = SystemResolver()
    await asyncio.gather(*(give_up(resolver.resolve(f"{n}.dead.test", 443)) for n in range(60)))

    started = time.monotonic()
    found = await resolver.resolve("console.test", 443)

    assert found == ["192.0.2.7"]
    assert time.monotonic() - started < 5
    # The threads of asyncio's own pool, which a reload needs, stay free.
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 5) == "done"


async def test_concurrent_look_ups_of_one_name_share_one_query(system: FakeSystem) -> None:
    resolver = SystemResolver()
    await asyncio.gather(*(give_up(resolver.resolve("a.dead.test", 443)) for _ in range(20)))
    await give_up(resolver.resolve("a.dead.test", 443))

    assert system.queries["a.dead.test"] == 1


async def test_a_finished_look_up_is_not_cached(system: FakeSystem) -> None:
    resolver = SystemResolver()
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.resolve("unknown.test", 443)
        await resolver.resolve("console.test", 443)

    assert system.queries == {"unknown.test": 2, "console.test": 2}


async def test_concurrent_look_ups_are_limited(
    system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.http.resolver._AT_ONCE_MAX", 3)
    resolver = SystemResolver()
    await asyncio.gather(*(give_up(resolver.resolve(f"{n}.dead.test", 443)) for n in range(3)))

    with pytest.raises(OSError, match="too many"):
        await resolver.resolve("console.test", 443)
    assert "console.test" not in system.queries


async def test_a_name_invalid_in_dns_is_a_look_up_error() -> None:
    with pytest.raises(OSError, match="DNS"):
        await SystemResolver().resolve("a" * 70 + ".test", 443)
