"""What the HTTP client reports about connections; `exporter.metrics` implements it."""

from collections.abc import Mapping
from typing import Protocol


class ConnectionObserver(Protocol):
    """Who wants to know of newly opened connections."""

    def connection_opened(self, phases: Mapping[str, float]) -> None:
        """Note the seconds that ``dns``, ``connect`` and ``tls`` took, those that happened."""

    def certificate_seen(self, host: str, expires_at: float) -> None:
        """Note when (Unix seconds) the verified certificate of ``host`` expires."""
