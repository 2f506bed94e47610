"""Sources joined: which entry stands, what changes, and what a reload keeps."""

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


def test_the_sources_are_those_that_the_metrics_know() -> None:
    assert tuple(Source) == DISCOVERY_SOURCES


def test_a_project_has_the_sources_that_it_configures_and_at_least_its_own_list() -> None:
    assert sources_of(EVERYTHING) == [Source.FILE, Source.CLOUD]
    bare = replace(EVERYTHING, server_files=(), discovery=None)
    assert sources_of(bare) == [Source.STATIC]
    assert sources_of(replace(EVERYTHING, servers=(entry("a", "a"),))) == list(Source)


def test_the_configuration_goes_before_files_and_files_before_the_cloud() -> None:
    targets = configured(replace(EVERYTHING, servers=(entry("a", "static"),)))
    three = [target(server_id, "cloud") for server_id in "abc"]
    assert [one.key.server_id for one in targets.put("p", Source.CLOUD, three).put] == ["b", "c"]
    changes = targets.put("p", Source.FILE, [target("a", "file"), target("b", "file")])
    assert changes == TargetChanges([target("b", "file")], [])
    assert names(targets) == {"a": "static", "b": "file", "c": "cloud"}
    assert [targets.contributed("p", source) for source in Source] == [1, 1, 1]
    assert targets.size("p", Source.CLOUD) == 3


def test_a_server_that_leaves_one_source_goes_over_to_the_next() -> None:
    targets = configured(EVERYTHING)
    targets.put("p", Source.CLOUD, [target("a", "cloud")])
    targets.put("p", Source.FILE, [target("a", "file"), target("b", "file")])
    changes = targets.put("p", Source.FILE, [])
    assert changes == TargetChanges([target("a", "cloud")], [TargetKey("p", "b")])


def test_what_has_not_changed_is_no_change() -> None:
    targets = configured(EVERYTHING)
    targets.put("p", Source.CLOUD, [target(str(n)) for n in range(5)])
    again = [target(str(n)) for n in range(5)]
    assert targets.put("p", Source.CLOUD, again) == TargetChanges([], [])
    again[3] = replace(again[3], labels=(("power_state", "off"),))
    assert targets.put("p", Source.CLOUD, again) == TargetChanges([again[3]], [])


def test_changes_come_in_parts_and_what_is_gone_comes_first() -> None:
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
    followed = {one.key: one for one in targets.all()}
    for source, whole in puts:
        changes = targets.put("p", source, [target(key, name) for key, name in whole.items()])
        for key in changes.gone:
            del followed[key]
        for one in changes.put:
            assert followed.get(one.key) != one
            followed[one.key] = one
        assert followed == {one.key: one for one in targets.all()}
        assert sum(targets.contributed("p", one) for one in Source) == len(followed)


class TestReload:
    def discovered(self) -> TargetSet:
        targets = configured(EVERYTHING)
        targets.put("p", Source.CLOUD, [target("a")])
        targets.put("p", Source.FILE, [target("f")])
        return targets

    def test_keeps_what_was_discovered(self) -> None:
        targets = self.discovered()
        changed = replace(EVERYTHING, servers=(entry("s", "s"),))
        targets.reconfigure([changed], {"p": EVERYTHING}, {"p": [target("g")]})
        assert sorted(names(targets)) == ["a", "g", "s"]

    def test_keeps_the_last_good_files_where_the_new_ones_are_wrong(self) -> None:
        targets = self.discovered()
        targets.reconfigure([EVERYTHING], {"p": EVERYTHING}, {"p": None})
        assert sorted(names(targets)) == ["a", "f"]

    def test_puts_what_was_discovered_under_the_new_settings(self) -> None:
        targets = self.discovered()
        changed = replace(EVERYTHING, interval=30.0, timeout=7.0, depth=Stage.PAGE, region="x")
        targets.reconfigure([changed], {"p": EVERYTHING}, {"p": []})
        [one] = targets.all()
        assert (one.interval, one.timeout, one.depth, one.region) == (30.0, 7.0, Stage.PAGE, "x")

    def test_drops_what_another_project_of_the_cloud_listed(self) -> None:
        for other in (
            replace(EVERYTHING, project_id="other"),
            replace(EVERYTHING, endpoint="https://other.example"),
        ):
            targets = self.discovered()
            targets.reconfigure([other], {"p": EVERYTHING}, {"p": []})
            assert targets.all() == []

    def test_drops_the_servers_of_a_source_and_of_a_project_that_is_gone(self) -> None:
        targets = self.discovered()
        without = replace(EVERYTHING, discovery=None, server_files=())
        targets.reconfigure([without], {"p": EVERYTHING}, {})
        assert targets.all() == []
        targets.reconfigure([], {"p": without}, {})
        assert targets.of("p") == []


def test_a_source_is_awaited_until_its_first_set_even_if_that_is_empty() -> None:
    targets = configured(replace(EVERYTHING, servers=(entry("a", "static"),)))
    assert targets.awaited() == [("p", Source.FILE), ("p", Source.CLOUD)]
    targets.put("p", Source.FILE, [])
    assert targets.awaited() == [("p", Source.CLOUD)]
    targets.put("p", Source.CLOUD, [target("a")])
    assert targets.awaited() == []


def test_a_reload_awaits_no_set_that_is_kept() -> None:
    targets = configured(EVERYTHING)
    targets.put("p", Source.FILE, [target("a")])
    targets.put("p", Source.CLOUD, [])
    targets.reconfigure([replace(EVERYTHING, timeout=4.0)], {"p": EVERYTHING}, {"p": None})
    assert targets.awaited() == []
