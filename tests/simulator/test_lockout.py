"""Too many failures in a row lock a name temporarily."""

from exporter.simulator.lockout import Failures


def test_name_is_locked_at_the_limit_until_the_time_is_over() -> None:
    failures = Failures(limit=3, seconds=60)
    for now in range(3):
        assert not failures.locked("name", now)
        failures.failed("name", now)
    assert failures.locked("name", 61.9)
    assert not failures.locked("name", 62)
    assert not failures.locked("other", 3)


def test_count_restarts_after_a_lock_and_after_a_success() -> None:
    failures = Failures(limit=2, seconds=10)
    failures.failed("name", 0)
    failures.succeeded("name")
    failures.failed("name", 0)
    assert not failures.locked("name", 0)
    failures.failed("name", 0)
    assert failures.locked("name", 0)
    assert not failures.locked("name", 10)
    failures.failed("name", 10)
    assert not failures.locked("name", 10)


def test_limit_of_zero_never_locks() -> None:
    failures = Failures(limit=0, seconds=10)
    for _ in range(100):
        failures.failed("name", 0)
    assert not failures.locked("name", 0)
