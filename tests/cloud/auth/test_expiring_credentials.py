"""How long credentials live, as the answer that brought them tells."""

import httpx
import pytest

from exporter.cloud.auth.expiring_credentials import expiring_credentials
from exporter.cloud.errors import LoginFailedError
from exporter.http.response import Response

NOW = 1_800_000_000.0
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


def answer(**headers: str) -> Response:
    return Response(201, httpx.Headers(headers), b"", 0.1)


def test_a_lifetime_leaves_out_what_the_answer_took_and_what_its_date_does_not_tell() -> None:
    leased = expiring_credentials("t", "2027-01-15T09:00:00Z", answer(date=DATE), NOW)
    assert leased.lifetime == pytest.approx(3600 - 1.1)


@pytest.mark.parametrize(
    "ends", ["2027-01-15T07:00:00Z", "2027-01-15T08:00:00Z", "2027-01-15T08:00:01Z"]
)
def test_credentials_that_end_as_they_arrive_are_none(ends: str) -> None:
    # Taken for good, they would be had anew for every single request.
    with pytest.raises(LoginFailedError, match="expired by the answer's date"):
        expiring_credentials("t", ends, answer(date=DATE), NOW)
