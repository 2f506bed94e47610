"""Parse YAML text into a tree of nodes with line and column.

The tree is built from parser events to limit depth and size while reading. PyYAML's composer has no
such limits: in pure Python it raises RecursionError on 1,000 nested lists (libyaml's own parser
stops there), and it turns ``&a [*a]`` into a tree that contains itself.

Scalars stay text, and each field converts its own. So ``on``, ``012`` and ``2024-01-01`` never
become a boolean, a number or a date by accident.
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
# The style of plain scalars: "" from libyaml, None from PyYAML's own parser.
_PLAIN_STYLES = ("", None)
_TEXT_TAG = "tag:yaml.org,2002:str"


@dataclass(slots=True)
class Scalar:
    """A scalar; ``quoted`` is also set for block scalars and ``!!str``."""

    line: int
    column: int
    text: str
    quoted: bool

    @property
    def is_null(self) -> bool:
        """Return whether YAML reads this as null."""
        return not self.quoted and self.text in _NULL


@dataclass(slots=True)
class Sequence:
    """A list and the position of its start."""

    line: int
    column: int
    items: list["Node"]


@dataclass(slots=True)
class Mapping:
    """A mapping and the position of its start; ``keys`` holds the key nodes."""

    line: int
    column: int
    entries: dict[str, "Node"]
    keys: dict[str, Scalar]


Node = Scalar | Sequence | Mapping


class DocumentError(Exception):
    """The text is not a readable YAML document.

    ``line`` and ``column`` start at 1; both are 0 if the position is unknown.
    """

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message


class Fault(NamedTuple):
    """A YAML error after which reading continues."""

    line: int
    column: int
    location: Location
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """A whole document and its YAML errors."""

    root: Node
    faults: tuple[Fault, ...]

    def place(self, finding: Finding) -> tuple[int, int]:
        """Return line and column of a finding's value, or of the nearest node that exists."""
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
    """Read one YAML document; ``expected`` describes its content in the error for an empty file.

    Raises `DocumentError` if the text cannot be read to its end.
    """
    invalid = _NOT_YAML.search(text)
    if invalid:
        before = text[: invalid.start()]
        raise DocumentError(
            before.count("\n") + 1,
            len(before) - before.rfind("\n"),
            f"the character U+{ord(invalid[0]):04X} is not allowed in YAML; remove it",
        )
    try:
        return _TreeBuilder(text).document(expected)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        reason = error.problem or error.context or "cannot be parsed"
        if any("${" in source for source in text.split("\n", line)[line - 1 : line]):
            reason += "; inside { } or [ ], quote text that contains ${VAR}"
        raise DocumentError(line, column, f"not valid YAML: {reason}") from None
    except yaml.YAMLError:
        raise DocumentError(0, 0, "not valid YAML") from None


@dataclass(frozen=True, slots=True)
class _Anchored:
    node: Node
    weight: int
    height: int


class _TreeBuilder:
    """Builds the tree of one document; an alias counts as a copy of its anchor's node."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_Loader)
        self._anchors: dict[str, _Anchored] = {}
        self._faults: list[Fault] = []
        self._weight = 0
        self._location: list[str | int] = []
        # Greatest depth below the current node.
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
            self._reject_tag(event)
            node = self._sequence(event, depth)
        else:
            assert isinstance(event, yaml.MappingStartEvent)  # noqa: S101 - the only remaining type
            self._reject_tag(event)
            node = self._mapping(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(
                node, self._weight - weight_before, self._deepest - depth
            )
        self._deepest = max(self._deepest, deepest_before)
        return node

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        # Do not repeat its name: it may be an unquoted password that begins with an asterisk.
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            raise DocumentError(
                *_place(event),
                "alias (*) without a preceding anchor (&);"
                " quote the text if it begins with an asterisk",
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
                f"more than {MAX_NODES} values after expanding aliases",
            )

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if event.tag != _TEXT_TAG:
            self._reject_tag(event)
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
                self._fault(key, f"duplicate key, first set in line {first}; keep one of them")
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

    def _reject_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        # Do not repeat the tag: it may be an unquoted password.
        if event.tag is not None:
            raise DocumentError(
                *_place(event),
                "tags (!) are not supported; quote the text if it begins with an exclamation mark",
            )

    def _fault(self, node: Node, message: str) -> None:
        self._faults.append(Fault(node.line, node.column, tuple(self._location), message))


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)
