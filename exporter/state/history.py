"""The last results of a target, packed: some 30 bytes each, where objects take over 400.

What a probe tells consists of a few figures of its own and of texts that come again and again:
the outcome, the stage, the error code, the detail. The texts make up a `ResultTemplate`, which results share
across all targets for as long as any has it. The figures are packed behind each other:

    when it started (ms) and the number of its form     8 bytes
    the seconds of each stage that ran (µs)             4 bytes each
    the time waited (µs), if it waited                  4 bytes
    the request id, if there is one                     16 bytes, or a length and its text

So times come back to the millisecond and durations to the microsecond; a duration of more than 71
minutes comes back as 71 minutes. All else comes back as it was.
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
# So many forms, and results, can a history hold; the configuration allows far fewer.
_FORM_BITS = 16
_FORM_MASK = (1 << _FORM_BITS) - 1
_MILLISECONDS_MAX = (1 << 48) - 1
_MICROSECONDS_MAX = (1 << 32) - 1
_ID_BYTES = 16
# In UTF-8 no more than its length can tell.
_ID_CHARACTERS_MAX = 16_000
_HEXADECIMAL = re.compile(r"[0-9a-f]{32}").fullmatch
_NO_ID, _HEX_ID, _TEXT_ID = range(3)
_FIGURES = [struct.Struct(f"<{count}I") for count in range(len(Stage) + 2)]


class DamagedHistoryError(Exception):
    """Packed bytes that are no history."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ResultTemplate:
    """What results have in common: everything but their figures and their request id."""

    outcome: Outcome
    failed_stage: Stage | None
    status_code: int
    error_code: str
    detail: str
    stages: tuple[tuple[Stage, bool, str], ...]
    waited: bool
    request_id: int


Shape = tuple[Outcome, Stage | None, int, str, str, tuple[tuple[Stage, bool, str], ...], bool, int]
_forms: WeakValueDictionary[Shape, ResultTemplate] = WeakValueDictionary()


class History:
    """The newest results of one target; iterates over them as `ProbeResult`, newest last."""

    __slots__ = ("_count", "_data", "_forms", "target")

    def __init__(
        self,
        target: Target,
        templates: tuple[ResultTemplate, ...] = (),
        data: bytes = b"",
        count: int = 0,
    ) -> None:
        """Start empty, or with what `packed` gave; results come back as those of ``target``."""
        self.target = target
        self._forms = templates
        self._data = data
        self._count = count

    @classmethod
    def of(cls, target: Target, results: Iterable[ProbeResult], length: int) -> "History":
        """Return the newest ``length`` of some results."""
        history = cls(target)
        for result in results:
            history.append(result, length)
        return history

    @classmethod
    def unpacked(
        cls, target: Target, templates: Iterable[ResultTemplate], data: bytes
    ) -> "History":
        """Return the history that `packed` gave; raises `DamagedHistoryError` where it is none."""
        history = cls(target, tuple(templates), data)
        start = 0
        try:
            while start < len(data):
                start = _checked_end(history._forms, data, start)
                history._count += 1
        except (IndexError, struct.error, ValueError):
            raise DamagedHistoryError("packed results are damaged") from None
        return history

    @property
    def packed(self) -> tuple[tuple[ResultTemplate, ...], bytes]:
        """Return the forms and the bytes; both stay as they are when results are added."""
        return self._forms, self._data

    def copy(self) -> "History":
        """Return one that stays as it is when results are added to this one."""
        return History(self.target, self._forms, self._data, self._count)

    def append(self, result: ProbeResult, length: int) -> None:
        """Add a result, and drop the oldest of those beyond ``length``."""
        start = 0
        while self._count >= length:
            start = self._end(start)
            self._count -= 1
        kept = self._data[start:]
        template = _template_of(result)
        try:
            number = self._forms.index(template)
        except ValueError:
            number = self._number(template, kept)
        self._data = kept + _pack(result, template, number)
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
        data, templates = self._data, self._forms
        start = 0
        while start < len(data):
            result, start = _unpack(self.target, templates, data, start)
            yield result

    def _end(self, start: int) -> int:
        template = self._forms[_HEAD.unpack_from(self._data, start)[0] & _FORM_MASK]
        return _end(template, self._data, start)

    def _number(self, template: ResultTemplate, data: bytes) -> int:
        """Give a form a number: that of one which no result in ``data`` has any more, or a new."""
        used = set()
        start = 0
        while start < len(data):
            number = _HEAD.unpack_from(data, start)[0] & _FORM_MASK
            used.add(number)
            start = _end(self._forms[number], data, start)
        templates = [*self._forms[: max(used, default=-1) + 1]]
        free = next(
            (number for number in range(len(templates)) if number not in used), len(templates)
        )
        templates[free : free + 1] = [template]
        self._forms = tuple(templates)
        return free


