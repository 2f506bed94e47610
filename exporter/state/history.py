"""Store the last results of a target in packed form: about 30 bytes each instead of over 400.

A result has a few numbers of its own and text that many results share: outcome, stage, error code
and detail. The text is in a `ResultTemplate`, shared by all results of all targets and freed with
the last of them. The numbers are packed one after the other:

    start time (ms) and index of the template      8 bytes
    duration of each stage that ran (µs)           4 bytes each
    time waited (µs), if any                       4 bytes
    request id, if any                             16 bytes, or its length and text

Times are rounded to milliseconds, durations to microseconds, and durations over 71 minutes are cut
to 71 minutes. Everything else is preserved exactly.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from weakref import WeakValueDictionary

from exporter.model import ProbeResult, Stage, StageTiming, Target
from exporter.outcome import Outcome

_HEAD = struct.Struct("<Q")
_LENGTH = struct.Struct("<H")
# Limits the templates and results of a history to 65,536; the configuration allows far fewer.
_INDEX_BITS = 16
_INDEX_MASK = (1 << _INDEX_BITS) - 1
_MILLISECONDS_MAX = (1 << 48) - 1
_MICROSECONDS_MAX = (1 << 32) - 1
_ID_BYTES = 16
# In UTF-8 at most 64,000 bytes, which fits into the 2 bytes of its length.
_ID_CHARACTERS_MAX = 16_000
_HEXADECIMAL = re.compile(r"[0-9a-f]{32}").fullmatch
_NO_ID, _HEX_ID, _TEXT_ID = range(3)
_NUMBERS = [struct.Struct(f"<{count}I") for count in range(len(Stage) + 2)]


class DamagedHistoryError(Exception):
    """The packed bytes are not a valid history."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ResultTemplate:
    """The shared part of results: everything except their numbers and request id."""

    outcome: Outcome
    failed_stage: Stage | None
    status_code: int
    error_code: str
    detail: str
    stages: tuple[tuple[Stage, bool, str], ...]
    waited: bool
    request_id_kind: int


TemplateFields = tuple[
    Outcome, Stage | None, int, str, str, tuple[tuple[Stage, bool, str], ...], bool, int
]
_templates: WeakValueDictionary[TemplateFields, ResultTemplate] = WeakValueDictionary()


class History:
    """The newest results of one target; iterating gives each as a `ProbeResult`, newest last.

    Every result has the current ``target``, even if the target has changed since.
    """

    __slots__ = ("_count", "_data", "_templates", "target")

    def __init__(
        self,
        target: Target,
        templates: tuple[ResultTemplate, ...] = (),
        data: bytes = b"",
        count: int = 0,
    ) -> None:
        self.target = target
        self._templates = templates
        self._data = data
        self._count = count

    @classmethod
    def unpacked(
        cls, target: Target, templates: Iterable[ResultTemplate], data: bytes
    ) -> "History":
        """Return the history from the values of `packed`; raises `DamagedHistoryError`."""
        history = cls(target, tuple(templates), data)
        start = 0
        try:
            while start < len(data):
                start = _checked_end(history._templates, data, start)
                history._count += 1
        except (IndexError, struct.error, ValueError):
            raise DamagedHistoryError("packed results are damaged") from None
        return history

    @property
    def packed(self) -> tuple[tuple[ResultTemplate, ...], bytes]:
        """Return the templates and the packed bytes, both immutable."""
        return self._templates, self._data

    def copy(self) -> "History":
        """Return an independent copy."""
        return History(self.target, self._templates, self._data, self._count)

    def append(self, result: ProbeResult, length: int) -> None:
        """Add a result and drop the oldest ones beyond ``length``."""
        start = 0
        while self._count >= length:
            start = self._end(start)
            self._count -= 1
        remaining = self._data[start:]
        template = _template_of(result)
        try:
            index = self._templates.index(template)
        except ValueError:
            index = self._add_template(template, remaining)
        self._data = remaining + _pack(result, template, index)
        self._count += 1

    def shorten(self, length: int) -> None:
        """Drop the oldest results beyond ``length``."""
        start = 0
        while self._count > length:
            start = self._end(start)
            self._count -= 1
        self._data = self._data[start:]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[ProbeResult]:
        data, templates = self._data, self._templates
        start = 0
        while start < len(data):
            result, start = _unpack(self.target, templates, data, start)
            yield result

    def _end(self, start: int) -> int:
        template = self._templates[_HEAD.unpack_from(self._data, start)[0] & _INDEX_MASK]
        return _end(template, self._data, start)

    def _add_template(self, template: ResultTemplate, data: bytes) -> int:
        """Store a template and return its index; an index unused in ``data`` is reused."""
        used = set()
        start = 0
        while start < len(data):
            index = _HEAD.unpack_from(data, start)[0] & _INDEX_MASK
            used.add(index)
            start = _end(self._templates[index], data, start)
        templates = [*self._templates[: max(used, default=-1) + 1]]
        free = next((index for index in range(len(templates)) if index not in used), len(templates))
        templates[free : free + 1] = [template]
        self._templates = tuple(templates)
        return free


