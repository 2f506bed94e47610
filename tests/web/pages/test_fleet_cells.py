"""The grid's cells: what a result changes, and what is told to pages that are open."""

from dataclasses import replace
from time import thread_time

from exporter.model import Target
from exporter.outcome import Outcome
from exporter.state import StateStore
from exporter.web.health_state import HealthState
from exporter.web.pages.fleet_cells import FleetCells
from tests.web.pages.fleet_in_memory import HOSTILE, NOW, result, target

DB, WEB = target("db-01"), target("web-01")


class Watched:
    """Cells over a store, and their time."""

    def __init__(self, *targets: Target) -> None:
        self.now = NOW
        self.store = StateStore(history_length=3)
        self.cells = FleetCells(lambda: self.now)
        self.store.listen(self.cells)
        self.store.reconcile(targets)

    def conditions(self) -> dict[str, HealthState]:
        return {
            entry.target.name: entry.cell.health_state
            for project in self.cells.projects.values()
            for entry in project.in_order()
            if entry.cell
        }


def test_a_result_that_changes_nothing_to_be_seen_is_no_change() -> None:
    watched = Watched(DB, WEB)
    watched.store.record(result(DB))
    revision = watched.cells.revision
    watched.store.record(result(DB, at=NOW + 60))
    assert watched.cells.revision == revision
    changes = watched.cells.changes_since(revision)
    assert (changes.cells, changes.gone, changes.more, changes.reset) == ([], [], False, False)


def test_what_changed_since_is_told_once_and_as_it_is_now() -> None:
    watched = Watched(DB, WEB)
    revision = watched.cells.revision
    for outcome in (Outcome.TIMEOUT, Outcome.SUCCESS, Outcome.SERVER_ERROR):
        watched.store.record(result(DB, outcome))
    changes = watched.cells.changes_since(revision)
    assert [(cell.name, cell.health_state, cell.note) for cell in changes.cells] == [
        ("db-01", HealthState.FAILING, "server error at api")
    ]
    assert watched.cells.changes_since(changes.revision).cells == []


def test_an_inconclusive_probe_leaves_the_condition_and_says_so() -> None:
    watched = Watched(DB)
    watched.store.record(result(DB))
    revision = watched.cells.revision
    watched.store.record(result(DB, Outcome.THROTTLED))
    (cell,) = watched.cells.changes_since(revision).cells
    assert (cell.health_state, cell.doubt) == (HealthState.WORKING, "throttled")


def test_more_than_a_browser_takes_at_once_comes_in_parts_the_oldest_first() -> None:
    targets = [target(f"db-{number:04d}") for number in range(1200)]
    watched = Watched(*targets)
    revision = watched.cells.revision
    for one in targets:
        watched.store.record(result(one))
    told: list[str] = []
    parts = 0
    more = True
    while more:
        changes = watched.cells.changes_since(revision)
        told += [cell.name for cell in changes.cells]
        revision, more, parts = changes.revision, changes.more, parts + 1
    assert told == [one.name for one in targets]
    assert parts == 3


def test_servers_that_went_are_told_until_there_are_too_many() -> None:
    targets = [target(f"db-{number:04d}") for number in range(1500)]
    watched = Watched(DB, *targets)
    revision = watched.cells.revision
    watched.store.reconcile([DB, *targets[:1490]])
    changes = watched.cells.changes_since(revision)
    assert changes.gone == [f"servers/southwest/{one.name}" for one in targets[1490:]]
    watched.store.reconcile([DB])
    assert watched.cells.changes_since(revision).reset
    assert not watched.cells.changes_since(watched.cells.revision).reset


def test_a_server_that_came_back_is_told_as_it_is() -> None:
    watched = Watched(DB, WEB)
    revision = watched.cells.revision
    watched.store.reconcile([DB])
    watched.store.reconcile([DB, WEB])
    changes = watched.cells.changes_since(revision)
    assert ([cell.name for cell in changes.cells], changes.gone) == (["web-01"], [])


def test_projects_that_come_or_go_need_the_page_anew() -> None:
    watched = Watched(DB)
    for targets in ([DB, target("db-01", "east")], [DB]):
        revision = watched.cells.revision
        watched.store.reconcile(targets)
        assert watched.cells.changes_since(revision).reset


