"""Check the dashboards with Grafana's npm packages: types, units and transformations.

`make test` installs them into `.grafana-types`.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from monitoring.dashboards import all_dashboards
from monitoring.parameters import Parameters
from tests.monitoring.dashboard_queries import panels_of
from tests.real.programs import required

SOURCES = Path(__file__).parent / "grafana_types"
INSTALLED = Path(__file__).parents[2] / ".grafana-types" / "node_modules"
FILES = all_dashboards(Parameters())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the dashboards and Grafana's packages."""
    if not (INSTALLED / "@grafana" / "data").is_dir():
        reason = "Grafana's packages are not installed; `make test` installs them"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("grafana")
    (folder / "node_modules").symlink_to(INSTALLED)
    for source in SOURCES.iterdir():
        (folder / source.name).write_text(source.read_text())
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


def node(folder: Path, *arguments: str) -> str:
    """Run node in the folder and return its output; assert that it succeeds."""
    ran = subprocess.run(
        [required("node"), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{ran.stdout[:3000]}\n{ran.stderr[:3000]}"
    return ran.stdout


def compiled(folder: Path, files: dict[str, str]) -> str:
    literals = (
        f"export const _{number} = {text.strip()} satisfies GrafanaDashboard;"
        for number, text in enumerate(files.values())
    )
    head = 'import type { GrafanaDashboard } from "./types";'
    (folder / "dashboards.ts").write_text("\n".join((head, *literals)))
    return node(folder, "node_modules/typescript/bin/tsc", "--project", ".")


def test_dashboards_match_the_types_of_grafana(folder: Path) -> None:
    compiled(folder, FILES)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"type": "query"', '"type": "question"'),
        ('"refresh": 2', '"refresh": "always"'),
        ('"graphMode": "none"', '"graphMode": "nothing"'),
        ('"fillOpacity": 70', '"opacity": 70'),
        ('"wideLayout": true', '"wide": true'),
        ('"mode": "thresholds"', '"mode": "colourful"'),
        ('"includeVars": true', '"includeVariables": true'),
        ('"instant": true', '"instantly": true'),
    ],
)
def test_wrong_properties_are_type_errors(folder: Path, right: str, wrong: str) -> None:
    assert right in FILES["fleet.json"]
    with pytest.raises(AssertionError, match="error TS"):
        compiled(folder, {"fleet.json": FILES["fleet.json"].replace(right, wrong, 1)})


@pytest.fixture(scope="module")
def known(folder: Path) -> Any:
    """Return the unknown units and transformations, and the columns of tables."""
    return json.loads(node(folder, "known.cjs", *FILES))


def test_grafana_knows_every_unit(known: Any) -> None:
    assert known["units"] == []


def test_grafana_knows_every_transformation(known: Any) -> None:
    assert known["transformations"] == []


def test_grafana_joins_the_queries_of_a_table_into_the_expected_columns(
    known: Any,
) -> None:
    expected = {}
    for text in FILES.values():
        dashboard = json.loads(text)
        for panel in panels_of(dashboard):
            if len(panel.get("transformations", ())) > 1:
                titles = [each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]]
                expected[f"{dashboard['title']}: {panel['title']}"] = [
                    {"rows": 2, "titles": titles}
                ]
    assert known["columns"] == expected
    assert len(expected) >= 7
