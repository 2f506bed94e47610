"""An answer of the cloud, read whole, and what its errors say."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,31}\.[0-9]{1,8}\Z|[0-9]{1,8}\Z")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")
_MESSAGE_MAX = 500
# Reading so many takes 15 ms, in which nobody else gets on; what is documented has a few dozen.
_VALUES_MAX = 50_000


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: ``body`` is decoded and bounded, ``seconds`` is the time on the wire.

    ``headers`` are asked for in any case; ``items()`` has each as often as it was sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    _read: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def json(self) -> Any:  # noqa: ANN401 - the shape is the caller's to check
        """Return the body as JSON, or None when it is none or too intricate; it is parsed once."""
        if not self._read:
            self._read.append(_parsed(self.body))
        return self._read[0]


@dataclass(frozen=True, slots=True)
class ApiError:
    """What an error answer says: empty texts where it says nothing.

    ``code`` is of the closed form ``Family.0123``; ``message`` is cut to 500 characters.
    """

    code: str = ""
    message: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Read the error of an answer.

        Understands the shapes in use: ``error_code``/``error_msg``, ``errorCode``/``errorMsg``,
        ``code``/``message``, each possibly nested under ``error``, and IAM's
        ``{"error": {"code", "message", "title"}}``. A body that is no JSON yields no code.
        """
        body = answer.json()
        outer = body if isinstance(body, dict) else {}
        nested = outer.get("error")
        shapes = [outer, nested] if isinstance(nested, dict) else [outer]
        return cls(
            code=_first(shapes, ("error_code", "errorCode", "code"), _CODE),
            message=_first(shapes, ("error_msg", "errorMsg", "message", "error_message"), None),
            request_id=request_id_of(answer, shapes),
        )


def request_id_of(answer: Answer, shapes: list[dict[str, Any]] | None = None) -> str:
    """Return the request id of an answer's header, else of its body, else an empty text."""
    header = answer.headers.get("x-request-id", "")
    if _REQUEST_ID.match(header):
        return str(header)
    return _first(shapes or [], ("request_id", "requestId"), _REQUEST_ID)


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - JSON
    if sum(map(body.count, (b",", b"[", b"{"))) > _VALUES_MAX:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


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
