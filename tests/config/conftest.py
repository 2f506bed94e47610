"""A configuration to vary, and a way to load a text."""

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
Refusals = Callable[..., list[str]]


@pytest.fixture
def minimal() -> str:
    """Return the least configuration that is valid, open for more keys of its project."""
    return MINIMAL


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Return a function that loads a text as ``config.yaml`` of an own folder."""

    def loaded(text: str | bytes, environ: Mapping[str, str] | None = None) -> Config:
        path = tmp_path / "config.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(path, environ or {})

    return loaded


@pytest.fixture
def refusals(load_text: Load) -> Refusals:
    """Return a function that loads a text and returns what is said against it, by place."""

    def refused(text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_text(text, environ)
        return [f"{detail.path}: {detail.message}" for detail in caught.value.details]

    return refused
