"""What was measured, what it is held against, and how that is printed."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
from harness import Pace, Times

WIDTH = 100
_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


@attrs.frozen
class Line:
    """One thing measured.

    Args:
        case: What.
        figure: What is held against the limit.
        unit: Of the figure: ``×``, ``s``, ``B``, or empty for a number of things.
        must: The limit; None for a figure that is only shown.
        ours: What it took; None where time was not measured.
        plain: What the plain-Python limit took, in the same turns.
        peers: What others took, by name; a text is the reason why one was not asked.
        exact: Whether it is the same on every machine, however busy.
    """

    case: str
    figure: float
    unit: str
    must: float | None
    ours: Times | None = None
    plain: Times | None = None
    peers: Mapping[str, Times | str] = attrs.field(factory=dict)
    exact: bool = False

    def met(self, pace: Pace) -> bool:
        """Whether the figure is within the limit, with the margin of *pace*."""
        return self.must is None or self.figure <= self.must * (1.0 if self.exact else pace.margin)

    @property
    def verdict(self) -> str:
        """Met or missed, and by how much."""
        if self.must is None:
            return ""
        word = "met" if self.figure <= self.must else "missed"
        if not self.must:
            return word
        return f"{word}, {abs(self.figure / self.must - 1):.0%} {'under' if word == 'met' else 'over'}"


def ratio(case: str, times: Mapping[str, Times], must: float | None, **more: Any) -> Line:
    """The times of ``ours`` held against those of ``plain``; whoever else ran is a peer."""
    ours, plain = times["ours"], times["plain"]
    return Line(case, ours.best / plain.best, "×", must, ours, plain, **_with_peers(times, more))


def seconds(case: str, times: Mapping[str, Times], must: float | None, **more: Any) -> Line:
    """The times of ``ours``, held against an absolute limit in seconds."""
    ours = times["ours"]
    return Line(case, ours.best, "s", must, ours, times.get("plain"), **_with_peers(times, more))


def above(case: str, times: Mapping[str, Times], must: float | None, **more: Any) -> Line:
    """By how many seconds the times of ``ours`` are above those of ``plain``."""
    ours, plain = times["ours"], times["plain"]
    return Line(case, ours.best - plain.best, "s", must, ours, plain, **_with_peers(times, more))


def _with_peers(times: Mapping[str, Times], more: dict[str, Any]) -> dict[str, Any]:
    ran = {name: each for name, each in times.items() if name not in ("ours", "plain")}
    return {**more, "peers": {**ran, **more.get("peers", {})}}


@attrs.frozen
class Row:
    """A group of lines, measured together.

    Args:
        name: Its word on the command line.
        measure: Measures it; its docstring says what, and what the plain-Python limit is.
    """

    name: str
    measure: Callable[[Pace], Iterable[Line]]

    @property
    def about(self) -> str:
        """What is measured, and against what."""
        return " ".join((self.measure.__doc__ or "").split())


@attrs.frozen
class Result:
    """What came of one row: its lines, or why it was skipped."""

    row: Row
    lines: tuple[Line, ...] = ()
    skipped: str = ""

    def met(self, pace: Pace) -> bool:
        """Whether every line is within its limit."""
        return all(line.met(pace) for line in self.lines)


def header(pace: Pace) -> str:
    """What was measured on, and how."""
    margin = f"; limits × {pace.margin:g}" if pace.margin != 1 else ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {os.cpu_count()} cores; minima of up to {pace.rounds} samples{margin}"


def rendered(results: Iterable[Result], pace: Pace) -> Iterator[str]:
    """The table, line by line, none of them longer than 100 columns."""
    yield header(pace)
    yield ""
    yield f"{'':39} {'best':>8} {'median':>8} {'plain':>8} {'figure':>8} {'must be':>8}  verdict"
    absent: dict[str, str] = {}
    for result in results:
        yield ""
        yield from textwrap.wrap(f"{result.row.name}: {result.row.about}", WIDTH)
        if result.skipped:
            yield f"  skipped: {result.skipped}"
        for line in result.lines:
            yield from _rendered(line, pace)
            absent |= {name: reason for name, reason in line.peers.items() if isinstance(reason, str)}
    if absent:
        yield ""
        yield from textwrap.wrap(f"Not compared: {'; '.join(f'{name} ({why})' for name, why in absent.items())}", WIDTH)


def _rendered(line: Line, pace: Pace) -> Iterator[str]:
    best = median = plain = ""
    if line.ours is not None:
        best, median = shown(line.ours.best, "s"), shown(line.ours.median, "s")
    if line.plain is not None:
        plain = shown(line.plain.best, "s")
    must = "" if line.must is None else f"≤ {shown(line.must, line.unit)}"
    figure = shown(line.figure, line.unit)
    mark = "" if line.met(pace) else " !"
    yield f"  {line.case:<37} {best:>8} {median:>8} {plain:>8} {figure:>8} {must:>8}  {line.verdict}{mark}".rstrip()
    ran = {name: times for name, times in line.peers.items() if isinstance(times, Times)}
    if ran:
        compared = [f"{name} {shown(_compared(line, times), line.unit)}" for name, times in ran.items()]
        yield from textwrap.wrap(", ".join(compared), WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _compared(line: Line, times: Times) -> float:
    """The figure of a peer, in the same terms as ours."""
    if line.unit == "×" and line.plain is not None:
        return times.best / line.plain.best
    if line.plain is not None and line.ours is not None and line.figure == line.ours.best - line.plain.best:
        return times.best - line.plain.best
    return times.best


def shown(value: float, unit: str) -> str:
    """A figure in three digits or so."""
    if unit == "s":
        for name, size in _UNITS:
            if abs(value) >= size or name == "ns":
                return f"{_three(value / size)} {name}"
    if unit == "×":
        return f"{value:.2f} ×" if value < 10 else f"{value:.1f} ×"
    return f"{value:.0f} {unit}".rstrip()


def _three(value: float) -> str:
    return f"{value:.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}"


def as_json(results: Iterable[Result], pace: Pace) -> dict[str, Any]:
    """All of it as one object; times are in seconds."""
    results = list(results)
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "cores": os.cpu_count(),
        "short": pace.short,
        "margin": pace.margin,
        "met": all(result.met(pace) for result in results),
        "rows": [
            {
                "row": result.row.name,
                "about": result.row.about,
                "skipped": result.skipped or None,
                "lines": [_line_as_json(line, pace) for line in result.lines],
            }
            for result in results
        ],
    }


def _line_as_json(line: Line, pace: Pace) -> dict[str, Any]:
    return {
        "case": line.case,
        "figure": line.figure,
        "unit": line.unit,
        "must": line.must,
        "met": line.met(pace),
        "ours": _times_as_json(line.ours),
        "plain": _times_as_json(line.plain),
        "peers": {
            name: {"absent": times} if isinstance(times, str) else _times_as_json(times)
            for name, times in line.peers.items()
        },
    }


def _times_as_json(times: Times | None) -> dict[str, float] | None:
    return None if times is None else {"best": times.best, "median": times.median}
