"""The series of one server, as the exporter shows them when its probes end as told."""

from tests.monitoring.promtool import ONE, STEP, Story, firing

INCONCLUSIVE = ("throttled", "unauthorized", "forbidden", "skipped", "internal_error")
RESTARTED = "restarted"
"""The exporter is there again and remembers nothing; the first probe is yet to come."""

_PROBE_SECONDS = 60


def probed(
    story: Story,
    *told: tuple[float, str | None],
    server: str = "db-01",
    project: str = "southwest",
    instance: str = ONE,
    region: str = "cn-southwest-2",
) -> Story:
    """Add a server that is probed each minute: for how many minutes its probes end how.

    An ending is ``outcome`` or ``outcome@stage``; None where the exporter shows nothing of it.
    """
    own = {"instance": instance, "project": project, "server_id": f"id-{server}", "server": server}
    endings = [ending for minutes, ending in told for _ in range(round(minutes * 60 / STEP))]
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
    story.add("console_server_info", info, **own, region=region, depth="api")
    story.add("console_probe_consecutive_failures", in_a_row, **own)
    story.add("console_probe_success", success, **own)
    for each, samples in ended.items():
        outcome, _, stage = each.partition("@")
        story.add("console_probe_outcome", samples, **own, outcome=outcome, stage=stage)
    return story


def unavailable(outcome: str, server: str = "db-01", **other: str) -> str:
    """Return the series of a ConsoleUnavailable that fires."""
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
