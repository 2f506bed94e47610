"""The manifests are valid, fit each other and the program, and ask for no more than they need.

They are not applied: that needs a cluster.
"""

import copy
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from exporter.config.load import load
from tests.packaging.conftest import ROOT
from tests.packaging.flags import AWAITED, known
from tests.packaging.kustomize import FOLDER, Manifests
from tests.real.programs import required

FOLDERS = [FOLDER / "base", FOLDER / "overlays" / "example"]
OPERATOR = "monitoring.coreos.com/v1"
KUBERNETES = ("1.29", "1.32", kubernetes_validate.latest_version().rpartition(".")[0])
# Of the operator's API: the fields that we use, and what must be there.
OPERATOR_FIELDS = {
    "ServiceMonitor": ({"jobLabel", "selector", "endpoints"}, {"selector", "endpoints"}),
    "PrometheusRule": ({"groups"}, {"groups"}),
}
ENDPOINT_FIELDS = {"port", "interval", "scrapeTimeout"}
RULE_FIELDS = {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return Manifests(request.param)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(manifests: Manifests, version: str) -> None:
    own = [one for one in manifests.objects if one["apiVersion"] != OPERATOR]
    assert len(own) >= 5
    for one in own:
        kubernetes_validate.validate(copy.deepcopy(one), version, strict=True)


def test_the_operator_knows_every_field(manifests: Manifests) -> None:
    for kind, (fields, needed) in OPERATOR_FIELDS.items():
        spec = manifests.one(kind)["spec"]
        assert needed <= spec.keys() <= fields
    (endpoint,) = manifests.one("ServiceMonitor")["spec"]["endpoints"]
    assert endpoint.keys() <= ENDPOINT_FIELDS
    for group in manifests.one("PrometheusRule")["spec"]["groups"]:
        for rule in group["rules"]:
            assert rule.keys() <= RULE_FIELDS
            assert ("alert" in rule) != ("record" in rule)


def test_the_rules_are_the_generated_ones_and_prometheus_takes_them(
    manifests: Manifests, tmp_path: Path
) -> None:
    spec = manifests.one("PrometheusRule")["spec"]
    generated = yaml.safe_load((ROOT / "rules" / "prometheusrule.yaml").read_text())["spec"]
    assert spec == generated
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    subprocess.run(
        [required("promtool"), "check", "rules", "--lint=all", "--lint-fatal",
         str(tmp_path / "rules.yaml")],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_job_is_the_one_that_the_rules_select(manifests: Manifests) -> None:
    monitor, service = manifests.one("ServiceMonitor"), manifests.one("Service")
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "console-exporter"
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_everything_selects_the_pods(manifests: Manifests) -> None:
    labels = manifests.one("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    selectors: list[dict[str, str]] = [
        manifests.one("StatefulSet")["spec"]["selector"]["matchLabels"],
        manifests.one("Service")["spec"]["selector"],
        manifests.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        manifests.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(
            one["labelSelector"]["matchLabels"]
            for one in manifests.pod["topologySpreadConstraints"]
        ),
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()


def test_there_are_as_many_shards_as_pods(manifests: Manifests) -> None:
    assert manifests.flag("--shard.index") == "auto"
    assert int(manifests.flag("--shard.count")) == manifests.one("StatefulSet")["spec"]["replicas"]


def test_a_shard_is_told_by_the_name_of_its_pod(manifests: Manifests) -> None:
    service = manifests.one("Service")
    assert service["spec"]["clusterIP"] == "None"
    assert manifests.one("StatefulSet")["spec"]["serviceName"] == service["metadata"]["name"]


def test_the_program_takes_the_command(manifests: Manifests) -> None:
    taken, strange = known(manifests.container["args"])
    assert taken[0] == "serve"
    assert {word.partition("=")[0] for word in strange} <= AWAITED


def test_what_the_command_names_is_mounted_and_only_the_state_can_be_written(
    manifests: Manifests,
) -> None:
    mounts = {one["mountPath"]: one for one in manifests.container["volumeMounts"]}
    for flag, writable in (("--config.file", False), ("--state.file", True)):
        mount = mounts[str(Path(manifests.flag(flag)).parent)]
        assert mount.get("readOnly", False) is not writable
    templates = manifests.one("StatefulSet")["spec"]["volumeClaimTemplates"]
    volumes = {one["name"] for one in manifests.pod["volumes"]}
    volumes |= {one["metadata"]["name"] for one in templates}
    assert {one["name"] for one in mounts.values()} == volumes


def test_the_configuration_is_valid_and_its_secret_is_mounted_to_be_rotated(
    manifests: Manifests, tmp_path: Path
) -> None:
    (mount,) = [one for one in manifests.container["volumeMounts"] if one["name"] == "secrets"]
    assert "subPath" not in mount, "it would never be renewed"
    text = manifests.one("ConfigMap")["data"]["config.yaml"]
    assert mount["mountPath"] in text
    (tmp_path / "iam-password").write_text("p")
    (tmp_path / "config.yaml").write_text(text.replace(mount["mountPath"], str(tmp_path)))
    assert load(tmp_path / "config.yaml", {}).projects[0].servers
    assert "Secret" not in {one["kind"] for one in manifests.objects}


def test_pods_run_as_nobody_with_no_rights_on_a_root_that_is_read_only(
    manifests: Manifests,
) -> None:
    pod, container = manifests.pod["securityContext"], manifests.container["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] == pod["runAsGroup"] == pod["fsGroup"] == 65534
    assert f"USER {pod['runAsUser']}:" in (ROOT / "Containerfile").read_text()
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert manifests.pod["automountServiceAccountToken"] is False


def test_each_probe_asks_what_it_is_for(manifests: Manifests) -> None:
    asked = {
        name: manifests.container[name]["httpGet"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert asked == {
        "startupProbe": {"path": "/-/healthy", "port": "http"},
        "livenessProbe": {"path": "/-/healthy", "port": "http"},
        "readinessProbe": {"path": "/-/ready", "port": "http"},
    }
    assert [port["name"] for port in manifests.container["ports"]] == ["http"]


def test_only_scrapes_come_in_and_only_names_and_consoles_go_out(manifests: Manifests) -> None:
    spec = manifests.one("NetworkPolicy")["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    (into,) = spec["ingress"]
    assert ports(into) == {("TCP", 10429)}
    assert into["from"]
    names, consoles = spec["egress"]
    assert ports(names) == {("UDP", 53), ("TCP", 53)}
    assert ("TCP", 443) in ports(consoles)
    assert not any(port in (80, 22) for _protocol, port in ports(consoles))


def ports(rule: dict[str, Any]) -> set[tuple[str, int]]:
    return {(one["protocol"], one["port"]) for one in rule["ports"]}


def test_an_overlay_changes_image_shards_ports_and_the_operator_s_label() -> None:
    base, ours = (Manifests(folder) for folder in FOLDERS)
    assert ours.container["image"] != base.container["image"]
    assert ours.flag("--shard.count") != base.flag("--shard.count")
    assert ("TCP", 8443) in ports(ours.one("NetworkPolicy")["spec"]["egress"][1])
    for kind in OPERATOR_FIELDS:
        assert ours.one(kind)["metadata"]["labels"]["release"] == "prometheus"
    namespace = ours.one("Namespace")["metadata"]["name"]
    others = [one for one in ours.objects if one["kind"] != "Namespace"]
    assert {one["metadata"]["namespace"] for one in others} == {namespace}


def test_a_changed_configuration_rolls_the_pods() -> None:
    base, ours = (Manifests(folder) for folder in FOLDERS)
    names = []
    for one in (base, ours):
        name = one.one("ConfigMap")["metadata"]["name"]
        (volume,) = [volume for volume in one.pod["volumes"] if volume["name"] == "config"]
        assert volume["configMap"]["name"] == name
        names.append(name)
    assert names[0] != names[1]


def test_one_pod_is_missing_at_most(manifests: Manifests) -> None:
    assert manifests.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert manifests.pod["terminationGracePeriodSeconds"] > 5
