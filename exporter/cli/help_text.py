"""Print ``--help`` as a manual page."""

import argparse
import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

from exporter.cli.manual import Page

_TERM_WIDTH_MAX = 20
_WIDTH_MIN = 40


class ManualParser(argparse.ArgumentParser):
    """Argument parser that appends the sections of a manual page to the help.

    ``options`` are those of `argparse.ArgumentParser`.
    """

    def __init__(self, *, page: Page, **options: Any) -> None:  # noqa: ANN401 - argparse's options
        super().__init__(description=page.description, allow_abbrev=False, **options)
        self._page = page

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:  # noqa: ANN401
        """Add an argument, and its default, if any, to its help."""
        if options.get("default") not in (None, False, argparse.SUPPRESS):
            options["help"] = f"{options.get('help', '')} (default: %(default)s)"
        return super().add_argument(*names, **options)

    def format_help(self) -> str:
        """Return usage, description, flags and the sections of the manual page."""
        # argparse leaves two columns free as well.
        width = max(shutil.get_terminal_size().columns - 2, _WIDTH_MIN)
        lines = [super().format_help()]
        for title, entries in self._page.sections:
            lines.append(f"{title}:")
            layout = _examples if title == "examples" else _definitions
            lines += layout(entries, width)
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
        # Folded with backslashes, so that it can be pasted into a shell.
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
