"""Parse the selectors of a PromQL query; sufficient for the generated queries."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_COMMENT = re.compile(r"#[^\n]*")
_SELECTOR = re.compile(r"(?<![\w:])([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}(?:\[([^\]]*)\])?")
_MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*(@\d+@)")
_CALL = re.compile(r"(\w+)\s*\($")
_LABELS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w:.@$])[a-zA-Z_:][\w:]*")
_WORDS = {"and", "or", "unless", "bool", "offset", "group_left", "group_right", "inf"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector of a query.

    ``over`` is the range in brackets, ``function`` the function that is applied directly; both may
    be empty.
    """

    name: str
    matchers: tuple[Matcher, ...]
    over: str
    function: str


def selectors(query: str) -> list[Selector]:
    """Return all selectors of a query; raises `ValueError` for a metric without braces."""
    texts: list[str] = []

    def replace(match: re.Match[str]) -> str:
        texts.append(match[0][1:-1])
        return f"@{len(texts) - 1}@"

    bare = _COMMENT.sub("", _TEXT.sub(replace, query))
    found = list(_selectors(bare, texts))
    rest = _LABELS.sub("", re.sub(r"\[[^\]]*\]", "", _SELECTOR.sub("", bare)))
    for match in _NAME.finditer(rest):
        called = rest[match.end() :].lstrip().startswith("(")
        if match[0] not in _WORDS and not called:
            raise ValueError(f"{match[0]} is selected without braces in {query}")
    return found


def _selectors(bare: str, texts: list[str]) -> Iterator[Selector]:
    for match in _SELECTOR.finditer(bare):
        call = _CALL.search(bare[: match.start()].rstrip())
        yield Selector(
            name=match[1],
            matchers=tuple(
                Matcher(label, operator, texts[int(text.strip("@"))])
                for label, operator, text in _MATCHER.findall(match[2])
            ),
            over=match[3] or "",
            function=call[1] if call else "",
        )
