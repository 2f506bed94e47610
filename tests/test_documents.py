"""The documents agree with the program."""

import json
import re
from pathlib import Path

import pytest
import yaml

from exporter.cli import main
from exporter.config.load import json_schema, load
from exporter.outcome import Outcome, Verdict

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_first_configuration_in_the_readme_is_valid(tmp_path: Path) -> None:
    (first, _scrape) = blocks("yaml")
    (tmp_path / "config.yaml").write_text(first)
    config = load(tmp_path / "config.yaml", {"IAM_PASSWORD": "p"})
    assert [server.name for server in config.projects[0].servers] == ["db-01"]


def test_scrape_configuration_in_the_readme_uses_the_default_port() -> None:
    (_first, scrape) = blocks("yaml")
    (job,) = yaml.safe_load(scrape)["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["localhost:10429"]


def test_shipped_configuration_is_valid_and_within_its_rate_limits() -> None:
    assert main(["check-config", f"--config.file={ROOT / 'config.yaml'}"]) == 0


def test_committed_schema_equals_the_output_of_config_schema() -> None:
    committed = json.loads((ROOT / "docs" / "config.schema.json").read_text())
    assert committed == json_schema(), "run `make generate`"


def test_the_readme_lists_every_outcome_under_its_verdict() -> None:
    rows = dict(re.findall(r"^\| (success|failure|inconclusive) \| (.*?) \|", README, re.MULTILINE))
    for verdict in Verdict:
        named = set(re.findall(r"`(\w+)`", rows[verdict]))
        assert named == {one for one in Outcome if one.verdict is verdict}


DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_in_documents_resolve(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / link).exists(), link
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", document.read_text()):
        assert anchor in headings, anchor


def test_the_usual_documents_exist() -> None:
    names = {document.name for document in DOCUMENTS}
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "deployment.md"} <= names
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")


def test_architecture_names_every_package_and_only_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "exporter"
    table = text.partition("## Packages")[2].partition("##")[0]
    folders = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    assert folders <= set(re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE))
    for row in re.findall(r"^\| `([\w/]+)/` \| .* \| (.*) \|$", table, re.MULTILINE):
        for name in re.findall(r"`([\w.]+)`", row[1]):
            assert (package / row[0] / name).exists(), f"{row[0]}/{name}"
    for name in re.findall(r"`([\w/]+\.(?:py|yaml))`", text.replace(table, "")):
        assert (package / name).exists(), name