def test_revisions_of_another_run_or_of_nonsense_need_the_page_anew() -> None:
    first, second = Watched(DB), Watched(DB)
    boot = second.cells.revision.partition(".")[0]
    for revision in (first.cells.revision, "", boot, f"{boot}.-1", f"{boot}.99", f"{boot}.²",
                     f"{boot}.{'9' * 5000}"):  # fmt: skip
        assert second.cells.changes_since(revision).reset, revision


async def test_a_verdict_grows_stale_without_any_event() -> None:
    watched = Watched(DB, WEB)
    watched.store.record(result(DB))
    watched.now += 200
    watched.store.record(result(WEB, at=watched.now))
    revision = watched.cells.revision
    watched.now += 101
    await watched.cells.settle()
    assert watched.conditions() == {"db-01": HealthState.STALE, "web-01": HealthState.WORKING}
    (cell,) = watched.cells.changes_since(revision).cells
    assert (cell.name, cell.note) == ("db-01", "was working")
    watched.store.record(result(DB, at=watched.now))
    assert watched.conditions()["db-01"] is HealthState.WORKING
    watched.now += 301
    await watched.cells.settle()
    assert set(watched.conditions().values()) == {HealthState.STALE}


async def test_a_server_that_went_does_not_grow_stale() -> None:
    watched = Watched(DB, WEB)
    watched.store.record(result(DB))
    watched.store.reconcile([WEB])
    revision = watched.cells.revision
    watched.now += 400
    await watched.cells.settle()
    assert watched.cells.changes_since(revision).cells == []


def test_a_renamed_server_keeps_its_state_and_finds_its_place() -> None:
    watched = Watched(target("web-2"), target("web-10"), DB)
    watched.store.record(result(DB, Outcome.TIMEOUT))
    assert list(watched.conditions()) == ["db-01", "web-2", "web-10"]
    watched.store.reconcile([target("web-2"), target("web-10"), replace(DB, name="zz")])
    assert watched.conditions() == {
        "web-2": HealthState.UNKNOWN,
        "web-10": HealthState.UNKNOWN,
        "zz": HealthState.FAILING,
    }


def test_what_was_heard_of_a_server_has_a_mark_of_its_own() -> None:
    watched = Watched(DB, WEB)
    before = watched.cells.seen(DB), watched.cells.seen(WEB)
    watched.store.record(result(DB))
    assert watched.cells.seen(DB) != before[0]
    assert watched.cells.seen(WEB) == before[1]


def test_the_newest_result_that_tells_of_the_login_stands() -> None:
    watched = Watched(DB, WEB)
    project = watched.cells.projects["southwest"]
    refused = result(DB, Outcome.UNAUTHORIZED, detail="no")
    watched.store.record(refused)
    watched.store.record(result(WEB, Outcome.SKIPPED))
    watched.store.record(result(WEB, Outcome.TIMEOUT))
    assert project.login is refused
    watched.store.record(result(WEB))
    assert project.login is not None
    assert project.login.outcome is Outcome.SUCCESS


def test_all_that_comes_from_outside_is_escaped() -> None:
    hostile = target(HOSTILE, 'p"<&?#%', labels=(("rack", HOSTILE),))
    watched = Watched(hostile)
    watched.store.record(result(hostile, Outcome.THROTTLED))
    (entry,) = watched.cells.projects['p"<&?#%'].in_order()
    assert entry.href.startswith("servers/p%22%3C%26%3F%23%25/")
    assert "<script" not in entry.html
    assert entry.html.count("<") == entry.html.count(">") == 4
    assert '"><' not in entry.html.replace("&#34;", "")[:-1].split(">", 1)[0]


def test_a_result_costs_microseconds() -> None:
    targets = [target(f"db-{number:04d}") for number in range(2000)]
    watched = Watched(*targets)
    quickest = 1.0
    for _ in range(5):
        results = [result(one, outcome) for one in targets for outcome in
                   (Outcome.SUCCESS, Outcome.TIMEOUT)]  # fmt: skip
        started = thread_time()
        for one in results:
            watched.store.record(one)
        quickest = min(quickest, (thread_time() - started) / len(results))
    # Each of these changes what is to be seen; most results do not.
    assert quickest < 100e-6
