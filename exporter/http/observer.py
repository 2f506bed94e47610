"""The events that the HTTP client reports; `exporter.metrics` implements the observer."""

from collections.abc import Mapping
from typing import Protocol


class ConnectionObserver(Protocol):
    """Receives events about newly opened connections."""

    def connection_opened(self, phases: Mapping[str, float]) -> None:
        """Record the seconds of the phases that happened: ``dns``, ``connect``, ``tls``."""

    def certificate_seen(self, host: str, expires_at: float) -> None:
        """Record when (Unix seconds) the verified certificate of ``host`` expires."""
