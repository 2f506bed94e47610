"""A network and a resolver configuration of one's own, for a test that takes parts of them away.

Linux gives namespaces to threads: what runs in one of its own, and the processes it starts, see
another loopback and another /etc/resolv.conf than everybody else. They vanish with the last user.
"""

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.real.programs import required
from tests.real.rights import as_root

T = TypeVar("T")
_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000


def in_own_namespace(work: Callable[[], T], resolv_conf: Path) -> T:
    """Return what ``work`` returns in a thread with a network of its own; needs root."""
    as_root()
    required("ip")

    def inside() -> T:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        for command in (
            ["mount", "--make-rprivate", "/"],
            ["mount", "--bind", str(resolv_conf), "/etc/resolv.conf"],
            ["ip", "link", "set", "lo", "up"],
        ):
            subprocess.run(command, check=True)
        return work()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(inside).result()