def _template_of(result: ProbeResult) -> ResultTemplate:
    request_id = result.request_id
    shape: Shape = (
        result.outcome,
        result.failed_stage,
        result.status_code,
        result.error_code,
        result.detail,
        tuple([(timing.stage, timing.passed, timing.note) for timing in result.stages]),
        result.waited_seconds > 0,
        (_HEX_ID if _HEXADECIMAL(request_id) else _TEXT_ID) if request_id else _NO_ID,
    )
    return shared_template(shape)


def shared_template(shape: Shape) -> ResultTemplate:
    """Return the one form of this shape: its fields, in their order."""
    template = _forms.get(shape)
    if template is None:
        template = _forms[shape] = ResultTemplate(*shape)
    return template


def _pack(result: ProbeResult, template: ResultTemplate, number: int) -> bytes:
    started = min(_MILLISECONDS_MAX, max(0, round(result.started_at * 1000)))
    figures = [_microseconds(timing.seconds) for timing in result.stages]
    if template.waited:
        figures.append(_microseconds(result.waited_seconds))
    packed = _HEAD.pack(started << _FORM_BITS | number) + _FIGURES[len(figures)].pack(*figures)
    if template.request_id == _NO_ID:
        return packed
    if template.request_id == _HEX_ID:
        return packed + bytes.fromhex(result.request_id)
    text = result.request_id[:_ID_CHARACTERS_MAX].encode("utf-8", "surrogatepass")
    return packed + _LENGTH.pack(len(text)) + text


def _unpack(
    target: Target, templates: tuple[ResultTemplate, ...], data: bytes, start: int
) -> tuple[ProbeResult, int]:
    head = _HEAD.unpack_from(data, start)[0]
    template = templates[head & _FORM_MASK]
    end = _end(template, data, start)
    stages = len(template.stages)
    layout = _FIGURES[stages + template.waited]
    figures = layout.unpack_from(data, start + _HEAD.size)
    identity = start + _HEAD.size + layout.size
    if template.request_id == _NO_ID:
        request_id = ""
    elif template.request_id == _HEX_ID:
        request_id = data[identity:end].hex()
    else:
        request_id = data[identity + _LENGTH.size : end].decode("utf-8", "surrogatepass")
    result = ProbeResult(
        target=target,
        started_at=(head >> _FORM_BITS) / 1000,
        outcome=template.outcome,
        failed_stage=template.failed_stage,
        status_code=template.status_code,
        error_code=template.error_code,
        request_id=request_id,
        stages=tuple(
            StageTiming(stage, figure / 1_000_000, passed, note)
            for (stage, passed, note), figure in zip(template.stages, figures, strict=False)
        ),
        waited_seconds=figures[stages] / 1_000_000 if template.waited else 0.0,
        detail=template.detail,
    )
    return result, end


def _end(template: ResultTemplate, data: bytes, start: int) -> int:
    """Return where a result that begins at ``start`` ends."""
    end = start + _HEAD.size + 4 * (len(template.stages) + template.waited)
    if template.request_id == _NO_ID:
        return end
    if template.request_id == _HEX_ID:
        return end + _ID_BYTES
    (length,) = _LENGTH.unpack_from(data, end)
    return end + _LENGTH.size + int(length)


def _checked_end(templates: tuple[ResultTemplate, ...], data: bytes, start: int) -> int:
    """Return where a result ends that may be damaged; raises if it is."""
    template = templates[_HEAD.unpack_from(data, start)[0] & _FORM_MASK]
    end = _end(template, data, start)
    figures = _FIGURES[len(template.stages) + template.waited].size
    if end > len(data):
        raise IndexError
    if template.request_id not in {_NO_ID, _HEX_ID}:
        identity = start + _HEAD.size + figures + _LENGTH.size
        data[identity:end].decode("utf-8", "surrogatepass")
    return end


def _microseconds(seconds: float) -> int:
    return min(_MICROSECONDS_MAX, max(0, round(seconds * 1_000_000)))
