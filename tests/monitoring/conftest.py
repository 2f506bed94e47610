"""Fixture with the generated rule files."""

from pathlib import Path

import pytest

from monitoring.parameters import Parameters
from monitoring.rules_file import all_rules


@pytest.fixture(scope="session")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the generated rule files."""
    folder = tmp_path_factory.mktemp("rules")
    for name, text in all_rules(Parameters()).items():
        (folder / name).write_text(text)
    return folder
