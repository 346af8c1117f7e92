"""The table: for people in 100 columns, for machines as one object."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from harness import Pace, Times
from lines import Line, Result

WIDTH = 100
_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


def header(pace: Pace) -> str:
    """What was measured on, and how."""
    margin = f"; limits × {pace.margin:g}" if pace.margin != 1 else ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {os.cpu_count()} cores; best of up to {pace.rounds} samples{margin}"


def rendered(results: Iterable[Result], pace: Pace) -> Iterator[str]:
    """The table, line by line, none of them longer than 100 columns."""
    yield header(pace)
    yield ""
    yield f"{'':33} {'best':>8} {'median':>8} {'plain':>8} {'figure':>8} {'must be':>8}  verdict"
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
        yield from textwrap.wrap(
            f"Not compared: {'; '.join(f'{name} ({why})' for name, why in absent.items())}", WIDTH
        )


def _rendered(line: Line, pace: Pace) -> Iterator[str]:
    best = median = plain = ""
    if line.ours is not None:
        best, median = shown(line.ours.best, "s"), shown(line.ours.median, "s")
    if line.plain is not None:
        plain = shown(line.plain.best, "s")
    must = "" if line.must is None else f"≤ {shown(line.must, line.unit)}"
    figure = shown(line.figure, line.unit)
    mark = "" if line.met(pace) else " !"
    yield f"  {line.case:<31} {best:>8} {median:>8} {plain:>8} {figure:>8} {must:>8}  {line.verdict}{mark}".rstrip()
    ran = [
        f"{name} {shown(each, line.unit)}" for name, each in line.peers.items() if not isinstance(each, str)
    ]
    if ran:
        yield from textwrap.wrap(", ".join(ran), WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


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
            name: {"absent": each} if isinstance(each, str) else each for name, each in line.peers.items()
        },
    }


def _times_as_json(times: Times | None) -> dict[str, float] | None:
    return None if times is None else {"best": times.best, "median": times.median}
