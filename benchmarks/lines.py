"""What was measured, and what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from harness import Pace, Times


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


class Skip(Exception):
    """A row cannot be measured here; why, in a sentence."""


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
