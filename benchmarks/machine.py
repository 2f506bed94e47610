"""CPU and memory of a process, CPU of unrelated programs, and printing of tables."""

import contextlib
import os
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
# user, nice, system, irq, softirq, steal; the other fields are idle or contained in these.
_BUSY = (1, 2, 3, 6, 7, 8)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process, all threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def say(text: str) -> None:
    """Print without buffering, because a benchmark takes minutes."""
    print(text, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows as a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    say("\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))


@contextlib.contextmanager
def noise() -> Iterator[None]:
    """Print at the end how much CPU unrelated programs used while the block ran."""
    begun, busy, own = time.monotonic(), _busy(), _own()
    yield
    share = (_busy() - busy - (_own() - own)) / (time.monotonic() - begun)
    cores = os.cpu_count() or 1
    say(f"\nOther programs used {max(0.0, share):.2f} of {cores} cores meanwhile.")


def _busy() -> float:
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return sum(int(fields[place]) for place in _BUSY) / _TICKS


def _own() -> float:
    """Return the CPU seconds of this process and its ended child processes."""
    used = [resource.getrusage(scope) for scope in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
