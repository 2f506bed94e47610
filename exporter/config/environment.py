"""Convert the document tree to plain Python values and replace ``${VAR}``.

Only the form with braces is replaced, in values but not in keys; a bare ``$`` stays, because
passwords contain it. ``$${`` is a literal ``${``. Variables are replaced after the YAML is parsed,
so their content is always text: it cannot add keys and is not expanded again.
"""

import re
from collections.abc import Mapping as Environ

from exporter.config.document import Node, Scalar, Sequence
from exporter.config.errors import Finding, Location

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]{0,255})\}|\$\{")
_TEXT_MAX = 64 * 1024


class Plain(str):
    """Unquoted text; only this is read as a number or boolean."""

    __slots__ = ()


class Expanded(Plain):
    """Text that contains an environment variable, and so possibly a secret."""

    __slots__ = ()


Data = str | list["Data"] | dict[str, "Data"] | None


def expand(root: Node, environ: Environ[str, str] | None) -> tuple[Data, list[Finding]]:
    """Return the tree's values and a finding for each reference that cannot be replaced.

    Text with such a reference stays unchanged. If ``environ`` is None, every reference is an error.
    """
    expansion = _Expansion(environ)
    return expansion.data(root), expansion.findings


def literal(root: Node) -> Data:
    """Return the tree's values without replacing ``${VAR}``."""
    if isinstance(root, Scalar):
        return None if root.is_null else _written(root)
    if isinstance(root, Sequence):
        return [literal(item) for item in root.items]
    return {name: literal(value) for name, value in root.entries.items()}


def _written(scalar: Scalar) -> str:
    return scalar.text if scalar.quoted else Plain(scalar.text)


class _Expansion:
    def __init__(self, environ: Environ[str, str] | None) -> None:
        self._environ = environ
        self._location: list[str | int] = []
        self.findings: list[Finding] = []

    def data(self, node: Node) -> Data:
        if isinstance(node, Scalar):
            return self._text(node)
        if isinstance(node, Sequence):
            return [self._child(index, item) for index, item in enumerate(node.items)]
        return {name: self._child(name, value) for name, value in node.entries.items()}

    def _child(self, step: str | int, node: Node) -> Data:
        self._location.append(step)
        data = self.data(node)
        self._location.pop()
        return data

    def _text(self, node: Scalar) -> Data:
        if node.is_null:
            return None
        if "${" not in node.text:
            return _written(node)
        findings_before = len(self.findings)
        text = _REFERENCE.sub(self._replacement, node.text)
        if len(text) > _TEXT_MAX:
            self._find(f"longer than {_TEXT_MAX} characters after replacing environment variables")
        return Plain(node.text) if len(self.findings) > findings_before else Expanded(text)

    def _replacement(self, match: re.Match[str]) -> str:
        name = match[1]
        if match[0] == "$${":
            return "${"
        if name is None:
            self._find(
                "expected a variable such as ${NAME} (letters, digits and _ only);"
                " write $${ for a literal ${"
            )
            return ""
        if self._environ is None:
            self._find(
                "environment variables are not replaced in this file; write the value itself,"
                f" or $${{{name}}} for the literal text"
            )
            return ""
        value = self._environ.get(name)
        if value is None:
            self._find(
                f"environment variable {name} is not set;"
                f" set it, or write $${{{name}}} for the literal text"
            )
            return ""
        return value

    def _find(self, message: str) -> None:
        location: Location = tuple(self._location)
        self.findings.append(Finding(location, message))
