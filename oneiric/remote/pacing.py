"""When a stream is asked again: a state machine that is kept on disk, and is the circuit breaker too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import attrs

#: Seconds before the second try, doubled by each failure.
BASE = 5.0
#: No wait is longer, unless the interval is.
CAP = 900.0
#: Of the interval, at random: those who started together do not come back together.
SPREAD = 0.1
#: So many failures in a row, and the circuit counts as open.
OPENS_AT = 5

Circuit = Literal["closed", "open", "half-open"]


@attrs.frozen
class Pace:
    """How often a stream failed in a row, and when it is asked again.

    Args:
        failures: In a row, up to now.
        next_attempt: Seconds since 1970, by this machine's clock; 0 for at once.
    """

    failures: int = 0
    next_attempt: float = 0.0

    def succeeded(self, now: float, interval: float, draw: Callable[[], float]) -> Pace:
        """As it is after a sync that went well."""
        return Pace(0, now + interval * (1 + SPREAD * (2 * draw() - 1)))

    def failed(
        self, now: float, interval: float, draw: Callable[[], float], retry_after: float | None = None
    ) -> Pace:
        """As it is after one more failure.

        Args:
            now: Seconds since 1970.
            interval: Seconds between two syncs that go well.
            draw: Gives numbers from 0 to 1.
            retry_after: What the source asks for, in seconds; it can lengthen the wait, within the greatest, and
                never shorten it.
        """
        failures = self.failures + 1
        cap = max(interval, CAP)
        # Beyond 2**16 every cap is reached, and no float overflows.
        delay = (0.5 + 0.5 * draw()) * min(cap, BASE * 2.0 ** min(failures, 16))
        if retry_after is not None and not math.isnan(retry_after):
            delay = min(max(delay, retry_after), cap)
        return Pace(failures, now + delay)

    def wait(self, now: float, interval: float) -> float:
        """Seconds until the next attempt, by a clock that may have jumped: never longer than the greatest wait."""
        left = self.next_attempt - now
        return min(max(left, 0.0), max(interval * (1 + SPREAD), CAP))

    def circuit(self, now: float) -> Circuit:
        """``closed`` while it is asked as usual, ``open`` while it is left alone, ``half-open`` when one try is due."""
        if self.failures < OPENS_AT:
            return "closed"
        return "open" if now < self.next_attempt else "half-open"
