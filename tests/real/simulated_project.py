"""Servers and configuration of the simulated cloud's first project."""

import json
from pathlib import Path

import httpx

PROJECT_ID = "0123456789abcdef0123456789abcdef"
USER, PASSWORD, DOMAIN = "monitor", "simulated-password", "my-account"
_PAGE = 1000


def listed_servers(cloud: str) -> list[tuple[str, str]]:
    """Return ID and name of every server of the project."""
    with httpx.Client(base_url=cloud, timeout=30) as client:
        user = {"name": USER, "password": PASSWORD, "domain": {"name": DOMAIN}}
        response = client.post(
            "/v3/auth/tokens",
            json={
                "auth": {
                    "identity": {"methods": ["password"], "password": {"user": user}},
                    "scope": {"project": {"id": PROJECT_ID}},
                }
            },
        )
        response.raise_for_status()
        headers = {"X-Auth-Token": response.headers["X-Subject-Token"]}
        servers: list[tuple[str, str]] = []
        while True:
            query = {"limit": str(_PAGE)} | ({"marker": servers[-1][0]} if servers else {})
            page = client.get(
                f"/v1/{PROJECT_ID}/physicalservers", params=query, headers=headers
            ).json()["servers"]
            servers += [(one["id"], one["name"]) for one in page]
            if len(page) < _PAGE:
                return servers


def write_config(  # noqa: PLR0913 - parameters of tests and benchmarks
    path: Path,
    cloud: str,
    servers: list[tuple[str, str]],
    *,
    interval: str = "2s",
    timeout: str = "1s",
    rate: float = 1000.0,
    password: str = f"password: {PASSWORD}",
    depth: str = "api",
) -> Path:
    """Write a configuration with one project, ``southwest``, that probes ``servers``."""
    entries = "".join(
        f"      - {{id: {json.dumps(server_id)}, name: {json.dumps(name)}}}\n"
        for server_id, name in servers
    )
    path.write_text(
        f"""
global: {{interval: {interval}, timeout: {timeout}, depth: {depth}}}
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: {PROJECT_ID}
    endpoint: {cloud}
    auth:
      type: password
      iam_endpoint: {cloud}
      username: {USER}
      {password}
      domain: {DOMAIN}
    rate_limit: {{requests_per_second: {rate}, burst: {max(1, int(rate))}}}
    console: {{allowed_hosts: [127.0.0.1]}}
    servers:
{entries}"""
    )
    return path
