"""What was measured since the start, and lately.

Lately is a ring of slices: when the time of the oldest is over it is dropped as a whole.  So ``recent`` covers the last
five minutes, and at most half a minute more.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from .histogram import Histogram

T = TypeVar("T")

#: Seconds that count as lately, and in how many slices.
RECENT, SLICES = 300.0, 10


class Ring(Generic[T]):
    """A thing for each slice of the last *seconds* in which there was any; those that are older are let go.

    Args:
        make: Makes a thing.
        time: Gives seconds that only grow.
        seconds: How far back.
        slices: In how many parts.
    """

    __slots__ = ("_make", "_slices", "_time", "_width", "slices")

    def __init__(
        self, make: Callable[[], T], time: Callable[[], float], seconds: float = RECENT, slices: int = SLICES
    ) -> None:
        self._make, self._time = make, time
        self._width, self.slices = seconds / slices, slices
        self._slices: deque[tuple[int, T]] = deque()

    def now(self) -> T:
        """The thing of this moment."""
        number = int(self._time() // self._width)
        if self._slices and self._slices[-1][0] >= number:
            return self._slices[-1][1]
        self._forget(number)
        thing = self._make()
        self._slices.append((number, thing))
        return thing

    def __iter__(self) -> Iterator[T]:
        """The things of lately, oldest first."""
        self._forget(int(self._time() // self._width))
        return iter([thing for _, thing in self._slices])

    def _forget(self, number: int) -> None:
        while self._slices and self._slices[0][0] < number - self.slices:
            self._slices.popleft()


class Windowed:
    """Two histograms: since the start, and of lately.

    Args:
        time: Gives seconds that only grow.
    """

    __slots__ = ("_ring", "ever")

    def __init__(self, time: Callable[[], float]) -> None:
        self.ever = Histogram()
        self._ring: Ring[Histogram] = Ring(Histogram, time)

    def record(self, value: float) -> None:
        """Count *value*, as of now."""
        self.ever.record(value)
        self._ring.now().record(value)

    def recent(self) -> Histogram:
        """What was recorded lately."""
        found = Histogram()
        for each in self._ring:
            found.merge(each)
        return found

    def figures(self) -> Mapping[str, Any]:
        """Those of ``ever``, and in ``recent`` those of lately."""
        return {**self.ever.figures(), "recent": self.recent().figures()}


class Counts:
    """How often each of a few things happened: since the start, and lately.

    Args:
        time: Gives seconds that only grow.
    """

    __slots__ = ("_ring", "ever")

    def __init__(self, time: Callable[[], float]) -> None:
        self.ever: Counter[str] = Counter()
        self._ring: Ring[Counter[str]] = Ring(Counter, time)

    def add(self, what: str) -> None:
        """Count it once more, as of now."""
        self.ever[what] += 1
        self._ring.now()[what] += 1

    def recent(self) -> Counter[str]:
        """What was counted lately."""
        found: Counter[str] = Counter()
        for each in self._ring:
            found.update(each)
        return found
