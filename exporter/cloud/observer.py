"""Observer protocols of the cloud client; `exporter.metrics` implements them."""

from collections.abc import Mapping
from typing import Protocol

from exporter.cloud.auth.login import LoginObserver
from exporter.http.observer import ConnectionObserver


class RequestObserver(Protocol):
    """Observes requests and their responses."""

    def request_started(self, operation: str) -> None:
        """Record the start of a request."""

    def request_finished(  # noqa: PLR0913 - all properties of one event
        self,
        operation: str,
        status: int | None,
        seconds: float,
        *,
        error_code: str,
        server_id: str,
        request_id: str,
    ) -> None:
        """Record the end of a request; ``status`` is None if no response came."""

    def request_cancelled(self) -> None:
        """Record that the exporter cancelled a request, which says nothing about the cloud."""

    def throttled(self) -> None:
        """Record a 429 response."""

    def waited(self, seconds: float) -> None:
        """Record the seconds that a probe waited for its permit."""


class ProjectObserver(ConnectionObserver, RequestObserver, LoginObserver, Protocol):
    """Observes connections, requests and logins of one project."""


class Unobserved:
    """A `ProjectObserver` that does nothing, for single probes from the command line."""

    def connection_opened(self, phases: Mapping[str, float]) -> None:
        """Do nothing."""

    def certificate_seen(self, host: str, expires_at: float) -> None:
        """Do nothing."""

    def request_started(self, operation: str) -> None:
        """Do nothing."""

    def request_finished(  # noqa: PLR0913 - the protocol's signature
        self,
        operation: str,
        status: int | None,
        seconds: float,
        *,
        error_code: str,
        server_id: str,
        request_id: str,
    ) -> None:
        """Do nothing."""

    def request_cancelled(self) -> None:
        """Do nothing."""

    def throttled(self) -> None:
        """Do nothing."""

    def waited(self, seconds: float) -> None:
        """Do nothing."""

    def login_refreshed(self) -> None:
        """Do nothing."""

    def login_failed(self) -> None:
        """Do nothing."""
