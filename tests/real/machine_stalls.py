"""Detect stalls of the machine, which make tests with real time fail for no fault of the program.

Decorate a test that depends on the real clock:

    @retry_if_machine_stalled
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
STALL_SECONDS = 0.1
"""A sleeping thread that wakes up this late proves a stall."""
DISTURBANCE_SECONDS = 0.4
"""A stall that makes a probe with a timeout of a second fail."""
TRIES = 3
_TICK = 0.02


@dataclass(slots=True)
class Stalls:
    """The longest stall of a core in seconds."""

    longest: float = 0.0


@contextmanager
def measuring_stalls() -> Iterator[Stalls]:
    """Measure stalls on each core until the block ends; a virtual core may stall alone."""
    stalls, ended = Stalls(), Event()

    def watch(core: int) -> None:
        # 0 is the current thread.
        os.sched_setaffinity(0, {core})
        while not ended.is_set():
            due = time.monotonic() + _TICK
            time.sleep(_TICK)
            stalls.longest = max(stalls.longest, time.monotonic() - due)

    threads = [Thread(target=watch, args=[core]) for core in os.sched_getaffinity(0)]
    for thread in threads:
        thread.start()
    try:
        yield stalls
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def retry_if_machine_stalled(test: Callable[P, R]) -> Callable[P, R]:
    """Retry a test that fails while the machine stalls, three tries in all.

    A failure without a stall, or of the last try, fails the test.
    """

    @wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        for left in reversed(range(TRIES)):
            with _ignore_failure_on_stall(left):
                return test(*args, **kwargs)
        raise AssertionError("the failure of the last try is not ignored")

    @wraps(test)
    async def async_wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        for left in reversed(range(TRIES)):
            with _ignore_failure_on_stall(left):
                return await cast("Any", test(*args, **kwargs))
        raise AssertionError("the failure of the last try is not ignored")

    return cast("Callable[P, R]", async_wrapper) if inspect.iscoroutinefunction(test) else wrapper


def retry_until_undisturbed(run: Callable[[], R]) -> R:
    """Return the result of ``run``, repeated if the machine stalls meanwhile.

    The result of the last try is returned even if the machine stalls.
    """
    tries = itertools.count(1)

    @retry_if_machine_stalled
    def run_once() -> R:
        number = next(tries)
        with measuring_stalls() as stalls:
            result = run()
        assert number == TRIES or stalls.longest < DISTURBANCE_SECONDS
        return result

    return run_once()


@contextmanager
def _ignore_failure_on_stall(tries_left: int) -> Iterator[None]:
    """Ignore a failure if the machine stalled and tries are left."""
    try:
        with measuring_stalls() as stalls:
            yield
    except (Exception, pytest.fail.Exception) as error:
        if not tries_left or stalls.longest < STALL_SECONDS:
            raise
        print(f"Retrying because the machine stalled for {stalls.longest:.2g} s: {error!r}")  # noqa: T201
