"""Read a long list in JSON a value at a time, so that nobody waits for the whole.

`json.loads` holds the event loop until it is through, from a thread too: for a second at 4 MiB that
were made to be slow. Here one value is read at one go, and none may be longer than 64 KiB.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

_VALUE_MAX = 64 * 1024
_MEMBERS_MAX = 100
_AT_ONE_GO_SECONDS = 0.002
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


async def read_long_list(
    body: bytes, items_max: int, each: Callable[[object], object]
) -> dict[str, Any] | None:
    """Return a JSON object some of whose values are long lists; None where it is none.

    Of the items of lists only what ``each`` makes of them is kept. None too where a list has more
    than ``items_max`` items, or an item or any other value is over 64 KiB long.
    """
    found: dict[str, Any] = {}
    since = perf_counter()
    try:
        for _ in _Reader(body.decode(), items_max, each).members(found):
            if perf_counter() - since > _AT_ONE_GO_SECONDS:
                await asyncio.sleep(0)
                since = perf_counter()
    except (ValueError, RecursionError):
        return None
    return found


class _Reader:
    """Reads on and on; every method raises `ValueError` for what is no JSON, or too much of it."""

    def __init__(self, text: str, items_max: int, each: Callable[[object], object]) -> None:
        self._text = text
        self._at = 0
        self._items_max = items_max
        self._each = each

    def members(self, found: dict[str, Any]) -> Iterator[None]:
        """Read the object into ``found``; yield between any two values."""
        self._sign("{")
        if self._next() == "}":
            self._sign("}")
        else:
            yield from self._members(found)
        if self._next():
            raise ValueError("more follows")

    def _members(self, found: dict[str, Any]) -> Iterator[None]:
        for _ in range(_MEMBERS_MAX):
            name = self._value()
            if not isinstance(name, str):
                raise ValueError("a name is no text")  # noqa: TRY004 - as json says it
            self._sign(":")
            if self._next() == "[":
                items: list[Any] = []
                found[name] = items
                yield from self._items(items)
            else:
                found[name] = self._value()
                yield
            if self._sign(",}") == "}":
                return
        raise ValueError("too many members")

    def _items(self, items: list[Any]) -> Iterator[None]:
        self._sign("[")
        if self._next() == "]":
            self._sign("]")
            return
        for _ in range(self._items_max):
            items.append(self._each(self._value()))
            yield
            if self._sign(",]") == "]":
                return
        raise ValueError("too many items")

    def _value(self) -> Any:  # noqa: ANN401 - JSON
        self._next()
        value, length = _DECODER.raw_decode(self._text[self._at : self._at + _VALUE_MAX])
        self._at += length
        return value

    def _sign(self, expected: str) -> str:
        sign = self._next()
        if not sign or sign not in expected:
            raise ValueError("another sign is expected")
        self._at += 1
        return sign

    def _next(self) -> str:
        """Return the next sign that is no space, empty at the end."""
        if space := _SPACE.match(self._text, self._at):
            self._at = space.end()
        return self._text[self._at : self._at + 1]
