"""Whether this machine stood still, so that what came too late says nothing of the program.

A test that has to tell time by the real clock is wrapped once:

    @unless_the_machine_stood_still
    async def test_a_silent_server_is_a_timeout() -> None: ...
"""

import inspect
import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from threading import Event, Thread
from typing import Any, ParamSpec, TypeVar, cast

import pytest

P = ParamSpec("P")
R = TypeVar("R")
STOOD_SECONDS = 0.1
"""How late a thread that only sleeps never is on a machine that goes on."""
DISTURBED_SECONDS = 0.4
"""What a probe within a second does not outlast."""
TRIES = 3
_TICK = 0.02


@dataclass(slots=True)
class Stood:
    """The longest time in seconds that a core ran nothing of ours."""

    longest: float = 0.0


@contextmanager
def watching_the_machine() -> Iterator[Stood]:
    """Measure while the block lasts, on each core: a virtual one may stand still alone."""
    stood, ended = Stood(), Event()

    def watch(core: int) -> None:
        # This thread alone.
        os.sched_setaffinity(0, {core})
        while not ended.is_set():
            due = time.monotonic() + _TICK
            time.sleep(_TICK)
            stood.longest = max(stood.longest, time.monotonic() - due)

    threads = [Thread(target=watch, args=[core]) for core in os.sched_getaffinity(0)]
    for thread in threads:
        thread.start()
    try:
        yield stood
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def unless_the_machine_stood_still(test: Callable[P, R]) -> Callable[P, R]:
    """Try again what fails while the machine stands still, three times in all.

    What fails on a machine that went on has failed, and so has what fails each time.
    """

    @wraps(test)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        for left in reversed(range(TRIES)):
            with _excused(left):
                return test(*args, **kwargs)
        raise AssertionError("the last try is not excused")

    @wraps(test)
    async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
        for left in reversed(range(TRIES)):
            with _excused(left):
                return await cast("Any", test(*args, **kwargs))
        raise AssertionError("the last try is not excused")

    return cast("Callable[P, R]", awaited) if inspect.iscoroutinefunction(test) else called


def undisturbed(scene: Callable[[], R]) -> R:
    """Return what a scene that several tests judge shows, once the machine went on meanwhile.

    Should it stand still each time, what the last try shows has to do.
    """
    tries = itertools.count(1)

    @unless_the_machine_stood_still
    def played() -> R:
        number = next(tries)
        with watching_the_machine() as stood:
            shown = scene()
        assert number == TRIES or stood.longest < DISTURBED_SECONDS
        return shown

    return played()


@contextmanager
def _excused(tries_left: int) -> Iterator[None]:
    """Let a failure pass if the machine stood still and it may be tried again."""
    try:
        with watching_the_machine() as stood:
            yield
    except (Exception, pytest.fail.Exception) as error:
        if not tries_left or stood.longest < STOOD_SECONDS:
            raise
        print(f"Again, for the machine stood still for {stood.longest:.2g} s: {error!r}")  # noqa: T201
