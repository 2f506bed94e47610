"""The programs that this exporter is compared with, built by `make bench`."""

from pathlib import Path

_FOLDER = Path(__file__).parent.parent / ".peers"


def peer(name: str) -> str:
    """Return the path of a program; exit with the remedy when it is not built."""
    path = _FOLDER / name
    if not path.exists():
        raise SystemExit(f"{path} is missing: `make .peers/.ready` builds it, which needs Go")
    return str(path)
