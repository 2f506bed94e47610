"""Tests of when a reload reuses a project's components and when it rebuilds them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.app.project import ProjectParts
from exporter.cloud.auth import Lockouts
from exporter.cloud.observer import Unobserved
from exporter.config.config import RateLimit
from exporter.config.load import load
from tests.real.certificates import Certificates

_CONFIG = """
projects:
  - name: southwest
    region: cn-southwest-2
    project_id: "0123"
    auth: {type: aksk, access_key: AK, secret_key: SK}
    tls: {ca_file: cloud.pem}
    console: {tls: {ca_file: consoles.pem}}
    servers: [{id: a}]
"""


@pytest.fixture
async def parts(clock: Any, tmp_path: Path) -> AsyncIterator[ProjectParts]:
    for name in ("cloud", "consoles"):
        Certificates().write_authority(tmp_path / f"{name}.pem")
    config = tmp_path / "config.yaml"
    config.write_text(_CONFIG)
    (project,) = load(config, {}).projects
    built = ProjectParts.build(project, Unobserved(), Lockouts(clock), clock)
    yield built
    await built.aclose()


async def test_parts_are_reused_if_only_servers_or_schedule_change(parts: ProjectParts) -> None:
    assert parts.can_serve(parts.project)
    assert parts.can_serve(replace(parts.project, servers=(), interval=5.0))
    assert not parts.can_serve(replace(parts.project, rate_limit=RateLimit(1.0, 1)))


@pytest.mark.parametrize("name", ["cloud.pem", "consoles.pem"])
async def test_parts_are_rebuilt_if_a_certificate_file_is_replaced_or_removed(
    parts: ProjectParts, tmp_path: Path, name: str
) -> None:
    Certificates().write_authority(tmp_path / name)
    assert not parts.can_serve(parts.project)
    (tmp_path / name).unlink()
    assert not parts.can_serve(parts.project)
