"""Each file of ``bad/`` is refused with exactly the mistakes that stand beside it.

What must never show is planted as ``hunter2``: in the files, and in the environment.
"""

from pathlib import Path

import pytest

from exporter.config.load import ConfigError, load

BAD = Path(__file__).parent / "bad"
ENVIRON = {"CANARY": "hunter2 from the environment", "BREAK": "hunter2\nfrom the environment"}


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.yaml")))
def test_says_exactly_what_is_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(ConfigError) as caught:
        load(Path(f"{name}.yaml"), ENVIRON)
    said = f"{caught.value}\n"
    assert said == Path(f"{name}.txt").read_text()
    assert "hunter2" not in said + repr(caught.value)
    assert len(said.splitlines()) == len(caught.value.details)


def test_every_bad_file_has_its_message_and_every_message_its_file() -> None:
    files = {path.stem for path in BAD.glob("*.yaml")}
    assert files == {path.stem for path in BAD.glob("*.txt")}
    assert len(files) >= 40
