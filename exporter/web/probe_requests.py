"""Run probes on demand, with a limit on their number and a deadline for each."""

from collections.abc import Awaitable, Callable, Mapping
from math import isfinite

from exporter.model import ProbeResult, Target
from exporter.web.errors import RequestRefusedError

_PROBES_AT_ONCE = 64
_DEADLINE_MAX_SECONDS = 120.0
# Maximum wait for the rate limit when the request has no timeout header.
_WAIT_SECONDS = 10.0
# Subtracted from Prometheus' timeout, so that the response arrives in time (blackbox_exporter does
# the same).
_TIMEOUT_OFFSET_SECONDS = 0.5

_BAD_REQUEST = 400
_UNAVAILABLE = 503


class ProbeRequests:
    """Probes requested over HTTP; all routes share one limit.

    ``probe_now`` takes a target and the seconds until the deadline.
    """

    def __init__(self, probe_now: Callable[[Target, float], Awaitable[ProbeResult]]) -> None:
        self._probe_now = probe_now
        self._probing = 0

    async def probe(self, target: Target, headers: Mapping[str, str]) -> ProbeResult:
        """Probe a target within the timeout given in a request's ``headers``.

        Raises `RequestRefusedError` if the timeout is invalid or too many probes are running.
        """
        seconds = _deadline_seconds(headers, target)
        if self._probing >= _PROBES_AT_ONCE:
            raise RequestRefusedError(
                f"{_PROBES_AT_ONCE} probes on demand are already running; try again later",
                _UNAVAILABLE,
            )
        self._probing += 1
        try:
            return await self._probe_now(target, seconds)
        finally:
            self._probing -= 1


def _deadline_seconds(headers: Mapping[str, str], target: Target) -> float:
    """Return the seconds until a probe's deadline; Prometheus sends its scrape timeout."""
    header = headers.get("x-prometheus-scrape-timeout-seconds")
    if header is None:
        return target.timeout + _WAIT_SECONDS
    try:
        seconds = float(header)
    except ValueError:
        seconds = 0.0
    if not isfinite(seconds) or seconds <= 0:
        raise RequestRefusedError(
            "header X-Prometheus-Scrape-Timeout-Seconds must be a number of seconds above 0",
            _BAD_REQUEST,
        )
    offset = _TIMEOUT_OFFSET_SECONDS if seconds > 2 * _TIMEOUT_OFFSET_SECONDS else 0.0
    return min(seconds - offset, _DEADLINE_MAX_SECONDS)
