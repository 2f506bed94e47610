"""Check the flags of deployed commands against the program's parser."""

from exporter.cli import command_line


def split_by_known(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the arguments that the program accepts, and those that it does not know."""
    _options, unknown = command_line().parse_known_args(arguments)
    return [argument for argument in arguments if argument not in unknown], unknown
