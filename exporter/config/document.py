"""YAML text to a tree that remembers where each thing stands.

The tree is built from parser events, and not by PyYAML's own composer, for three reasons: keys
keep their places, duplicates are seen, and depth and size are bounded before they can hurt.
Scalars stay text; what a text means is for the field that holds it to say. So ``on``, ``012`` or
``2024-01-01`` never turn into something else behind the operator's back.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import yaml

from exporter.config.errors import Finding, Location

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NODES = 1_000_000
MAX_DEPTH = 32

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# YAML 1.1, section 4.1.1.
_NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
# LibYAML says "", PyYAML's own parser None.
_PLAIN_STYLES = ("", None)
_TEXT_TAG = "tag:yaml.org,2002:str"


@dataclass(slots=True)
class Scalar:
    """A text and its place; ``quoted`` also when a block or a ``!!str`` makes it text."""

    line: int
    column: int
    text: str
    quoted: bool

    @property
    def is_null(self) -> bool:
        """Return whether YAML reads this as nothing."""
        return not self.quoted and self.text in _NULL


@dataclass(slots=True)
class Sequence:
    """A list and the place where it begins."""

    line: int
    column: int
    items: list["Node"]


@dataclass(slots=True)
class Mapping:
    """A mapping and the place where it begins; ``keys`` holds the places of the keys."""

    line: int
    column: int
    entries: dict[str, "Node"]
    keys: dict[str, Scalar]


Node = Scalar | Sequence | Mapping


class DocumentError(Exception):
    """The text is no YAML document that can be read on; the place is 0, 0 if unknown."""

    def __init__(self, line: int, column: int, message: str) -> None:
        """Hold the place, both numbers from 1, and what is wrong there."""
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message


class Fault(NamedTuple):
    """Something wrong with the document as YAML, which can be read on all the same."""

    line: int
    column: int
    location: Location
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """A whole document and what is wrong with it as YAML."""

    root: Node
    faults: tuple[Fault, ...]

    def place(self, finding: Finding) -> tuple[int, int]:
        """Return line and column of a finding: of the value, or of what would hold it."""
        node = self.root
        line, column = node.line, node.column
        key: Scalar | None = None
        for step in finding.location:
            if isinstance(node, Mapping) and step in node.entries:
                key = node.keys[str(step)]
                node = node.entries[str(step)]
            elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
                key = None
                node = node.items[step]
            else:
                return line, column
            line, column = node.line, node.column
        if finding.on_key and finding.location and key:
            return key.line, key.column
        return line, column


def read_document(text: str, expected: str = "a document") -> Document:
    """Read one YAML document, whose content is named for who left it empty.

    Raises `DocumentError` when it cannot be read to its end.
    """
    strange = _NOT_YAML.search(text)
    if strange:
        before = text[: strange.start()]
        raise DocumentError(
            before.count("\n") + 1,
            len(before) - before.rfind("\n"),
            f"the character U+{ord(strange[0]):04X} is not allowed in YAML; remove it",
        )
    try:
        return _Composer(text).document(expected)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        reason = error.problem or error.context or "cannot be understood"
        if any("${" in there for there in text.split("\n", line)[line - 1 : line]):
            reason += "; within { } and [ ] a text with ${VAR} needs quotes"
        raise DocumentError(line, column, f"not valid YAML: {reason}") from None
    except yaml.YAMLError:
        raise DocumentError(0, 0, "not valid YAML") from None


@dataclass(frozen=True, slots=True)
class _Anchored:
    node: Node
    weight: int
    height: int


class _Composer:
    """Builds the tree of one document, counting aliases as what they stand for."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_Loader)
        self._anchors: dict[str, _Anchored] = {}
        self._faults: list[Fault] = []
        self._weight = 0
        self._location: list[str | int] = []
        # The greatest depth seen below the node that is being read.
        self._deepest = 0

    def document(self, expected: str) -> Document:
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise DocumentError(0, 0, f"the file is empty; expected {expected}")
        root = self._node(next(self._events), 0)
        next(self._events)
        after = next(self._events)
        if isinstance(after, yaml.DocumentStartEvent):
            raise DocumentError(*_place(after), "expected one YAML document, got a second one")
        return Document(root, tuple(self._faults))

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self._grow(event, 1, depth)
        weight_before, deepest_before = self._weight - 1, self._deepest
        self._deepest = depth
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._refuse_tag(event)
            node = self._sequence(event, depth)
        else:
            assert isinstance(event, yaml.MappingStartEvent)  # noqa: S101 - no other is left
            self._refuse_tag(event)
            node = self._mapping(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(
                node, self._weight - weight_before, self._deepest - depth
            )
        self._deepest = max(self._deepest, deepest_before)
        return node

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        # Its name is not repeated: it may be a password that begins with an asterisk.
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            raise DocumentError(
                *_place(event),
                "an alias (*) without an anchor (&) before it;"
                " quote the text if it is meant to begin with an asterisk",
            )
        self._grow(event, anchored.weight, depth + anchored.height)
        return anchored.node

    def _grow(self, event: yaml.Event, weight: int, depth: int) -> None:
        self._weight += weight
        self._deepest = max(self._deepest, depth)
        if depth > MAX_DEPTH:
            raise DocumentError(*_place(event), f"nested more than {MAX_DEPTH} levels deep")
        if self._weight > MAX_NODES:
            raise DocumentError(
                *_place(event),
                f"more than {MAX_NODES} values, aliases counted as what they repeat",
            )

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if event.tag != _TEXT_TAG:
            self._refuse_tag(event)
        quoted = event.tag == _TEXT_TAG or event.style not in _PLAIN_STYLES
        return Scalar(*_place(event), event.value, quoted)

    def _sequence(self, event: yaml.Event, depth: int) -> Sequence:
        items: list[Node] = []
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            self._location.append(len(items))
            items.append(self._node(item, depth + 1))
            self._location.pop()
        return Sequence(*_place(event), items)

    def _mapping(self, event: yaml.Event, depth: int) -> Mapping:
        mapping = Mapping(*_place(event), {}, {})
        merged: list[Mapping] = []
        while not isinstance(start := next(self._events), yaml.MappingEndEvent):
            key = self._node(start, depth + 1)
            if not isinstance(key, Scalar):
                raise DocumentError(key.line, key.column, "expected text as key; quote it")
            self._location.append(key.text)
            value = self._node(next(self._events), depth + 1)
            if key.text == "<<" and not key.quoted:
                merged += self._merged(value)
            elif key.text in mapping.entries:
                first = mapping.keys[key.text].line
                self._fault(key, f"given twice, first in line {first}; keep one of them")
            else:
                mapping.entries[key.text] = value
                mapping.keys[key.text] = key
            self._location.pop()
        for source in merged:
            for name, value in source.entries.items():
                mapping.entries.setdefault(name, value)
                mapping.keys.setdefault(name, source.keys[name])
        return mapping

    def _merged(self, value: Node) -> list[Mapping]:
        sources = value.items if isinstance(value, Sequence) else [value]
        mappings = [source for source in sources if isinstance(source, Mapping)]
        if len(mappings) < len(sources):
            self._fault(value, "expected a mapping, or a list of mappings, to merge")
        return mappings

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        # Like an alias, a tag may be a password that was not quoted.
        if event.tag is not None:
            raise DocumentError(
                *_place(event),
                "tags (!) are not supported;"
                " quote the text if it is meant to begin with an exclamation mark",
            )

    def _fault(self, node: Node, message: str) -> None:
        self._faults.append(Fault(node.line, node.column, tuple(self._location), message))


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)
