"""Parse the command line and run a command."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from exporter.cli import commands
from exporter.cli.flags import (
    config_argument,
    demo_arguments,
    probe_arguments,
    serve_arguments,
    simulate_arguments,
    web_config_argument,
)
from exporter.cli.help_text import ManualParser
from exporter.cli.manual import OVERVIEW, PAGES

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    options = command_line().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has exited, as with `| head`. Python would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return commands.FAILED


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all commands and their flags."""
    parser = ManualParser(page=OVERVIEW, prog=commands.PROG)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    added = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        page = PAGES[name]
        sub = added.add_parser(name, help=page.summary, page=page)
        sub.set_defaults(run=run)
        return sub

    serve_arguments(command("serve", commands.serve))
    check_config = command("check-config", commands.check_config)
    config_argument(check_config)
    web_config_argument(check_config)
    config_argument(command("discover", commands.discover))
    probe_arguments(command("probe", commands.probe))
    simulate_arguments(command("simulate", commands.simulate))
    demo_arguments(command("demo", commands.demo))
    command("config-schema", commands.config_schema)
    return parser


class _Version(argparse.Action):
    def __call__(self, *_: object) -> None:
        commands.say(f"{commands.PROG} {commands.installed_version(commands.PROG)}", sys.stdout)
        sys.exit(commands.OK)
