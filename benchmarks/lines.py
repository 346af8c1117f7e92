"""What was measured, and what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

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
        peers: The figures of others, by name; a text is the reason why one was not asked.
        exact: Whether it is the same on every machine, however busy.
    """

    case: str
    figure: float
    unit: str
    must: float | None
    ours: Times | None = None
    plain: Times | None = None
    peers: Mapping[str, float | str] = attrs.field(factory=dict)
    exact: bool = False

    def met(self, pace: Pace) -> bool:
        """Whether the figure is within the limit, with the margin of *pace*."""
        return self.must is None or self.figure <= self.must * (1.0 if self.exact else pace.margin)

    @property
    def verdict(self) -> str:
        """Met or missed, and by how much."""
        if self.must is None:
            return ""
        word, where = ("met", "under") if self.figure <= self.must else ("missed", "over")
        if not self.must or self.figure < 0:
            return word
        share = abs(self.figure / self.must - 1)
        return f"{word}, {f'{share:.0%}' if share < 10 else '>999%'} {where}"


def ratio(case: str, times: Mapping[str, Times], must: float | None) -> Line:
    """The times of ``ours`` held against those of ``plain``; whoever else ran is a peer."""
    return _line(case, times, "×", must, lambda each: each.best / times["plain"].best)


def seconds(case: str, times: Mapping[str, Times], must: float | None) -> Line:
    """The times of ``ours``, held against an absolute limit in seconds."""
    return _line(case, times, "s", must, lambda each: each.best)


def above(case: str, times: Mapping[str, Times], must: float | None) -> Line:
    """By how many seconds the times of ``ours`` are above those of ``plain``."""
    return _line(case, times, "s", must, lambda each: each.best - times["plain"].best)


def _line(
    case: str, times: Mapping[str, Times], unit: str, must: float | None, figure: Callable[[Times], float]
) -> Line:
    peers = {name: figure(each) for name, each in times.items() if name not in ("ours", "plain")}
    return Line(case, figure(times["ours"]), unit, must, times["ours"], times.get("plain"), peers)


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
