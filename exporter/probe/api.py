"""Stage ``api``: turn the cloud's response into a console address or an outcome."""

import httpx

from exporter.cloud.api_error import ApiError
from exporter.cloud.error_texts import error_text
from exporter.cloud.reachability import is_from_api, is_unknown_api
from exporter.http.json_body import json_body
from exporter.outcome import Outcome
from exporter.probe.address import AddressError, ConsoleAddress
from exporter.probe.stage import StageFailedError

# iMetal.0101: the physical server is not ready.
_NOT_READY = "iMetal.0101"
_BY_STATUS = {
    400: Outcome.BAD_REQUEST,
    401: Outcome.UNAUTHORIZED,
    403: Outcome.FORBIDDEN,
    404: Outcome.NOT_FOUND,
    429: Outcome.THROTTLED,
}
_OK = 200
_SERVER_ERRORS = range(500, 600)
_PROXY_LOGIN = 407
_PORTAL_LOGIN = 511
# Proxies and balancers answer so in place of an API that they do not reach.
_FROM_BETWEEN = frozenset({408, 502, 503, 504})
NOT_FROM_API = "is not the API's: check endpoint, and for a login portal or proxy in between"


def console_address(response: httpx.Response, error: ApiError) -> ConsoleAddress:
    """Return the console address in a response; raises `StageFailedError` if there is none."""
    if response.status_code == _OK:
        return _address_in(response)
    status = response.status_code
    outcome = Outcome.SERVER_ERROR if status in _SERVER_ERRORS else _BY_STATUS.get(status)
    if outcome is Outcome.BAD_REQUEST and error.code == _NOT_READY:
        outcome = Outcome.NOT_READY
    detail = f"the API answered {status} {error.code}".rstrip()
    if outcome is None:
        detail = f"{detail}, an undocumented status"
    if text := error_text(error.code, status):
        detail = f"{detail}: {text}"
    raise StageFailedError(outcome or Outcome.BAD_RESPONSE, detail)


def failure_without_api(response: httpx.Response, error: ApiError) -> StageFailedError | None:
    """Return the failure that a response is if the API answers no other request either.

    None: the response is the API's own.
    """
    if is_from_api(response):
        return None
    status = response.status_code
    if status == _PROXY_LOGIN:
        return StageFailedError(Outcome.UNREACHABLE, "the proxy answered 407: check proxy_url")
    if status in _FROM_BETWEEN:
        return StageFailedError(
            Outcome.UNREACHABLE,
            f"a proxy or balancer answered {status} in place of the API: check proxy_url and the"
            " cloud's status page",
        )
    if status == _PORTAL_LOGIN:
        detail = "a login portal answered 511: log this machine in to its network"
    elif is_unknown_api(error.code):
        detail = f"the gateway answered {status} {error.code}, no such API: check endpoint"
    else:
        detail = f"the answer with status {status} {NOT_FROM_API}"
    return StageFailedError(Outcome.WRONG_ENDPOINT, detail)


def _address_in(response: httpx.Response) -> ConsoleAddress:
    """Return the address in a 200. It is a secret: errors quote nothing of it."""
    body = json_body(response)
    url = body.get("url") if isinstance(body, dict) else None
    if not isinstance(url, str):
        raise StageFailedError(
            Outcome.BAD_RESPONSE, "the API answered 200 without a console address"
        )
    try:
        return ConsoleAddress.parse(url)
    except AddressError as error:
        raise StageFailedError(Outcome.BAD_RESPONSE, f"the console address {error}") from None
