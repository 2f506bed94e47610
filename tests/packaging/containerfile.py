"""Parse a Containerfile into its stages."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_STAGE = re.compile(r"FROM (\S+) AS ([a-z]+)")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its keyword, and its arguments on one line."""

    keyword: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A COPY; ``from_stage`` is empty when it copies from the build context."""

    from_stage: str
    sources: tuple[str, ...]
    target: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A named stage."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def all(self, keyword: str) -> list[str]:
        """Return the arguments of each instruction with this keyword."""
        return [one.arguments for one in self.instructions if one.keyword == keyword]


def copy(text: str) -> Copy:
    """Parse the arguments of COPY."""
    words = shlex.split(text)
    from_stage = ""
    if words[0].startswith("--from="):
        from_stage = words.pop(0).removeprefix("--from=")
    return Copy(from_stage, tuple(words[:-1]), words[-1])


def instructions(path: Path) -> list[Instruction]:
    """Return the instructions of a Containerfile, with continued lines joined, without comments."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    split = [line.split(maxsplit=1) for line in joined.splitlines() if line]
    return [Instruction(keyword, arguments) for keyword, arguments in split]


def stages(path: Path) -> list[Stage]:
    """Return the stages of a Containerfile; every stage must have a name."""
    found: list[tuple[str, str, list[Instruction]]] = []
    for one in instructions(path):
        if one.keyword == "FROM":
            match = _STAGE.fullmatch(f"FROM {one.arguments}")
            assert match, f"a stage without a name: FROM {one.arguments}"
            found.append((match[2], match[1], []))
        elif found:
            found[-1][2].append(one)
    return [Stage(name, base, tuple(steps)) for name, base, steps in found]
