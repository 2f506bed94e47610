"""Run a test in its own network and mount namespaces.

Linux namespaces belong to threads: a thread in its own namespaces, and the processes it starts,
have a separate loopback interface and /etc/resolv.conf. They end with the last process.
"""

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.real.privileges import require_root
from tests.real.programs import required

T = TypeVar("T")
_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000


def in_own_namespace(work: Callable[[], T], resolv_conf: Path) -> T:
    """Run ``work`` in a thread with its own namespaces; needs root."""
    require_root()
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
