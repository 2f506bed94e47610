"""The error body of a cloud API: its code, message and request id."""

import re
from dataclasses import dataclass
from typing import Any, Self

from exporter.http.response import Response

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}\.[0-9]{1,8}\Z|[0-9]{1,8}\Z")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")
_MESSAGE_MAX = 500


@dataclass(frozen=True, slots=True)
class ApiError:
    """What an error answer says: empty texts where it says nothing.

    ``code`` is of the closed form ``Family.0123``; ``message`` is cut to 500 characters.
    """

    code: str = ""
    message: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, response: Response) -> Self:
        """Read the error of an answer.

        Understands the shapes in use: ``error_code``/``error_msg``, ``errorCode``/``errorMsg``,
        ``code``/``message``, each possibly nested under ``error``, and IAM's
        ``{"error": {"code", "message", "title"}}``. A body that is no JSON yields no code.
        """
        body = response.json()
        outer = body if isinstance(body, dict) else {}
        nested = outer.get("error")
        shapes = [outer, nested] if isinstance(nested, dict) else [outer]
        return cls(
            code=_first(shapes, ("error_code", "errorCode", "code"), _CODE),
            message=_first(shapes, ("error_msg", "errorMsg", "message", "error_message"), None),
            request_id=request_id_of(response, shapes),
        )


def request_id_of(response: Response, shapes: list[dict[str, Any]] | None = None) -> str:
    """Return the request id of an answer's header, else of its body, else an empty text."""
    header = response.headers.get("x-request-id", "")
    if _REQUEST_ID.match(header):
        return str(header)
    return _first(shapes or [], ("request_id", "requestId"), _REQUEST_ID)


def _first(
    shapes: list[dict[str, Any]], names: tuple[str, ...], form: re.Pattern[str] | None
) -> str:
    for shape in shapes:
        for name in names:
            value = shape.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)
            if not isinstance(value, str) or not value:
                continue
            if form is None:
                return value[:_MESSAGE_MAX]
            if form.match(value):
                return value
    return ""
