"""Tests of static targets, target lookup and capacity plans."""

import pytest

from exporter.config.config import (
    Config,
    Global,
    Project,
    RateLimit,
    ServerEntry,
    TokenAuth,
)
from exporter.config.secret import Secret
from exporter.model import Stage, TargetKey
from exporter.targets import TargetNotFoundError, find_target, targets_of
from exporter.targets.capacity import plans


def project(name: str, *servers: ServerEntry, rate: float = 5.0) -> Project:
    return Project(
        name=name,
        region="cn-east-3",
        project_id="0" * 32,
        endpoint="https://clouddc.cn-east-3.myhuaweicloud.com",
        auth=TokenAuth(Secret("t")),
        timeout=10.0,
        rate_limit=RateLimit(rate, 5),
        servers=servers,
    )


def server(server_id: str, name: str, interval: float = 60.0) -> ServerEntry:
    return ServerEntry(server_id, name, interval, 10.0, Stage.API, labels=(("rack", "r1"),))


def config(*projects: Project) -> Config:
    return Config(Global(), projects)


TWO = config(
    project("a", server("id-1", "db"), server("id-2", "id-1")),
    project("b", server("id-1", "db"), server("id-3", "web")),
)


def test_every_configured_server_is_a_target() -> None:
    targets = targets_of(TWO)
    assert [one.key for one in targets] == [
        TargetKey("a", "id-1"),
        TargetKey("a", "id-2"),
        TargetKey("b", "id-1"),
        TargetKey("b", "id-3"),
    ]
    assert targets[0].labels == (("rack", "r1"),)
    assert targets[0].region == "cn-east-3"


def test_an_id_is_preferred_to_a_name() -> None:
    assert find_target(targets_of(TWO), "id-1", "a").name == "db"
    assert find_target(targets_of(TWO), "web").key == TargetKey("b", "id-3")


@pytest.mark.parametrize(
    ("wanted", "project_name", "message"),
    [("nobody", None, "no configured server"), ("db", None, "one of a, b"), ("web", "a", "no ")],
)
def test_a_missing_or_ambiguous_target_is_an_error_with_a_hint(
    wanted: str, project_name: str | None, message: str
) -> None:
    with pytest.raises(TargetNotFoundError, match=message):
        find_target(targets_of(TWO), wanted, project_name)


def test_a_plan_compares_the_probes_per_second_with_the_rate_limit() -> None:
    fits, exceeds = plans(
        config(
            project("a", server("1", "x", 2.0), server("2", "y", 4.0), rate=1.0),
            project("b", *(server(str(n), str(n), 1.0) for n in range(8)), rate=2.0),
        )
    )
    assert (fits.demanded, fits.fits) == (0.75, True)
    assert str(fits) == (
        "project a (cn-east-3): 2 servers need 0.75 probes per second, 75% of the 1 allowed"
    )
    assert (exceeds.demanded, exceeds.fits) == (8.0, False)
    assert "make the intervals 4 times as long" in str(exceeds)
