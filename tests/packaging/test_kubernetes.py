"""The manifests are valid, consistent with the program, and need no more rights than necessary.

They are not applied, because that needs a cluster.
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
from tests.packaging.flags import split_by_known
from tests.packaging.kustomize import FOLDER, Manifests
from tests.real.programs import required

FOLDERS = [FOLDER / "base", FOLDER / "overlays" / "example"]
OPERATOR = "monitoring.coreos.com/v1"
KUBERNETES = ("1.29", "1.32", kubernetes_validate.latest_version().rpartition(".")[0])
# Of the operator's API: the fields in use, and the required ones.
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
def test_kubernetes_schemas_accept_every_field(manifests: Manifests, version: str) -> None:
    own = [one for one in manifests.objects if one["apiVersion"] != OPERATOR]
    assert len(own) >= 5
    for one in own:
        kubernetes_validate.validate(copy.deepcopy(one), version, strict=True)


def test_operator_fields_are_known_and_complete(manifests: Manifests) -> None:
    for kind, (fields, needed) in OPERATOR_FIELDS.items():
        spec = manifests.one(kind)["spec"]
        assert needed <= spec.keys() <= fields
    (endpoint,) = manifests.one("ServiceMonitor")["spec"]["endpoints"]
    assert endpoint.keys() <= ENDPOINT_FIELDS
    for group in manifests.one("PrometheusRule")["spec"]["groups"]:
        for rule in group["rules"]:
            assert rule.keys() <= RULE_FIELDS
            assert ("alert" in rule) != ("record" in rule)


def test_rules_equal_the_generated_ones_and_pass_promtool(
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


def test_job_label_is_the_one_selected_by_the_rules(manifests: Manifests) -> None:
    monitor, service = manifests.one("ServiceMonitor"), manifests.one("Service")
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "console-exporter"
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_all_selectors_match_the_pods(manifests: Manifests) -> None:
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


def test_shard_count_equals_the_replicas(manifests: Manifests) -> None:
    assert manifests.flag("--shard.index") == "auto"
    assert int(manifests.flag("--shard.count")) == manifests.one("StatefulSet")["spec"]["replicas"]


def test_pods_have_stable_names_for_the_shard_index(manifests: Manifests) -> None:
    service = manifests.one("Service")
    assert service["spec"]["clusterIP"] == "None"
    assert manifests.one("StatefulSet")["spec"]["serviceName"] == service["metadata"]["name"]


def test_program_accepts_the_command(manifests: Manifests) -> None:
    accepted, unknown = split_by_known(manifests.container["args"])
    assert accepted[0] == "serve"
    assert unknown == []


def test_paths_of_the_command_are_mounted_and_only_state_is_writable(
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


def test_configuration_is_valid_and_its_secret_can_be_rotated(
    manifests: Manifests, tmp_path: Path
) -> None:
    (mount,) = [one for one in manifests.container["volumeMounts"] if one["name"] == "secrets"]
    assert "subPath" not in mount, "subPath mounts are not updated"
    text = manifests.one("ConfigMap")["data"]["config.yaml"]
    assert mount["mountPath"] in text
    (tmp_path / "iam-password").write_text("p")
    (tmp_path / "config.yaml").write_text(text.replace(mount["mountPath"], str(tmp_path)))
    assert load(tmp_path / "config.yaml", {}).projects[0].servers
    assert "Secret" not in {one["kind"] for one in manifests.objects}


def test_pods_run_as_nobody_without_capabilities_on_a_read_only_root(
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


def test_kubelet_probes_use_the_health_and_readiness_paths(manifests: Manifests) -> None:
    probes = {
        name: manifests.container[name]["httpGet"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert probes == {
        "startupProbe": {"path": "/-/healthy", "port": "http"},
        "livenessProbe": {"path": "/-/healthy", "port": "http"},
        "readinessProbe": {"path": "/-/ready", "port": "http"},
    }
    assert [port["name"] for port in manifests.container["ports"]] == ["http"]


def test_network_policy_allows_only_scrapes_dns_cloud_and_consoles(manifests: Manifests) -> None:
    spec = manifests.one("NetworkPolicy")["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    (ingress,) = spec["ingress"]
    assert ports(ingress) == {("TCP", 10429)}
    assert ingress["from"]
    dns, consoles = spec["egress"]
    assert ports(dns) == {("UDP", 53), ("TCP", 53)}
    assert ("TCP", 443) in ports(consoles)
    assert not any(port in (80, 22) for _protocol, port in ports(consoles))


def ports(rule: dict[str, Any]) -> set[tuple[str, int]]:
    return {(one["protocol"], one["port"]) for one in rule["ports"]}


def test_overlay_changes_image_shards_ports_and_label() -> None:
    base, overlay = (Manifests(folder) for folder in FOLDERS)
    assert overlay.container["image"] != base.container["image"]
    assert overlay.flag("--shard.count") != base.flag("--shard.count")
    assert ("TCP", 8443) in ports(overlay.one("NetworkPolicy")["spec"]["egress"][1])
    for kind in OPERATOR_FIELDS:
        assert overlay.one(kind)["metadata"]["labels"]["release"] == "prometheus"
    namespace = overlay.one("Namespace")["metadata"]["name"]
    others = [one for one in overlay.objects if one["kind"] != "Namespace"]
    assert {one["metadata"]["namespace"] for one in others} == {namespace}


def test_changed_configuration_rolls_the_pods() -> None:
    base, overlay = (Manifests(folder) for folder in FOLDERS)
    names = []
    for one in (base, overlay):
        name = one.one("ConfigMap")["metadata"]["name"]
        (volume,) = [volume for volume in one.pod["volumes"] if volume["name"] == "config"]
        assert volume["configMap"]["name"] == name
        names.append(name)
    assert names[0] != names[1]


def test_at_most_one_pod_is_unavailable(manifests: Manifests) -> None:
    assert manifests.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert manifests.pod["terminationGracePeriodSeconds"] > 5
