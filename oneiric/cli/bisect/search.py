"""Which of several things make something go bad, found in few tries.  Pure: what a try is, the caller knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Literal, TypeVar

import attrs

T = TypeVar("T")

Outcome = Literal["found", "good", "not plugins", "unsteady"]


@attrs.frozen
class Found(Generic[T]):
    """What the tries have shown.

    Args:
        outcome: ``found``; ``good`` if nothing is bad even with all of them; ``not plugins`` if it is bad with none of
            them; ``unsteady`` if what was bad among others was not bad again.
        groups: Each goes bad by itself, and no less of it does: one that is to blame alone, or several together.
        off: Without these, all others are good; tried, not guessed.
    """

    outcome: Outcome
    groups: tuple[tuple[T, ...], ...] = ()
    off: tuple[T, ...] = ()


class Search(Generic[T]):
    """One search.

    Args:
        things: Among whom to look, in order.
        bad: Called with those that take part in a try, in order; twice with the same only to be sure.

    Attributes:
        left: About how many tries are to come, while one is under way; None where nobody can say.
    """

    def __init__(self, things: Sequence[T], bad: Callable[[tuple[T, ...]], bool]) -> None:
        self._all = tuple(things)
        self._ask = bad
        self._known: dict[tuple[T, ...], bool] = {}
        self.left: int | None = None

    def find(self) -> Found[T]:
        """Look for all that are to blame."""
        self._expect(len(self._all), also=2)
        if not self._bad(self._all):
            return Found("good")
        self._expect(len(self._all), also=1)
        if self._bad(()):
            return Found("not plugins")
        groups: list[tuple[T, ...]] = []
        rest = self._all
        while self._bad(rest):
            group = self._group(rest)
            self.left = None
            # That many are needed together is rare; that it ends differently each time is not: ask once more.
            if not (self._bad(group) if len(group) == 1 else self._ask(group)):
                return Found("unsteady", tuple(groups))
            groups.append(group)
            rest = self._without(rest, group)
            self.left = 1
        return Found("found", tuple(groups), self._enough(groups))

    def _group(self, among: tuple[T, ...]) -> tuple[T, ...]:
        """Some of *among*, which is bad, that are bad together, and of which none can be left out."""
        part = among
        while len(part) > 1:
            self._expect(len(part))
            half = len(part) // 2
            # That the other half is bad, if this one is not, is believed for now: most often one is to blame.
            part = part[:half] if self._bad(part[:half]) else part[half:]
        self.left = 2
        if self._bad(part):
            return part
        self.left = None
        return self._least((), among, grown=False)

    def _least(self, base: tuple[T, ...], among: tuple[T, ...], *, grown: bool) -> tuple[T, ...]:
        """The least of *among* that is bad on top of *base* (QuickXplain; Junker, AAAI 2004).

        Args:
            base: What takes part anyway.
            among: With all of them it is bad.
            grown: Whether *base* has grown since it was last tried.
        """
        if grown and self._bad(self._ordered(base)):
            return ()
        if len(among) == 1:
            return among
        half = len(among) // 2
        first, second = among[:half], among[half:]
        of_second = self._least((*base, *first), second, grown=True)
        of_first = self._least((*base, *of_second), first, grown=bool(of_second))
        return (*of_first, *of_second)

    def _enough(self, groups: Sequence[tuple[T, ...]]) -> tuple[T, ...]:
        """Few that are to be left out for all others to be good."""
        choices = [(one,) for one in groups[0]] if len(groups) == 1 else [tuple(each[-1] for each in groups)]
        for off in choices:
            self.left = 1
            if not self._bad(self._without(self._all, off)):
                return off
        return tuple(one for group in groups for one in group)

    def _bad(self, on: tuple[T, ...]) -> bool:
        known = self._known.get(on)
        if known is None:
            known = self._known[on] = self._ask(on)
        return known

    def _expect(self, among: int, also: int = 0) -> None:
        self.left = also + max(0, among - 1).bit_length() + 2

    def _ordered(self, some: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(one for one in self._all if one in some)

    @staticmethod
    def _without(some: tuple[T, ...], others: Sequence[T]) -> tuple[T, ...]:
        return tuple(one for one in some if one not in others)
