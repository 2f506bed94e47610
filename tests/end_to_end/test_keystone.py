"""Test of logins to a real OpenStack Keystone with a running exporter."""

import re
from pathlib import Path

import httpx
import pytest

from tests.real.keystone import Keystone
from tests.real.keystone_cloud import keystone_cloud
from tests.real.machine_stalls import retry_if_machine_stalled
from tests.real.programs import exporter, until

pytestmark = pytest.mark.alone


@retry_if_machine_stalled
def test_revoked_tokens_and_a_changed_password_mark_no_console_as_down(
    tmp_path: Path, keystone: Keystone
) -> None:
    account = keystone.create_account()
    password = tmp_path / "password"
    password.write_text(account.password)
    with keystone_cloud(keystone) as cloud:
        config = tmp_path / "config.yaml"
        config.write_text(
            f"""
global: {{interval: 2s, timeout: 1900ms}}
projects:
  - name: p
    region: cn-east-3
    project_id: {account.project_id}
    endpoint: {cloud.url}
    auth:
      type: password
      iam_endpoint: {keystone.url}
      username: {account.username}
      password_file: {password}
      domain: {account.domain}
    servers: [{{id: id-0}}]
"""
        )
        with exporter(config) as ours:
            until(lambda: outcomes(ours.url).get("success", 0) >= 2, 60)

            keystone.revoke(cloud.tokens[-1])
            until(lambda: len(set(cloud.tokens)) == 2, 60)
            good = outcomes(ours.url)["success"]
            until(lambda: outcomes(ours.url)["success"] > good, 60)
            assert set(seen_outcomes(ours.url)) == {"success"}

            with keystone.token_lifetime(4):
                keystone.revoke(cloud.tokens[-1])
                # Tokens expire repeatedly without a failed probe.
                until(lambda: len(set(cloud.tokens)) >= 5, 60)
                assert set(seen_outcomes(ours.url)) == {"success"}

            keystone.change_password(account, "another-password")
            until(lambda: outcomes(ours.url).get("unauthorized", 0) >= 2, 60)
            text = metrics(ours.url)
            assert re.search(r"^console_probe_success{.*} 1\.0$", text, re.MULTILINE)
            assert set(seen_outcomes(ours.url)) == {"success", "unauthorized"}
            attempts = len(cloud.tokens)

            # A changed secret is used at once, not after the back-off.
            password.write_text("another-password\n")
            good = outcomes(ours.url)["success"]
            until(lambda: outcomes(ours.url)["success"] > good, 60)
            assert len(cloud.tokens) > attempts


def metrics(url: str) -> str:
    return httpx.get(f"http://{url}/metrics").text


def outcomes(url: str) -> dict[str, float]:
    found = re.findall(
        r'^console_probes_total{outcome="(\w+)".*} (\S+)$', metrics(url), re.MULTILINE
    )
    return {outcome: float(count) for outcome, count in found}


def seen_outcomes(url: str) -> list[str]:
    return [outcome for outcome, count in outcomes(url).items() if count]
