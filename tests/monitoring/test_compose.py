"""The compose file mounts existing files, and its services find each other."""

import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LISTENING = {"exporter": 10429, "prometheus": 9090, "alertmanager": 9093, "grafana": 3000}
SIMULATED = "127.0.0.1:18080"


def mounts(service: str) -> dict[PurePosixPath, Path]:
    """Return the mounted files of the repository by their path in the container."""
    found = {}
    for volume in SERVICES[service].get("volumes", ()):
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume)
        source, target, *mode = text.split(":")
        if source in COMPOSE["volumes"]:
            continue
        assert mode == ["ro"], f"{volume} is writable"
        found[PurePosixPath(target)] = (FOLDER / source).resolve()
    return found


def seen(service: str, path: str) -> Path:
    """Return the file of the repository that is mounted at a path of the container."""
    for target, source in mounts(service).items():
        if PurePosixPath(path).is_relative_to(target):
            return source / PurePosixPath(path).relative_to(target)
    raise AssertionError(f"nothing is mounted at {path} of {service}")


def configuration(service: str) -> tuple[str, dict[str, Any]]:
    """Return the path of a service's configuration in the container, and its content."""
    (flag,) = [word for word in SERVICES[service]["command"] if "--config.file=" in word]
    path = flag.partition("=")[2]
    return path, yaml.safe_load(seen(service, path).read_text())


@pytest.mark.parametrize("service", SERVICES)
def test_mounted_files_exist_and_are_read_only(service: str) -> None:
    for source in mounts(service).values():
        assert source.exists()
        assert source.is_relative_to(ROOT)


def test_ports_are_published_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert sorted(ports) == sorted(f"127.0.0.1:{port}:{port}" for port in LISTENING.values())


def test_services_share_the_network_of_a_service_that_never_restarts() -> None:
    assert SERVICES["pod"]["entrypoint"] == ["sleep", "infinity"]
    for name, service in SERVICES.items():
        if name != "pod":
            assert service["network_mode"] == "service:pod"
            assert service["depends_on"]["pod"]["restart"] is True


def test_prometheus_finds_the_exporter_alertmanager_and_the_rules() -> None:
    path, config = configuration("prometheus")
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"localhost:{LISTENING['exporter']}"]}]
    (alerting,) = config["alerting"]["alertmanagers"]
    assert alerting["static_configs"] == [{"targets": [f"localhost:{LISTENING['alertmanager']}"]}]
    for rules in config["rule_files"]:
        assert seen("prometheus", normal(PurePosixPath(path).parent / rules)).is_file()


def test_alertmanager_finds_its_configuration() -> None:
    assert configuration("alertmanager")[1]["inhibit_rules"]


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    provisioning = seen("grafana", "/etc/grafana/provisioning")
    (sources,) = (provisioning / "datasources").glob("*.y*ml")
    (source,) = yaml.safe_load(sources.read_text())["datasources"]
    address = urlsplit(source["url"])
    assert (address.hostname, address.port) == ("localhost", LISTENING["prometheus"])
    (providers,) = (provisioning / "dashboards").glob("*.y*ml")
    (provider,) = yaml.safe_load(providers.read_text())["providers"]
    assert list(seen("grafana", provider["options"]["path"]).glob("*.json"))


def test_simulated_cloud_has_the_endpoint_of_the_default_configuration() -> None:
    _path, config = configuration("exporter")
    assert {project["endpoint"] for project in config["projects"]} == {f"http://{SIMULATED}"}
    assert SERVICES["cloud"]["command"] == ["simulate", f"--listen={SIMULATED}"]
    assert SERVICES["cloud"]["profiles"] == ["demo"]


@pytest.mark.parametrize("service", ["prometheus", "alertmanager", "grafana"])
def test_images_are_pinned_to_a_release(service: str) -> None:
    assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", SERVICES[service]["image"])


def test_exporter_image_is_built_from_the_dockerfile_and_read_only() -> None:
    for service in ("pod", "exporter", "cloud"):
        build = SERVICES[service]["build"]
        assert (FOLDER / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"]).is_file()
        assert SERVICES[service]["read_only"] is True


@pytest.mark.parametrize("service", SERVICES)
def test_services_have_no_privileges(service: str) -> None:
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in SERVICES[service]


def test_there_are_no_passwords() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|SECRET|TOKEN|KEY", name) or value is None
    grafana = SERVICES["grafana"]["environment"]
    assert grafana["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert grafana["GF_AUTH_BASIC_ENABLED"] == "false"
    assert grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def normal(path: PurePosixPath) -> str:
    """Return a path with ``..`` resolved."""
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return str(PurePosixPath(*parts))
