"""From single answers to how something stands: thresholds, flapping, and what its users have seen.

Values and arithmetic only; who asks, and when, is elsewhere.
"""

from __future__ import annotations

from collections import deque

import attrs
from oneiric_hookspecs import Health
from oneiric_hookspecs.health import STATUSES

from oneiric.settings.supervised import HealthSection

#: Seconds for which the outcome of uses counts, and from how many uses on.
WINDOW, USES = 60.0, 5


class Threshold:
    """One kind of answers: a worse status holds after so many in a row that are worse, a better one likewise.

    Attributes:
        health: How it stands; None before the first answer.
    """

    def __init__(self, health: Health | None = None) -> None:
        self.health = health
        self._worse = self._better = 0

    def feed(self, answer: Health, failure: int, success: int) -> bool:
        """Take *answer* in; whether the status is another one now."""
        standing = self.health
        rank = STATUSES.index
        if standing is None or rank(answer.status) == rank(standing.status):
            self._worse = self._better = 0
            self.health = answer
            return standing is None
        if rank(answer.status) > rank(standing.status):
            self._worse, self._better = self._worse + 1, 0
            changed = self._worse >= failure
        else:
            self._worse, self._better = 0, self._better + 1
            changed = self._better >= success
        if changed:
            self.force(answer)
        else:
            # It was heard, and did not yet change anything: what stands is of now.
            self.health = attrs.evolve(standing, observed_at=answer.observed_at, latency=answer.latency)
        return changed

    def force(self, health: Health) -> None:
        """This is certain, and waits for no other answer."""
        self._worse = self._better = 0
        self.health = health


class Flapping:
    """Whether something changes too often.

    Attributes:
        on: Whether it does.
    """

    def __init__(self) -> None:
        self.on = False
        self._changes: deque[float] = deque()
        self._last = 0.0

    def changed(self, now: float, section: HealthSection) -> None:
        """It has changed, *now*."""
        self._changes.append(now)
        self._last = now
        while self._changes and self._changes[0] <= now - section.flapping_window:
            self._changes.popleft()
        if len(self._changes) > section.flapping_changes:
            self.on = True
            # What makes it flap is known; the times before that decide nothing any more.
            while len(self._changes) > section.flapping_changes + 1:
                self._changes.popleft()

    def look(self, now: float, section: HealthSection) -> bool:
        """Whether it flaps *now*."""
        if self.on and now - self._last >= section.flapping_quiet:
            self.on = False
            self._changes.clear()
        return self.on

    def said(self, health: Health, section: HealthSection) -> Health:
        """What is told of *health* while it flaps."""
        reason = f"it changes too often: more than {section.flapping_changes} times in {section.flapping_window:g} s"
        now = f"; its last answers were {health.status}" + (f": {health.reason}" if health.reason else "")
        return attrs.evolve(health, status="degraded", reason=reason + now)


class Uses:
    """How the uses of one generation ended lately: at least five, and more than half of them bad, is ``degraded``."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque()

    def look(self, now: float, ended: int, bad: int) -> tuple[int, int]:
        """How many uses ended, and badly, in the last minute; since the look before that where looks are rarer."""
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= now - WINDOW:
            samples.popleft()
        first = samples[0] if samples else (now, 0, 0)
        if not samples or samples[-1][0] < now:
            samples.append((now, ended, bad))
        return ended - first[1], bad - first[2]

    def judge(self, answer: Health, now: float, ended: int, bad: int) -> Health:
        """*answer*, or what users have seen where that is worse."""
        uses, wrong = self.look(now, ended, bad)
        if uses < USES or wrong * 2 <= uses or answer.status != "ok":
            return answer
        reason = f"{wrong} of its last {uses} uses ended by an exception"
        return attrs.evolve(answer, status="degraded", reason=reason)
