"""Fixtures: a minimal configuration, and functions that load text."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from exporter.config.config import Config
from exporter.config.load import ConfigError, load

MINIMAL = """\
projects:
  - name: one
    region: cn-southwest-2
    project_id: 0123456789abcdef0123456789abcdef
    auth: {type: token, token: t0ken}
"""

Load = Callable[..., Config]
Errors = Callable[..., list[str]]


@pytest.fixture
def minimal() -> str:
    """Return a minimal valid configuration; a test can append more keys of its project."""
    return MINIMAL


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Return a function that writes text to ``config.yaml`` in a new folder and loads it."""

    def write_and_load(text: str | bytes, environ: Mapping[str, str] | None = None) -> Config:
        path = tmp_path / "config.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(path, environ or {})

    return write_and_load


@pytest.fixture
def errors(load_text: Load) -> Errors:
    """Return a function that loads invalid text and returns its errors, sorted by position."""

    def messages(text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_text(text, environ)
        return [f"{detail.path}: {detail.message}" for detail in caught.value.details]

    return messages
