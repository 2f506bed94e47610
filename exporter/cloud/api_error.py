"""Parse error code, message and request ID from a cloud API's error response."""

import re
from dataclasses import dataclass
from typing import Any, Self

from exporter.http.response import Response

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
    def of(cls, response: Response) -> Self:
        """Parse the error of a response.

        Supports ``error_code``/``error_msg``, ``errorCode``/``errorMsg`` and ``code``/``message``,
        at the top level or under ``error``, and IAM's ``{"error": {"code", "message", "title"}}``.
        A body that is not JSON gives an empty error.
        """
        body = response.json()
        outer = body if isinstance(body, dict) else {}
        nested = outer.get("error")
        objects = [outer, nested] if isinstance(nested, dict) else [outer]
        return cls(
            code=_first(objects, ("error_code", "errorCode", "code"), _CODE),
            message=_first(objects, ("error_msg", "errorMsg", "message", "error_message"), None),
            request_id=request_id_of(response, objects),
        )


def request_id_of(response: Response, objects: list[dict[str, Any]] | None = None) -> str:
    """Return the request ID from a response's header, else from its body, else an empty text."""
    header = response.headers.get("x-request-id", "")
    if _REQUEST_ID.match(header):
        return str(header)
    return _first(objects or [], ("request_id", "requestId"), _REQUEST_ID)


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
