"""Thresholds, windows and URLs of the generated dashboards and rules."""

from dataclasses import dataclass, field, fields, replace
from typing import Self

_SCRAPE_INTERVAL_LEAST = 0.1


@dataclass(frozen=True, slots=True)
class Duration:
    """Marks a field as a duration in seconds, and limits how far `compressed` shortens it."""

    least_scrapes: int = 0
    least_seconds: float = 0.0


def _time(default: float, least: float = 0.0) -> float:
    """Declare a duration that `compressed` leaves at ``least`` seconds or more."""
    return _declared(default, Duration(least_seconds=least))


def _window(default: float) -> float:
    """Declare the range of a rate: at least four scrapes."""
    return _declared(default, Duration(least_scrapes=4))


def _wait(default: float) -> float:
    """Declare how long a condition must hold before its alert fires: at least two scrapes."""
    return _declared(default, Duration(least_scrapes=2))


def _declared(default: float, limits: Duration) -> float:
    declared: float = field(default=float(default), metadata={Duration: limits})
    return declared


@dataclass(frozen=True, slots=True)
class BurnRate:
    """One pair of windows of the burn rate alert.

    ``factor`` is the burn rate: 1 uses up exactly the error budget. Windows are named as in the
    recording rules, such as ``1h`` in ``ratio_rate1h``.
    """

    factor: float
    long: str
    short: str
    severity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Parameters of the generated files. Durations are seconds, ratios are 0 to 1.

    Recording rules keep the names of their uncompressed windows when time is compressed.
    """

    job: str = "console-exporter"
    runbooks_url: str = "https://github.com/console-exporter/console-exporter/blob/main/runbooks"
    grafana_url: str = "http://localhost:3000"

    scrape_interval: float = _time(15)
    rule_interval: float = _wait(30)
    # `global.interval` of config.yaml; no metric exposes it. If all servers have a longer interval,
    # set it here. The exporter allows one second at least.
    probe_interval: float = _time(60, least=1)

    objective: float = 0.99
    window_5m: float = _window(300)
    window_15m: float = _window(900)
    window_30m: float = _window(1800)
    window_1h: float = _window(3600)
    window_2h: float = _window(2 * 3600)
    window_6h: float = _window(6 * 3600)
    window_1d: float = _window(86400)
    window_3d: float = _window(3 * 86400)
    burn_rates: tuple[BurnRate, ...] = (
        BurnRate(14.4, "1h", "5m", "critical"),
        BurnRate(6, "6h", "30m", "critical"),
        BurnRate(3, "1d", "2h", "warning"),
        BurnRate(1, "3d", "6h", "warning"),
    )
    burn_least_verdicts: int = 30

    exporter_down_for: float = _wait(600)
    scheduler_stalled_intervals: int = 3
    scheduler_stalled_for: float = _wait(60)
    unavailable_failures: int = 3
    fleet_success_ratio: float = 0.95
    fleet_least_servers: int = 20
    fleet_degraded_for: float = _wait(600)
    api_unavailable_ratio: float = 0.5
    api_unavailable_for: float = _wait(300)
    api_throttled_ratio: float = 0.05
    api_throttled_for: float = _wait(900)
    budget_exhausted_for: float = _wait(900)
    stale_intervals: int = 5
    stale_for: float = _wait(60)
    auth_failures: int = 3
    auth_failing_for: float = _wait(60)
    auth_failing_keep: float = _wait(300)
    token_left: float = _time(300)
    token_for: float = _wait(60)
    inventory_ratio: float = 0.8
    inventory_window: float = _window(3600)
    inventory_for: float = _wait(300)
    discovery_stale: float = _time(3600)
    discovery_stale_for: float = _wait(300)
    reload_failed_for: float = _wait(600)
    certificate_warning: float = _time(21 * 86400)
    certificate_critical: float = _time(7 * 86400)
    api_slow_seconds: float = _time(5, least=0.25)
    api_slow_for: float = _wait(900)

    @property
    def selector(self) -> str:
        """Return the label matcher of every query."""
        return f'job="{self.job}"'

    @property
    def error_budget(self) -> float:
        """Return the share of conclusive probes that may fail."""
        return 1 - self.objective

    def window(self, name: str) -> float:
        """Return the length in seconds of a window, by its name in the recording rules."""
        seconds: float = getattr(self, f"window_{name}")
        return seconds

    def compressed(self, scale: float) -> Self:
        """Return these parameters with all durations divided by ``scale``.

        Ratios and counts stay. Durations do not get too short to work: see `Duration`. Raises
        `ValueError` unless ``scale`` is positive.
        """
        if scale <= 0:
            raise ValueError(f"expected a scale above 0, not {scale}")
        scrape = max(self.scrape_interval / scale, _SCRAPE_INTERVAL_LEAST)
        shorter: dict[str, float] = {"scrape_interval": scrape}
        for each in fields(self):
            whole = getattr(self, each.name)
            if isinstance(limits := each.metadata.get(Duration), Duration):
                least = max(limits.least_scrapes * scrape, limits.least_seconds)
                shorter.setdefault(each.name, max(whole / scale, min(whole, least)))
        return replace(self, **shorter)  # type: ignore[arg-type]
