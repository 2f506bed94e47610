"""Errors of the cloud's client beyond those of HTTP."""

from exporter.http.errors import RequestError


class LoginFailedError(RequestError):
    """Could not obtain credentials; the message says why and what to do."""
