"""Errors of the cloud client beyond HTTP errors."""

from exporter.http.errors import RequestError


class LoginFailedError(RequestError):
    """Could not obtain credentials; the message says why and what to do."""
