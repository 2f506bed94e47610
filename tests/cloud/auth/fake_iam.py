"""An IAM of one function, and those who look on."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx

from exporter.clock import Clock
from exporter.http.request import Request
from exporter.http.response import Response


@dataclass
class Observed:
    """Counts what becomes of log-ins."""

    refreshed: int = 0
    failed: int = 0

    def login_refreshed(self) -> None:
        """Count one."""
        self.refreshed += 1

    def login_failed(self) -> None:
        """Count one."""
        self.failed += 1


@dataclass
class FakeIam:
    """Answers log-ins; what it should do wrong is set on it.

    ``answers`` are given in place of its own, in order. ``hold`` makes it wait before it answers.
    ``refused_at`` are the monotonic times at which it refused a password.
    """

    clock: Clock
    password: str = "right"
    lifetime: float = 86400.0
    skew: float = 0.0
    down: Exception | None = None
    hold: asyncio.Event | None = None
    answers: list[Response] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)

    async def __call__(self, request: Request) -> Response:
        """Answer one log-in."""
        self.requests.append(request)
        if self.hold is not None:
            await self.hold.wait()
        if self.down is not None:
            raise self.down
        if self.answers:
            return self.answers.pop(0)
        user = json.loads(request.content)["auth"]["identity"]["password"]["user"]
        if user["password"] != self.password:
            self.refused_at.append(self.clock.monotonic())
            return answer(401, {"error": {"code": 401, "message": "no", "title": "Unauthorized"}})
        now = self.clock.time() + self.skew
        return created(f"token-{len(self.requests)}", iso(now + self.lifetime), date=now)

    def refused_within(self, seconds: float) -> int:
        """Return the most refusals that any stretch of this many seconds holds."""
        return max(
            sum(start <= at < start + seconds for at in self.refused_at)
            for start in self.refused_at
        )


def iso(unix_time: float) -> str:
    """Return a time as IAM writes it."""
    time = datetime.fromtimestamp(unix_time, UTC)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def answer(status: int, body: object = None, headers: dict[str, str] | None = None) -> Response:
    """Return an answer with a JSON body."""
    return Response(
        status, httpx.Headers(headers, encoding="utf-8"), json.dumps(body).encode(), 0.0
    )


def created(token: str, expires_at: object, date: float | None = None, **body: Any) -> Response:
    """Return the answer to a log-in that went well."""
    headers = {"x-subject-token": token}
    if date is not None:
        headers["date"] = format_datetime(datetime.fromtimestamp(date, UTC), usegmt=True)
    return answer(201, {"token": {"expires_at": expires_at, **body}}, headers)


def api_request() -> Request:
    """Return a request to the API that asks for credentials."""
    return Request.to(
        "GET",
        "https://clouddc.example/v1/0123/physicalservers",
        {"content-type": "application/json"},
    )
