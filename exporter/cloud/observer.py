"""Who wants to know what happens at the door; the metrics room implements this."""

from collections.abc import Mapping
from typing import Protocol

from exporter.cloud.auth.login import LoginObserver
from exporter.http.observer import ConnectionObserver


class RequestObserver(Protocol):
    """Who wants to know of requests and their answers."""

    def request_started(self, operation: str) -> None:
        """Note that a request goes out."""

    def request_finished(  # noqa: PLR0913 - one event, told whole
        self,
        operation: str,
        status: int | None,
        seconds: float,
        *,
        error_code: str,
        server_id: str,
        request_id: str,
    ) -> None:
        """Note the end of a request; ``status`` is None when no answer came."""

    def request_given_up(self) -> None:
        """Note that a request's answer is not waited for any more: it would say nothing."""

    def throttled(self) -> None:
        """Note an answer 429."""

    def waited(self, seconds: float) -> None:
        """Note the time a request waited for its turn."""


class ProjectObserver(ConnectionObserver, RequestObserver, LoginObserver, Protocol):
    """Everything that one project's door has to tell."""


class Unobserved:
    """A `ProjectObserver` for where nobody wants to know: a single probe from the command line."""

    def connection_opened(self, phases: Mapping[str, float]) -> None:
        """Let it pass."""

    def certificate_seen(self, host: str, expires_at: float) -> None:
        """Let it pass."""

    def request_started(self, operation: str) -> None:
        """Let it pass."""

    def request_finished(  # noqa: PLR0913 - the observer's form
        self,
        operation: str,
        status: int | None,
        seconds: float,
        *,
        error_code: str,
        server_id: str,
        request_id: str,
    ) -> None:
        """Let it pass."""

    def request_given_up(self) -> None:
        """Let it pass."""

    def throttled(self) -> None:
        """Let it pass."""

    def waited(self, seconds: float) -> None:
        """Let it pass."""

    def login_refreshed(self) -> None:
        """Let it pass."""

    def login_failed(self) -> None:
        """Let it pass."""
