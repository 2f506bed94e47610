"""The error that routes raise to reject a request."""


class RequestRefusedError(Exception):
    """The request is rejected; the message tells the client what to do.

    ``status`` is the HTTP status of the response.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
