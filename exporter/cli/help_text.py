"""An argument parser whose ``--help`` is a manual page."""

import argparse
import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

from exporter.cli.manual import Page

_TERM_WIDTH_MAX = 20
_WIDTH_MIN = 40


class ManualParser(argparse.ArgumentParser):
    """Parse a command's flags; help with its page of the manual."""

    def __init__(self, *, page: Page, **options: Any) -> None:  # noqa: ANN401 - argparse's own
        """Describe the command by ``page``; ``options`` are those of `argparse.ArgumentParser`."""
        super().__init__(description=page.description, allow_abbrev=False, **options)
        self._page = page

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:  # noqa: ANN401
        """Add an argument; where it has a default its help names it."""
        if options.get("default") not in (None, False, argparse.SUPPRESS):
            options["help"] = f"{options.get('help', '')} (default: %(default)s)"
        return super().add_argument(*names, **options)

    def format_help(self) -> str:
        """Return usage, description and flags, then the sections of the page."""
        # argparse leaves the same two columns free.
        width = max(shutil.get_terminal_size().columns - 2, _WIDTH_MIN)
        lines = [super().format_help()]
        for title, entries in self._page.sections:
            lines.append(f"{title}:")
            form = _examples if title == "examples" else _definitions
            lines += form(entries, width)
            lines.append("")
        return "\n".join(lines)


def _definitions(entries: tuple[tuple[str, str], ...], width: int) -> Iterator[str]:
    indent = min(max(len(term) for term, _ in entries), _TERM_WIDTH_MAX) + 4
    for term, text in entries:
        yield from textwrap.wrap(
            text,
            width,
            initial_indent=f"  {term}".ljust(indent),
            subsequent_indent=" " * indent,
            break_on_hyphens=False,
        )


def _examples(entries: tuple[tuple[str, str], ...], width: int) -> Iterator[str]:
    for command, text in entries:
        # Folded so that it can still be pasted into a shell.
        folded = textwrap.wrap(
            command,
            width - 2,
            initial_indent="  ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        yield " \\\n".join(folded)
        indent = " " * 6
        yield from textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent)
