"""Connect to consoles: open the page of a console address, then its WebSocket."""

from contextlib import AbstractAsyncContextManager

from exporter.config.config import Console
from exporter.config.secret import Secret
from exporter.http.deadline import Deadline
from exporter.http.errors import ForbiddenAddressError
from exporter.http.observer import ConnectionObserver
from exporter.http.resolver import Resolver
from exporter.http.transport import WireTransport
from exporter.model import Target
from exporter.outcome import Outcome
from exporter.probe.address import ConsoleAddress
from exporter.probe.allowed_hosts import AllowedHosts
from exporter.probe.page import Page, open_page
from exporter.probe.stage import StageFailedError
from exporter.probe.websocket import OpenWebSocket, WebSocketConnector


class ConsoleClient:
    """HTTP and WebSocket client for one project's consoles.

    It has no access to cloud credentials. The constructor raises as `WireTransport` does.
    """

    def __init__(
        self,
        settings: Console,
        *,
        proxy_url: Secret | None,
        observer: ConnectionObserver,
        resolver: Resolver | None = None,
    ) -> None:
        self._allowed = AllowedHosts(settings.allowed_hosts)
        self._transport = WireTransport(
            tls=settings.tls,
            proxy_url=proxy_url,
            observer=observer,
            guard=self._allowed,
            resolver=resolver,
        )
        self._websockets = WebSocketConnector(self._transport, settings.websocket_path)

    def check(self, address: ConsoleAddress) -> None:
        """Raise `StageFailedError` when the allow-list forbids an address."""
        try:
            self._allowed.check(address.scheme, address.host, address.port)
        except ForbiddenAddressError as error:
            raise StageFailedError(Outcome.BAD_RESPONSE, f"the console address: {error}") from None

    async def page(self, address: ConsoleAddress, deadline: Deadline) -> Page:
        """Open a console's page; raises `StageFailedError` or `NoResponseError`."""
        return await open_page(address, self._transport, self._allowed, deadline)

    def websocket(
        self, page: Page, target: Target, deadline: Deadline
    ) -> AbstractAsyncContextManager[OpenWebSocket]:
        """Open a page's WebSocket, closed when the context exits.

        Raises `StageFailedError` or `NoResponseError`.
        """
        return self._websockets.open(page, target, deadline)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()
