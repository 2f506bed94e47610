"""One probe now, for whoever asks: how many at once, and how long they may take."""

from collections.abc import Awaitable, Callable, Mapping
from math import isfinite

from exporter.model import ProbeResult, Target
from exporter.web.errors import RequestRefusedError

_PROBES_AT_ONCE = 64
_PATIENCE_MAX_SECONDS = 120.0
# What a probe may wait for its turn when nobody says how long they will.
_WAIT_SECONDS = 10.0
# What blackbox_exporter leaves of Prometheus' timeout for the answer to travel.
_PATIENCE_OFFSET = 0.5

_BAD_REQUEST = 400
_UNAVAILABLE = 503


class ProbeRequests:
    """Probes for those who ask over HTTP; all routes share one bound."""

    def __init__(self, probe_now: Callable[[Target, float], Awaitable[ProbeResult]]) -> None:
        """Probe with ``probe_now``, which takes a target and the seconds there are for it."""
        self._probe_now = probe_now
        self._probing = 0

    async def probe(self, target: Target, headers: Mapping[str, str]) -> ProbeResult:
        """Probe a target within the time that a request's ``headers`` leave.

        Raises `RequestRefusedError` when the time is none, or too many probes are running.
        """
        patience = _patience(headers, target)
        if self._probing >= _PROBES_AT_ONCE:
            raise RequestRefusedError(
                f"{_PROBES_AT_ONCE} probes on demand are running already; ask again later",
                _UNAVAILABLE,
            )
        self._probing += 1
        try:
            return await self._probe_now(target, patience)
        finally:
            self._probing -= 1


def _patience(headers: Mapping[str, str], target: Target) -> float:
    """Return the seconds there are for a probe; Prometheus says when it will give up."""
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
    offset = _PATIENCE_OFFSET if seconds > 2 * _PATIENCE_OFFSET else 0.0
    return min(seconds - offset, _PATIENCE_MAX_SECONDS)
