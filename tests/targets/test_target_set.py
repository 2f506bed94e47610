"""Tests of the target set: precedence of sources, changes, reloads."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exporter.config.config import Discovery, Project, ServerEntry, TokenAuth
from exporter.config.secret import Secret
from exporter.metrics.catalog import DISCOVERY_SOURCES
from exporter.model import Stage, Target, TargetKey
from exporter.targets.source import Source, sources_of
from exporter.targets.target_set import TargetChanges, TargetSet

EVERYTHING = Project(
    "p",
    "cn-east-3",
    "id",
    "https://clouddc.example",
    TokenAuth(Secret("t")),
    timeout=5.0,
    server_files=("*.yaml",),
    discovery=Discovery(),
)


def target(server_id: str, name: str = "", project: str = "p") -> Target:
    return Target(TargetKey(project, server_id), name or server_id, "cn-east-3", 60.0, 5.0)


def entry(server_id: str, name: str) -> ServerEntry:
    return ServerEntry(server_id, name, 60.0, 5.0, Stage.API)


def configured(*projects: Project) -> TargetSet:
    targets = TargetSet()
    targets.reconfigure(projects, {}, {})
    return targets


def names(targets: TargetSet) -> dict[str, str]:
    return {one.key.server_id: one.name for one in targets.all()}


def test_the_sources_match_those_of_the_metrics() -> None:
    assert tuple(Source) == DISCOVERY_SOURCES


def test_a_project_has_its_configured_sources_or_an_empty_static_list() -> None:
    assert sources_of(EVERYTHING) == [Source.FILE, Source.CLOUD]
    bare = replace(EVERYTHING, server_files=(), discovery=None)
    assert sources_of(bare) == [Source.STATIC]
    assert sources_of(replace(EVERYTHING, servers=(entry("a", "a"),))) == list(Source)


def test_the_configuration_wins_over_files_and_files_over_the_cloud() -> None:
    targets = configured(replace(EVERYTHING, servers=(entry("a", "static"),)))
    three = [target(server_id, "cloud") for server_id in "abc"]
    assert [one.key.server_id for one in targets.put("p", Source.CLOUD, three).put] == ["b", "c"]
    changes = targets.put("p", Source.FILE, [target("a", "file"), target("b", "file")])
    assert changes == TargetChanges([target("b", "file")], [])
    assert names(targets) == {"a": "static", "b": "file", "c": "cloud"}
    assert [targets.contributed("p", source) for source in Source] == [1, 1, 1]
    assert targets.size("p", Source.CLOUD) == 3


def test_a_server_removed_from_one_source_gets_the_entry_of_the_next() -> None:
    targets = configured(EVERYTHING)
    targets.put("p", Source.CLOUD, [target("a", "cloud")])
    targets.put("p", Source.FILE, [target("a", "file"), target("b", "file")])
    changes = targets.put("p", Source.FILE, [])
    assert changes == TargetChanges([target("a", "cloud")], [TargetKey("p", "b")])


def test_an_equal_set_is_no_change() -> None:
    targets = configured(EVERYTHING)
    targets.put("p", Source.CLOUD, [target(str(n)) for n in range(5)])
    again = [target(str(n)) for n in range(5)]
    assert targets.put("p", Source.CLOUD, again) == TargetChanges([], [])
    again[3] = replace(again[3], labels=(("power_state", "off"),))
    assert targets.put("p", Source.CLOUD, again) == TargetChanges([again[3]], [])


def test_changes_are_split_with_removals_first() -> None:
    put, gone = [target(str(n)) for n in range(5)], [TargetKey("p", str(n)) for n in range(5, 8)]
    parts = list(TargetChanges(put, gone).slices(2))
    assert [(len(part.put), len(part.gone)) for part in parts] == [
        (0, 2), (0, 1), (2, 0), (2, 0), (1, 0),
    ]  # fmt: skip
    assert [one for part in parts for one in part.put] == put


sets = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz"), max_size=6)


@given(st.lists(st.tuples(st.sampled_from([Source.FILE, Source.CLOUD]), sets), max_size=8), sets)
def test_the_changes_add_up_to_the_whole_set(
    puts: list[tuple[Source, dict[str, str]]], static: dict[str, str]
) -> None:
    servers = tuple(entry(server_id, name) for server_id, name in static.items())
    targets = configured(replace(EVERYTHING, servers=servers))
    applied = {one.key: one for one in targets.all()}
    for source, whole in puts:
        changes = targets.put("p", source, [target(key, name) for key, name in whole.items()])
        for key in changes.gone:
            del applied[key]
        for one in changes.put:
            assert applied.get(one.key) != one
            applied[one.key] = one
        assert applied == {one.key: one for one in targets.all()}
        assert sum(targets.contributed("p", one) for one in Source) == len(applied)


class TestReload:
    def discovered(self) -> TargetSet:
        targets = configured(EVERYTHING)
        targets.put("p", Source.CLOUD, [target("a")])
        targets.put("p", Source.FILE, [target("f")])
        return targets

    def test_keeps_discovered_servers(self) -> None:
        targets = self.discovered()
        changed = replace(EVERYTHING, servers=(entry("s", "s"),))
        targets.reconfigure([changed], {"p": EVERYTHING}, {"p": [target("g")]})
        assert sorted(names(targets)) == ["a", "g", "s"]

    def test_keeps_the_last_servers_of_invalid_files(self) -> None:
        targets = self.discovered()
        targets.reconfigure([EVERYTHING], {"p": EVERYTHING}, {"p": None})
        assert sorted(names(targets)) == ["a", "f"]

    def test_applies_new_settings_to_discovered_servers(self) -> None:
        targets = self.discovered()
        changed = replace(EVERYTHING, interval=30.0, timeout=7.0, depth=Stage.PAGE, region="x")
        targets.reconfigure([changed], {"p": EVERYTHING}, {"p": []})
        [one] = targets.all()
        assert (one.interval, one.timeout, one.depth, one.region) == (30.0, 7.0, Stage.PAGE, "x")

    def test_drops_discovered_servers_if_the_cloud_project_changes(self) -> None:
        for other in (
            replace(EVERYTHING, project_id="other"),
            replace(EVERYTHING, endpoint="https://other.example"),
        ):
            targets = self.discovered()
            targets.reconfigure([other], {"p": EVERYTHING}, {"p": []})
            assert targets.all() == []

    def test_drops_the_servers_of_removed_sources_and_projects(self) -> None:
        targets = self.discovered()
        without = replace(EVERYTHING, discovery=None, server_files=())
        targets.reconfigure([without], {"p": EVERYTHING}, {})
        assert targets.all() == []
        targets.reconfigure([], {"p": without}, {})
        assert targets.of("p") == []


def test_a_source_is_awaited_until_its_first_set() -> None:
    targets = configured(replace(EVERYTHING, servers=(entry("a", "static"),)))
    assert targets.awaited() == [("p", Source.FILE), ("p", Source.CLOUD)]
    targets.put("p", Source.FILE, [])
    assert targets.awaited() == [("p", Source.CLOUD)]
    targets.put("p", Source.CLOUD, [target("a")])
    assert targets.awaited() == []


def test_kept_sets_are_not_awaited_after_a_reload() -> None:
    targets = configured(EVERYTHING)
    targets.put("p", Source.FILE, [target("a")])
    targets.put("p", Source.CLOUD, [])
    targets.reconfigure([replace(EVERYTHING, timeout=4.0)], {"p": EVERYTHING}, {"p": None})
    assert targets.awaited() == []
