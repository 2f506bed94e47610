"""Input series of one server for given probe outcomes."""

from tests.monitoring.promtool import ONE, STEP, InputSeries, firing

INCONCLUSIVE = (
    "throttled",
    "unauthorized",
    "forbidden",
    "unreachable",
    "wrong_endpoint",
    "skipped",
    "busy",
    "internal_error",
)
RESTARTED = "restarted"
"""The exporter has restarted without saved state and has not probed yet."""

_PROBE_SECONDS = 60


def add_server(
    inputs: InputSeries,
    *phases: tuple[float, str | None],
    server: str = "db-01",
    project: str = "southwest",
    instance: str = ONE,
    region: str = "cn-southwest-2",
) -> InputSeries:
    """Add a server that is probed each minute; ``phases`` are minutes and ending of the probes.

    An ending is ``outcome`` or ``outcome@stage``; None if the exporter exposes no series.
    """
    own = {"instance": instance, "project": project, "server_id": f"id-{server}", "server": server}
    endings = [ending for minutes, ending in phases for _ in range(round(minutes * 60 / STEP))]
    info: list[float | None] = []
    in_a_row: list[float | None] = []
    success: list[float | None] = []
    ended: dict[str, list[float | None]] = {e: [] for e in endings if e and e != RESTARTED}
    failures, reached = 0, None
    for sample, ending in enumerate(endings):
        outcome = (ending or RESTARTED).partition("@")[0]
        if outcome == RESTARTED:
            failures, reached = 0, None
        elif outcome == "success":
            failures, reached = 0, 1
        elif outcome not in INCONCLUSIVE and sample * STEP % _PROBE_SECONDS == 0:
            failures, reached = failures + 1, 0
        info.append(1 if ending else None)
        in_a_row.append(failures if ending else None)
        success.append(reached if ending else None)
        for each, samples in ended.items():
            samples.append(1 if each == ending else None)
    inputs.add("console_server_info", info, **own, region=region, depth="api")
    inputs.add("console_probe_consecutive_failures", in_a_row, **own)
    inputs.add("console_probe_success", success, **own)
    for each, samples in ended.items():
        outcome, _, stage = each.partition("@")
        inputs.add("console_probe_outcome", samples, **own, outcome=outcome, stage=stage)
    return inputs


def unavailable(outcome: str, server: str = "db-01", **other: str) -> str:
    """Return the ALERTS series of a firing ConsoleUnavailable."""
    name, _, stage = outcome.partition("@")
    own = {
        "instance": ONE,
        "project": "southwest",
        "server_id": f"id-{server}",
        "server": server,
        "region": "cn-southwest-2",
        "outcome": name,
        "stage": stage,
    }
    return firing("ConsoleUnavailable", "warning", **own | other)
