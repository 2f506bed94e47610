"""A Containerfile, read into its stages."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_STAGE = re.compile(r"FROM (\S+) AS ([a-z]+)")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its word, and all that follows, on one line."""

    word: str
    text: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A COPY; ``origin`` is the stage that it copies from, or empty for the build context."""

    origin: str
    sources: tuple[str, ...]
    target: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A named stage."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def all(self, word: str) -> list[str]:
        """Return what follows each instruction of this word."""
        return [one.text for one in self.instructions if one.word == word]


def copy(text: str) -> Copy:
    """Read what follows COPY."""
    words = shlex.split(text)
    origin = ""
    if words[0].startswith("--from="):
        origin = words.pop(0).removeprefix("--from=")
    return Copy(origin, tuple(words[:-1]), words[-1])


def instructions(path: Path) -> list[Instruction]:
    """Return the instructions of a Containerfile, continued lines joined, comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    split = [line.split(maxsplit=1) for line in joined.splitlines() if line]
    return [Instruction(word, text) for word, text in split]


def stages(path: Path) -> list[Stage]:
    """Return the stages of a Containerfile; an unnamed one is an error."""
    found: list[tuple[str, str, list[Instruction]]] = []
    for one in instructions(path):
        if one.word == "FROM":
            match = _STAGE.fullmatch(f"FROM {one.text}")
            assert match, f"a stage without a name: FROM {one.text}"
            found.append((match[2], match[1], []))
        elif found:
            found[-1][2].append(one)
    return [Stage(name, base, tuple(steps)) for name, base, steps in found]
