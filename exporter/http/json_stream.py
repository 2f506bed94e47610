"""Parse a large JSON object one value at a time, without blocking the event loop.

`json.loads` blocks the event loop until it is done, even from a thread: for a second with 4 MiB of
malicious input. Here each step parses one value of at most 64 KiB.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

_VALUE_MAX = 64 * 1024
_MEMBERS_MAX = 100
_STEP_SECONDS = 0.002
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


async def read_json_stream(
    body: bytes, items_max: int, convert: Callable[[object], object]
) -> dict[str, Any] | None:
    """Parse a JSON object whose values may be large lists; return None when it is invalid.

    Each item of a list is replaced by what ``convert`` returns for it. The result is None, too,
    when a list has more than ``items_max`` items, or an item or other value is over 64 KiB.
    """
    found: dict[str, Any] = {}
    since = perf_counter()
    try:
        for _ in _Reader(body.decode(), items_max, convert).members(found):
            if perf_counter() - since > _STEP_SECONDS:
                await asyncio.sleep(0)
                since = perf_counter()
    except (ValueError, RecursionError):
        return None
    return found


class _Reader:
    """An incremental parser; every method raises `ValueError` for invalid or too large JSON."""

    def __init__(self, text: str, items_max: int, convert: Callable[[object], object]) -> None:
        self._text = text
        self._at = 0
        self._items_max = items_max
        self._convert = convert

    def members(self, found: dict[str, Any]) -> Iterator[None]:
        """Parse the object into ``found``; yield after each value."""
        self._expect("{")
        if self._next() == "}":
            self._expect("}")
        else:
            yield from self._members(found)
        if self._next():
            raise ValueError("extra data")

    def _members(self, found: dict[str, Any]) -> Iterator[None]:
        for _ in range(_MEMBERS_MAX):
            name = self._value()
            if not isinstance(name, str):
                raise ValueError("a name is not a string")  # noqa: TRY004 - json raises ValueError, too
            self._expect(":")
            if self._next() == "[":
                items: list[Any] = []
                found[name] = items
                yield from self._items(items)
            else:
                found[name] = self._value()
                yield
            if self._expect(",}") == "}":
                return
        raise ValueError("too many members")

    def _items(self, items: list[Any]) -> Iterator[None]:
        self._expect("[")
        if self._next() == "]":
            self._expect("]")
            return
        for _ in range(self._items_max):
            items.append(self._convert(self._value()))
            yield
            if self._expect(",]") == "]":
                return
        raise ValueError("too many items")

    def _value(self) -> Any:  # noqa: ANN401 - JSON
        self._next()
        value, length = _DECODER.raw_decode(self._text[self._at : self._at + _VALUE_MAX])
        self._at += length
        return value

    def _expect(self, expected: str) -> str:
        character = self._next()
        if not character or character not in expected:
            raise ValueError("unexpected character")
        self._at += 1
        return character

    def _next(self) -> str:
        """Skip whitespace and return the next character without consuming it; empty at the end."""
        if space := _SPACE.match(self._text, self._at):
            self._at = space.end()
        return self._text[self._at : self._at + 1]
