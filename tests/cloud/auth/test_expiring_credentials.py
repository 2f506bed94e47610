"""Tests of the lifetime of credentials."""

import httpx
import pytest

from exporter.cloud.auth.expiring_credentials import expiring_credentials
from exporter.cloud.errors import LoginFailedError
from tests.http.responses import received

NOW = 1_800_000_000.0
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


def response(**headers: str) -> httpx.Response:
    return received(201, httpx.Headers(headers), b"", 0.1)


def test_the_lifetime_excludes_the_response_time_and_the_resolution_of_the_date() -> None:
    credentials = expiring_credentials("t", "2027-01-15T09:00:00Z", response(date=DATE), NOW)
    assert credentials.lifetime == pytest.approx(3600 - 1.1)


@pytest.mark.parametrize(
    "expires_at", ["2027-01-15T07:00:00Z", "2027-01-15T08:00:00Z", "2027-01-15T08:00:01Z"]
)
def test_credentials_that_expire_on_arrival_are_an_error(expires_at: str) -> None:
    # If accepted, they would be renewed for every request.
    with pytest.raises(LoginFailedError, match="expired by the response's own Date"):
        expiring_credentials("t", expires_at, response(date=DATE), NOW)
