"""Loading each file in ``bad/`` fails with exactly the errors in the ``.txt`` file of that name.

``hunter2``, in the files and in the environment, is a secret that must not appear in any error.
"""

from pathlib import Path

import pytest

from exporter.config.load import ConfigError, load

BAD = Path(__file__).parent / "bad"
ENVIRON = {"CANARY": "hunter2 from the environment", "BREAK": "hunter2\nfrom the environment"}


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.yaml")))
def test_bad_file_has_exactly_the_expected_errors(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(ConfigError) as caught:
        load(Path(f"{name}.yaml"), ENVIRON)
    message = f"{caught.value}\n"
    assert message == Path(f"{name}.txt").read_text()
    assert "hunter2" not in message + repr(caught.value)
    assert len(message.splitlines()) == len(caught.value.details)


def test_every_bad_file_has_expected_errors() -> None:
    files = {path.stem for path in BAD.glob("*.yaml")}
    assert files == {path.stem for path in BAD.glob("*.txt")}
    assert len(files) >= 40
