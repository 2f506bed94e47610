"""Build responses as values, with errors in the formats of the cloud's services."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from exporter.simulator.scenario import Shape

JSON = "application/json;charset=UTF-8"
HTML = "text/html; charset=utf-8"

# The default error code of each status, and the message of each code.
_CODES = {
    400: "iMetal.0001",
    401: "APIGW.0301",
    403: "iMetal.0004",
    404: "iMetal.0100",
    429: "APIGW.0308",
    500: "iMetal.0099",
    502: "APIGW.0201",
    503: "APIGW.0613",
    504: "APIGW.0201",
}
_MESSAGES = {
    "iMetal.0001": "Invalid parameter.",
    "iMetal.0002": "A parameter is missing.",
    "iMetal.0003": "Unauthorized.",
    "iMetal.0004": "Insufficient permissions.",
    "iMetal.0005": "Too many requests.",
    "iMetal.0099": "Internal server error.",
    "iMetal.0100": "The physical server is not found.",
    "iMetal.0101": "The physical server is not ready.",
    "APIGW.0101": "The API does not exist or has not been published in the environment.",
    "APIGW.0201": "Backend unavailable.",
    "APIGW.0301": "Incorrect IAM authentication information.",
    "APIGW.0307": "The token must be updated.",
    "APIGW.0308": "The throttling threshold has been reached.",
    "APIGW.0613": "The backend service is unavailable.",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: status, body and its specific headers."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


def ok(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a JSON response."""
    return Reply(status, json.dumps(document, separators=(",", ":")).encode(), JSON, headers or {})


def error_reply(
    status: int,
    request_id: str,
    *,
    code: str | None = None,
    message: str | None = None,
    shape: Shape = Shape.SNAKE,
) -> Reply:
    """Return an error response; code and message default to those of the status."""
    code = code or _CODES.get(status, f"iMetal.{status:04d}")
    message = message or _MESSAGES.get(code) or _phrase(status)
    if shape is Shape.EMPTY:
        return Reply(status)
    if shape is Shape.TEXT:
        return Reply(status, f"{code} {message}\n".encode(), "text/plain;charset=UTF-8")
    return ok(_document(status, code, message, request_id, shape), status)


def iam_error_reply(status: int, message: str) -> Reply:
    """Return an error in IAM's format, where the code is the status."""
    title = _phrase(status)
    return ok({"error": {"message": message, "code": status, "title": title}}, status)


def error_page(status: int) -> Reply:
    """Return an error as an HTML page, as gateways do."""
    title = f"{status} {_phrase(status)}"
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Reply(status, body.encode(), HTML)


def _document(
    status: int, code: str, message: str, request_id: str, shape: Shape
) -> dict[str, object]:
    if shape is Shape.CAMEL:
        return {"errorCode": code, "errorMsg": message}
    if shape is Shape.SHORT:
        return {"code": code, "message": message}
    if shape is Shape.NESTED:
        title = _phrase(status)
        return {"error": {"code": code, "message": message, "title": title}}
    if code.startswith("iMetal."):
        return {"error_code": code, "error_msg": message}
    return {"error_msg": message, "error_code": code, "request_id": request_id}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
