"""What a process used, what else the machine did meanwhile, and the table that tells of it."""

import contextlib
import os
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
# user, nice, system, irq, softirq, steal; the others are idle, or counted twice.
_BUSY = (1, 2, 3, 6, 7, 8)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_bytes(pid: int) -> int:
    """Return the bytes of memory that a process holds now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def say(text: str) -> None:
    """Print at once: a measurement takes minutes, and somebody is watching."""
    print(text, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows as README.md shows them."""
    lines = [head, ["---"] * len(head), *rows]
    say("\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))


@contextlib.contextmanager
def noise() -> Iterator[None]:
    """Say at the end how much of the machine programs that are not ours used meanwhile."""
    begun, busy, own = time.monotonic(), _busy(), _own()
    yield
    share = (_busy() - busy - (_own() - own)) / (time.monotonic() - begun)
    cores = os.cpu_count() or 1
    say(f"\nOther programs used {max(0.0, share):.2f} of {cores} cores meanwhile.")


def _busy() -> float:
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return sum(int(fields[place]) for place in _BUSY) / _TICKS


def _own() -> float:
    """Return the CPU seconds of this process and of those it started that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
