"""A fake IAM, an observer that counts, and builders of responses."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx

from exporter.clock import Clock
from tests.http.responses import received


@dataclass
class CountingObserver:
    """Counts successful and failed logins."""

    refreshed: int = 0
    failed: int = 0

    def login_refreshed(self) -> None:
        """Count a successful login."""
        self.refreshed += 1

    def login_failed(self) -> None:
        """Count a failed login."""
        self.failed += 1


@dataclass
class FakeIam:
    """Answers login requests; attributes set its faults.

    ``responses`` are returned in order instead of its own. ``hold`` delays every response until
    the event is set. ``rejected_at`` are the monotonic times at which it rejected a password.
    """

    clock: Clock
    password: str = "right"
    lifetime: float = 86400.0
    skew: float = 0.0
    down: Exception | None = None
    hold: asyncio.Event | None = None
    responses: list[httpx.Response] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    rejected_at: list[float] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one login request."""
        self.requests.append(request)
        if self.hold is not None:
            await self.hold.wait()
        if self.down is not None:
            raise self.down
        if self.responses:
            return self.responses.pop(0)
        user = json.loads(request.content)["auth"]["identity"]["password"]["user"]
        if user["password"] != self.password:
            self.rejected_at.append(self.clock.monotonic())
            return response(401, {"error": {"code": 401, "message": "no", "title": "Unauthorized"}})
        now = self.clock.time() + self.skew
        return created(f"token-{len(self.requests)}", iso(now + self.lifetime), date=now)

    def rejected_within(self, seconds: float) -> int:
        """Return the maximum number of rejections within ``seconds``."""
        return max(
            sum(start <= at < start + seconds for at in self.rejected_at)
            for start in self.rejected_at
        )


def iso(unix_time: float) -> str:
    """Format a time as IAM does."""
    time = datetime.fromtimestamp(unix_time, UTC)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def response(
    status: int, body: object = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    """Return a response with a JSON body."""
    return received(
        status, httpx.Headers(headers, encoding="utf-8"), json.dumps(body).encode(), 0.0
    )


def created(
    token: str, expires_at: object, date: float | None = None, **body: Any
) -> httpx.Response:
    """Return the response to a successful login."""
    headers = {"x-subject-token": token}
    if date is not None:
        headers["date"] = format_datetime(datetime.fromtimestamp(date, UTC), usegmt=True)
    return response(201, {"token": {"expires_at": expires_at, **body}}, headers)


def api_request(server_id: str = "") -> httpx.Request:
    """Return an API request about a server, without credentials."""
    return httpx.Request(
        "GET",
        "https://clouddc.example/v1/0123/physicalservers",
        headers={"content-type": "application/json"},
        extensions={"server_id": server_id},
    )
