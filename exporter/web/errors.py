"""How a route refuses a request."""


class RequestRefusedError(Exception):
    """A request cannot be answered; the message says what to do, for whoever asked.

    ``status`` is the HTTP status to answer.
    """

    def __init__(self, message: str, status: int) -> None:
        """Keep the status beside the message."""
        super().__init__(message)
        self.status = status
