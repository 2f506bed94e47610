"""Measure memory, threads, file descriptors and TCP sockets of another process."""

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_STATES = {
    "01": "ESTABLISHED", "02": "SYN_SENT", "03": "SYN_RECV", "04": "FIN_WAIT1", "05": "FIN_WAIT2",
    "06": "TIME_WAIT", "07": "CLOSE", "08": "CLOSE_WAIT", "09": "LAST_ACK", "0A": "LISTEN",
    "0B": "CLOSING",
}  # fmt: skip
OTHER = "other"
"""State of sockets that are not TCP sockets of the process's network namespace."""


@dataclass(frozen=True, slots=True)
class ProcessResources:
    """The resources of a process at one moment."""

    resident_bytes: int
    threads: int
    descriptors: int
    sockets: Counter[str]

    @property
    def files(self) -> int:
        """Return the descriptors that are not TCP connections, such as files and pipes."""
        return self.descriptors - self.sockets.total() + self.sockets[OTHER]


def process_resources(pid: int) -> ProcessResources:
    """Return the current resources of a process."""
    process = Path(f"/proc/{pid}")
    links = []
    for descriptor in (process / "fd").iterdir():
        # The descriptor may be closed by now.
        with suppress(FileNotFoundError):
            links.append(str(descriptor.readlink()))
    states = _tcp_states(process)
    sockets = Counter(
        states.get(link.removeprefix("socket:[").removesuffix("]"), OTHER)
        for link in links
        if link.startswith("socket:")
    )
    return ProcessResources(
        resident_bytes=resident_bytes(pid),
        threads=len(list((process / "task").iterdir())),
        descriptors=len(links),
        sockets=sockets,
    )


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def _tcp_states(process: Path) -> dict[str, str]:
    """Return the state of each TCP socket of the process's network namespace by inode."""
    states = {}
    for table in ("tcp", "tcp6"):
        for line in (process / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            states[fields[9]] = _STATES.get(fields[3], OTHER)
    return states
