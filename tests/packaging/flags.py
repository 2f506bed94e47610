"""Flags of the deployed commands, held against the program's own."""

from exporter.cli import command_line

# Written into the manifests and units ahead of the program.
AWAITED = frozenset({"--shard.count", "--shard.index", "--state.file"})


def known(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words of a command that the program takes, and the flags that it does not."""
    _options, strange = command_line().parse_known_args(words)
    return [word for word in words if word not in strange], strange
