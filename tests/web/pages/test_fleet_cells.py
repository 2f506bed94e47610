"""The cells of the grid: how results change them, and which changes open pages get."""

from dataclasses import replace
from time import thread_time

from exporter.model import Target
from exporter.outcome import Outcome
from exporter.state import StateStore
from exporter.web.health_state import HealthState
from exporter.web.pages.fleet_cells import FleetCells
from tests.web.fake_exporter import HOSTILE, NOW, result, target

DB, WEB = target("db-01"), target("web-01")


class Harness:
    """Cells of a store, and their clock."""

    def __init__(self, *targets: Target) -> None:
        self.now = NOW
        self.store = StateStore(history_length=3)
        self.cells = FleetCells(lambda: self.now)
        self.store.listen(self.cells)
        self.store.reconcile(targets)

    def health_states(self) -> dict[str, HealthState]:
        return {
            entry.target.name: entry.cell.health_state
            for project in self.cells.projects.values()
            for entry in project.in_order()
            if entry.cell
        }


def test_result_without_visible_change_keeps_the_revision() -> None:
    harness = Harness(DB, WEB)
    harness.store.record(result(DB))
    revision = harness.cells.revision
    harness.store.record(result(DB, at=NOW + 60))
    assert harness.cells.revision == revision
    changes = harness.cells.changes_since(revision)
    assert (changes.cells, changes.gone, changes.more, changes.reset) == ([], [], False, False)


def test_changed_cell_is_reported_once_with_its_current_state() -> None:
    harness = Harness(DB, WEB)
    revision = harness.cells.revision
    for outcome in (Outcome.TIMEOUT, Outcome.SUCCESS, Outcome.SERVER_ERROR):
        harness.store.record(result(DB, outcome))
    changes = harness.cells.changes_since(revision)
    assert [(cell.name, cell.health_state, cell.note) for cell in changes.cells] == [
        ("db-01", HealthState.FAILING, "server error at api")
    ]
    assert harness.cells.changes_since(changes.revision).cells == []


def test_inconclusive_probe_keeps_the_health_state_and_sets_doubt() -> None:
    harness = Harness(DB)
    harness.store.record(result(DB))
    revision = harness.cells.revision
    harness.store.record(result(DB, Outcome.THROTTLED))
    (cell,) = harness.cells.changes_since(revision).cells
    assert (cell.health_state, cell.doubt) == (HealthState.WORKING, "throttled")


def test_many_changes_come_in_batches_the_oldest_first() -> None:
    targets = [target(f"db-{number:04d}") for number in range(1200)]
    harness = Harness(*targets)
    revision = harness.cells.revision
    for one in targets:
        harness.store.record(result(one))
    names: list[str] = []
    batches = 0
    more = True
    while more:
        changes = harness.cells.changes_since(revision)
        names += [cell.name for cell in changes.cells]
        revision, more, batches = changes.revision, changes.more, batches + 1
    assert names == [one.name for one in targets]
    assert batches == 3


def test_removed_servers_are_reported_until_there_are_too_many() -> None:
    targets = [target(f"db-{number:04d}") for number in range(1500)]
    harness = Harness(DB, *targets)
    revision = harness.cells.revision
    harness.store.reconcile([DB, *targets[:1490]])
    changes = harness.cells.changes_since(revision)
    assert changes.gone == [f"servers/southwest/{one.name}" for one in targets[1490:]]
    harness.store.reconcile([DB])
    assert harness.cells.changes_since(revision).reset
    assert not harness.cells.changes_since(harness.cells.revision).reset


def test_readded_server_is_reported_as_changed() -> None:
    harness = Harness(DB, WEB)
    revision = harness.cells.revision
    harness.store.reconcile([DB])
    harness.store.reconcile([DB, WEB])
    changes = harness.cells.changes_since(revision)
    assert ([cell.name for cell in changes.cells], changes.gone) == (["web-01"], [])


def test_added_or_removed_project_needs_a_reload() -> None:
    harness = Harness(DB)
    for targets in ([DB, target("db-01", "east")], [DB]):
        revision = harness.cells.revision
        harness.store.reconcile(targets)
        assert harness.cells.changes_since(revision).reset


