"""Hypothesis strategies for probe results."""

from hypothesis import strategies as st

from exporter.model import ProbeResult, Stage, StageTiming, Target, TargetKey
from exporter.outcome import Outcome

TARGET = Target(
    TargetKey("southwest", "id-1"), "db-01", "cn-southwest-2", interval=60.0, timeout=10.0
)

_SECONDS = st.integers(0, 4_000_000_000).map(lambda microseconds: microseconds / 1_000_000)
_TEXTS = st.text(st.characters(), max_size=40)
_REQUEST_IDS = st.one_of(st.just(""), st.from_regex(r"[0-9a-f]{32}", fullmatch=True), _TEXTS)


@st.composite
def _stages(draw: st.DrawFn) -> tuple[StageTiming, ...]:
    return tuple(
        draw(st.builds(StageTiming, st.just(stage), _SECONDS, st.booleans(), _TEXTS))
        for stage in list(Stage)[: draw(st.integers(0, len(Stage)))]
    )


RESULTS = st.builds(
    ProbeResult,
    target=st.just(TARGET),
    started_at=st.integers(0, 4_000_000_000_000).map(lambda milliseconds: milliseconds / 1000),
    outcome=st.sampled_from(Outcome),
    failed_stage=st.none() | st.sampled_from(Stage),
    status_code=st.integers(0, 599),
    error_code=_TEXTS,
    request_id=_REQUEST_IDS,
    stages=_stages(),
    waited_seconds=_SECONDS,
    detail=_TEXTS,
)
"""Any result, with times in whole milliseconds and durations in whole microseconds."""
