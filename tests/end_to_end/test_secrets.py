"""Tests that no planted secret appears in any output of the exporter."""

from pathlib import Path

import httpx
import pytest

from tests.real.canary_cloud import CANARY, canary_cloud
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.programs import command, exporter, until
from tests.real.simulated_project import write_config

BRIEFLY = {"X-Prometheus-Scrape-Timeout-Seconds": "1"}
SERVERS = [(f"id-{number}", f"name-{number}") for number in range(8)]


def api_paths(servers: list[tuple[str, str]]) -> list[str]:
    """Return the paths of all API resources."""
    each = [f"/api/v1/servers/southwest/{server_id}" for server_id, _ in servers]
    return ["/api/v1/servers", "/api/v1/servers?format=http_sd", *each]


@retry_if_machine_stalled
def test_no_secret_reaches_any_output(tmp_path: Path) -> None:
    with canary_cloud() as cloud:
        password = tmp_path / "password"
        password.write_text(f"{CANARY}-password")
        config = write_config(
            tmp_path / "config.yaml",
            cloud.url,
            SERVERS,
            interval="1s",
            timeout="500ms",
            password=f"password_file: {password}",
        )
        config.write_text(f"{config.read_text()}    discovery: {{refresh_interval: 10s}}\n")
        with exporter(config, None, "--log.level=debug") as ours:
            base = f"http://{ours.url}"
            until(lambda: cloud.requests > 2 * len(SERVERS), 20)
            until(lambda: "listing the cloud's servers failed" in ours.output, 20)
            outputs = [
                httpx.get(f"{base}{path}", headers=headers).text
                for path in ("/", "/metrics", "/config", "/-/ready", *api_paths(SERVERS))
                for headers in ({}, {"accept": "application/openmetrics-text;version=1.0.0"})
            ]
            for server_id, _ in SERVERS[:3]:
                query = {"target": server_id, "debug": "true"}
                outputs.append(
                    httpx.get(f"{base}/probe", params=query, headers=BRIEFLY, timeout=10).text
                )
            probe = f"{base}/api/v1/servers/southwest/{SERVERS[0][0]}/probe"
            outputs.append(httpx.post(probe, headers=BRIEFLY, timeout=10).text)
            config.write_text(config.read_text().replace("password_file", f"{CANARY}_x"))
            # The error may show the invalid key and its position.
            httpx.post(f"{base}/-/reload")
            ours.stop()
            outputs.append(ours.output.replace(f"{CANARY}_x", ""))
        probed = command("probe", f"--config.file={config}", SERVERS[0][0])
        outputs.append((probed.stdout + probed.stderr).replace(f"{CANARY}_x", ""))
        config.write_text(config.read_text().replace(f"{CANARY}_x", "password_file"))
        for _ in range(4):
            listed = command("discover", f"--config.file={config}")
            assert listed.returncode == 1
            outputs.append(listed.stdout + listed.stderr)
        assert cloud.saw_password
    everything = "\n".join(outputs)
    assert "console_probe_success" in everything
    assert "internal_error" not in "\n".join(
        line for line in everything.splitlines() if "outcome=" in line and line.endswith(" 1.0")
    )
    assert CANARY not in everything


@pytest.mark.parametrize(
    "auth",
    [
        f"{{type: token, token: {CANARY}}}",
        f"{{type: aksk, access_key: AK{CANARY}, secret_key: {CANARY}, security_token: {CANARY}}}",
    ],
)
def test_secrets_in_the_configuration_are_hidden(tmp_path: Path, auth: str) -> None:
    with canary_cloud() as cloud:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"""
global: {{interval: 1s, timeout: 500ms}}
projects:
  - name: p
    region: cn-east-3
    project_id: {"0" * 32}
    endpoint: {cloud.url}
    auth: {auth}
    servers: [{{id: id-0}}, {{id: id-1}}, {{id: id-2}}]
"""
        )
        with exporter(config, None, "--log.level=debug", "--log.format=json") as ours:
            base = f"http://{ours.url}"
            until(lambda: cloud.requests > 3, 10)
            paths = ("/", "/metrics", "/config", "/api/v1/servers", "/api/v1/servers/p/id-0")
            outputs = [httpx.get(f"{base}{path}").text for path in paths]
            outputs.append(
                httpx.get(f"{base}/probe?target=id-0&debug=true", headers=BRIEFLY, timeout=10).text
            )
            ours.stop()
            outputs.append(ours.output)
    assert "<secret>" in "".join(outputs)
    assert CANARY not in "".join(outputs)


def test_no_console_token_reaches_any_output(tmp_path: Path) -> None:
    servers = [(f"deep-{number}", f"name-{number}") for number in range(6)]
    with canary_cloud() as cloud:
        config = write_config(
            tmp_path / "config.yaml",
            cloud.url,
            servers,
            interval="1s",
            timeout="500ms",
            depth="rfb",
        )
        with exporter(config, None, "--log.level=debug") as ours:
            base = f"http://{ours.url}"
            until(lambda: cloud.handshakes > 3 * len(servers), 20)
            outputs = [
                httpx.get(f"{base}{path}", headers=headers).text
                for path in ("/", "/metrics", "/config", *api_paths(servers))
                for headers in ({}, {"accept": "application/openmetrics-text;version=1.0.0"})
            ]
            for server_id, _ in servers:
                query = {"target": server_id, "debug": "true"}
                outputs.append(
                    httpx.get(f"{base}/probe", params=query, headers=BRIEFLY, timeout=10).text
                )
            probe = f"{base}/api/v1/servers/southwest/{servers[0][0]}/probe"
            outputs.append(httpx.post(probe, headers=BRIEFLY, timeout=10).text)
            ours.stop()
            outputs.append(ours.output)
        for output_format in ("text", "json"):
            for server_id, _ in servers:
                probed = command(
                    "probe", f"--config.file={config}", f"--format={output_format}", server_id
                )
                outputs.append(probed.stdout + probed.stderr)
    everything = "\n".join(outputs)
    # All kinds of consoles were probed: a good one and each kind of failure.
    for outcome in ("success", "page_error", "websocket_rejected", "rfb_error"):
        assert f'"{outcome}"' in everything
    assert "vnc_auto.html" in everything
    assert CANARY not in everything
    assert "token=" not in everything
    assert "password=" not in everything
