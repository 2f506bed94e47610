"""Parse error code, message and request ID from a cloud API's error response."""

import re
from dataclasses import dataclass
from typing import Any, Self

import httpx

from exporter.http.json_body import json_body

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}\.[0-9]{1,8}\Z|[0-9]{1,8}\Z")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")
_MESSAGE_MAX = 500


@dataclass(frozen=True, slots=True)
class ApiError:
    """Error of an API response; missing parts are empty.

    ``code`` has the form ``Family.0123`` or is a number; ``message`` is cut to 500 characters.
    """

    code: str = ""
    message: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """Parse the error of a response.

        Supports ``error_code``/``error_msg``, ``errorCode``/``errorMsg`` and ``code``/``message``,
        at the top level or under ``error``, and IAM's ``{"error": {"code", "message", "title"}}``.
        A body that is not JSON gives an empty error.
        """
        cached = response.extensions.get("api_error")
        if isinstance(cached, cls):
            return cached
        body = json_body(response)
        outer = body if isinstance(body, dict) else {}
        nested = outer.get("error")
        objects = [outer, nested] if isinstance(nested, dict) else [outer]
        error = response.extensions["api_error"] = cls(
            code=_first(objects, ("error_code", "errorCode", "code"), _CODE),
            message=_first(objects, ("error_msg", "errorMsg", "message", "error_message"), None),
            request_id=_request_id(response, objects),
        )
        return error


def _request_id(response: httpx.Response, objects: list[dict[str, Any]]) -> str:
    header = response.headers.get("x-request-id", "")
    if _REQUEST_ID.match(header):
        return str(header)
    return _first(objects, ("request_id", "requestId"), _REQUEST_ID)


def _first(
    objects: list[dict[str, Any]], names: tuple[str, ...], pattern: re.Pattern[str] | None
) -> str:
    for candidate in objects:
        for name in names:
            value = candidate.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)
            if not isinstance(value, str) or not value:
                continue
            if pattern is None:
                return value[:_MESSAGE_MAX]
            if pattern.match(value):
                return value
    return ""
