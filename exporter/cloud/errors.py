"""Errors of the cloud client beyond HTTP errors."""

import httpx


class LoginFailedError(httpx.RequestError):
    """Could not obtain credentials; the message says why and what to do."""