def _template_of(result: ProbeResult) -> ResultTemplate:
    request_id = result.request_id
    fields: TemplateFields = (
        result.outcome,
        result.failed_stage,
        result.status_code,
        result.error_code,
        result.detail,
        tuple([(timing.stage, timing.passed, timing.note) for timing in result.stages]),
        result.waited_seconds > 0,
        (_HEX_ID if _HEXADECIMAL(request_id) else _TEXT_ID) if request_id else _NO_ID,
    )
    return shared_template(fields)


def shared_template(fields: TemplateFields) -> ResultTemplate:
    """Return the shared template with these values, in the order of its fields."""
    template = _templates.get(fields)
    if template is None:
        template = _templates[fields] = ResultTemplate(*fields)
    return template


def _pack(result: ProbeResult, template: ResultTemplate, index: int) -> bytes:
    started = min(_MILLISECONDS_MAX, max(0, round(result.started_at * 1000)))
    numbers = [_microseconds(timing.seconds) for timing in result.stages]
    if template.waited:
        numbers.append(_microseconds(result.waited_seconds))
    packed = _HEAD.pack(started << _INDEX_BITS | index) + _NUMBERS[len(numbers)].pack(*numbers)
    if template.request_id_kind == _NO_ID:
        return packed
    if template.request_id_kind == _HEX_ID:
        return packed + bytes.fromhex(result.request_id)
    text = result.request_id[:_ID_CHARACTERS_MAX].encode("utf-8", "surrogatepass")
    return packed + _LENGTH.pack(len(text)) + text


def _unpack(
    target: Target, templates: tuple[ResultTemplate, ...], data: bytes, start: int
) -> tuple[ProbeResult, int]:
    head = _HEAD.unpack_from(data, start)[0]
    template = templates[head & _INDEX_MASK]
    end = _end(template, data, start)
    stages = len(template.stages)
    layout = _NUMBERS[stages + template.waited]
    numbers = layout.unpack_from(data, start + _HEAD.size)
    id_start = start + _HEAD.size + layout.size
    if template.request_id_kind == _NO_ID:
        request_id = ""
    elif template.request_id_kind == _HEX_ID:
        request_id = data[id_start:end].hex()
    else:
        request_id = data[id_start + _LENGTH.size : end].decode("utf-8", "surrogatepass")
    result = ProbeResult(
        target=target,
        started_at=(head >> _INDEX_BITS) / 1000,
        outcome=template.outcome,
        failed_stage=template.failed_stage,
        status_code=template.status_code,
        error_code=template.error_code,
        request_id=request_id,
        stages=tuple(
            StageTiming(stage, number / 1_000_000, passed, note)
            for (stage, passed, note), number in zip(template.stages, numbers, strict=False)
        ),
        waited_seconds=numbers[stages] / 1_000_000 if template.waited else 0.0,
        detail=template.detail,
    )
    return result, end


def _end(template: ResultTemplate, data: bytes, start: int) -> int:
    """Return the end of the result that starts at ``start``."""
    end = start + _HEAD.size + 4 * (len(template.stages) + template.waited)
    if template.request_id_kind == _NO_ID:
        return end
    if template.request_id_kind == _HEX_ID:
        return end + _ID_BYTES
    (length,) = _LENGTH.unpack_from(data, end)
    return end + _LENGTH.size + int(length)


def _checked_end(templates: tuple[ResultTemplate, ...], data: bytes, start: int) -> int:
    """Return the end of a result; raises an exception if the result is damaged."""
    template = templates[_HEAD.unpack_from(data, start)[0] & _INDEX_MASK]
    end = _end(template, data, start)
    numbers_size = _NUMBERS[len(template.stages) + template.waited].size
    if end > len(data):
        raise IndexError
    if template.request_id_kind not in {_NO_ID, _HEX_ID}:
        id_start = start + _HEAD.size + numbers_size + _LENGTH.size
        data[id_start:end].decode("utf-8", "surrogatepass")
    return end


def _microseconds(seconds: float) -> int:
    return min(_MICROSECONDS_MAX, max(0, round(seconds * 1_000_000)))