def test_invalid_or_foreign_revision_needs_a_reload() -> None:
    first, second = Harness(DB), Harness(DB)
    run_id = second.cells.revision.partition(".")[0]
    numbers = ("-1", "99", "²", "9" * 5000)
    revisions = [f"{run_id}.{number}" for number in numbers]
    for revision in (first.cells.revision, "", run_id, *revisions):
        assert second.cells.changes_since(revision).reset, revision


async def test_verdict_becomes_stale_without_an_event() -> None:
    harness = Harness(DB, WEB)
    harness.store.record(result(DB))
    harness.now += 200
    harness.store.record(result(WEB, at=harness.now))
    revision = harness.cells.revision
    harness.now += 101
    await harness.cells.refresh_stale()
    assert harness.health_states() == {"db-01": HealthState.STALE, "web-01": HealthState.WORKING}
    (cell,) = harness.cells.changes_since(revision).cells
    assert (cell.name, cell.note) == ("db-01", "was working")
    harness.store.record(result(DB, at=harness.now))
    assert harness.health_states()["db-01"] is HealthState.WORKING
    harness.now += 301
    await harness.cells.refresh_stale()
    assert set(harness.health_states().values()) == {HealthState.STALE}


async def test_removed_server_does_not_become_stale() -> None:
    harness = Harness(DB, WEB)
    harness.store.record(result(DB))
    harness.store.reconcile([WEB])
    revision = harness.cells.revision
    harness.now += 400
    await harness.cells.refresh_stale()
    assert harness.cells.changes_since(revision).cells == []


def test_renamed_server_keeps_its_state_and_is_sorted_again() -> None:
    harness = Harness(target("web-2"), target("web-10"), DB)
    harness.store.record(result(DB, Outcome.TIMEOUT))
    assert list(harness.health_states()) == ["db-01", "web-2", "web-10"]
    harness.store.reconcile([target("web-2"), target("web-10"), replace(DB, name="zz")])
    assert harness.health_states() == {
        "web-2": HealthState.UNKNOWN,
        "web-10": HealthState.UNKNOWN,
        "zz": HealthState.FAILING,
    }


def test_version_changes_only_for_the_updated_server() -> None:
    harness = Harness(DB, WEB)
    before = harness.cells.version(DB), harness.cells.version(WEB)
    harness.store.record(result(DB))
    assert harness.cells.version(DB) != before[0]
    assert harness.cells.version(WEB) == before[1]


def test_login_evidence_is_the_newest_result() -> None:
    harness = Harness(DB, WEB)
    project = harness.cells.projects["southwest"]
    refused = result(DB, Outcome.UNAUTHORIZED, detail="no")
    harness.store.record(refused)
    harness.store.record(result(WEB, Outcome.SKIPPED))
    harness.store.record(result(WEB, Outcome.TIMEOUT))
    assert project.login is refused
    harness.store.record(result(WEB))
    assert project.login is not None
    assert project.login.outcome is Outcome.SUCCESS


def test_untrusted_text_is_escaped() -> None:
    hostile = target(HOSTILE, 'p"<&?#%', labels=(("rack", HOSTILE),))
    harness = Harness(hostile)
    harness.store.record(result(hostile, Outcome.THROTTLED))
    (entry,) = harness.cells.projects['p"<&?#%'].in_order()
    assert entry.href.startswith("servers/p%22%3C%26%3F%23%25/")
    assert "<script" not in entry.html
    assert entry.html.count("<") == entry.html.count(">") == 4
    assert '"><' not in entry.html.replace("&#34;", "")[:-1].split(">", 1)[0]


def test_recording_a_result_takes_microseconds() -> None:
    targets = [target(f"db-{number:04d}") for number in range(2000)]
    harness = Harness(*targets)
    quickest = 1.0
    for _ in range(5):
        results = [result(one, outcome) for one in targets for outcome in
                   (Outcome.SUCCESS, Outcome.TIMEOUT)]  # fmt: skip
        started = thread_time()
        for one in results:
            harness.store.record(one)
        quickest = min(quickest, (thread_time() - started) / len(results))
    # Each of these changes the cell; most results do not.
    assert quickest < 100e-6
