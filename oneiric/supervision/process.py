"""The runtime itself as a member of every group: its loop, its threads, its plugins."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from oneiric_hookspecs import Health, Key

from oneiric.hooks.faults import said

if TYPE_CHECKING:
    from oneiric.runtime import Runtime

#: Seconds for which what happened counts, and by which the loop may be late.
LATELY, LATE = 60.0, 0.5
#: The domain of what is no part but belongs to the process.
DOMAIN = "runtime"


class Lateness:
    """How late the loop was lately: the most of the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def late(self, now: float, seconds: float) -> None:
        """A timer came *seconds* after its time."""
        if seconds < LATE:
            return
        # Only the maxima are kept, falling: a new one makes those below it worthless.
        while self._seen and self._seen[-1][1] <= seconds:
            self._seen.pop()
        self._seen.append((now, seconds))

    def most(self, now: float) -> float:
        """The most of the last minute."""
        while self._seen and self._seen[0][0] <= now - LATELY:
            self._seen.popleft()
        return self._seen[0][1] if self._seen else 0.0


class Members:
    """What is no part, and has a health all the same.

    Attributes:
        lateness: Of the loop.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.lateness = Lateness()
        self._own: dict[Key, Callable[[float], Health]] = {
            Key(DOMAIN, "loop"): self._loop,
            Key(DOMAIN, "threads"): self._threads,
            Key(DOMAIN, "plugins"): self._plugins,
        }
        self._added: dict[Key, Callable[[], Health]] = {}

    def add(self, name: str, call: Callable[[], Health]) -> None:
        """Add one; of one name the last counts."""
        word = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")
        self._added[Key.of(DOMAIN, word)] = call

    def all(self, now: float) -> Iterator[tuple[Key, Health]]:
        """Each with its health."""
        for key, own in self._own.items():
            yield key, own(now)
        for key, call in tuple(self._added.items()):
            try:
                health: object = call()
            except Exception as error:
                health = Health("failed", said(error), observed_at=now)
            if not isinstance(health, Health):
                health = Health("unknown", "it does not say how it is", observed_at=now)
            yield key, health

    def live(self, now: float) -> Iterator[tuple[Key, Health]]:
        """Those by which the process is to be judged, each with its health."""
        for name in ("loop", "threads"):
            key = Key(DOMAIN, name)
            yield key, self._own[key](now)

    def _loop(self, now: float) -> Health:
        most = self.lateness.most(now)
        if not most:
            return Health("ok", observed_at=now)
        reason = f"the loop was blocked for up to {most:.1f} s in the last minute"
        return Health("degraded", reason, {"late": most}, observed_at=now)

    def _threads(self, now: float) -> Health:
        hung = self._runtime.engine("supervision").threads.hung
        if not hung:
            return Health("ok", observed_at=now)
        calls = "1 call has" if hung == 1 else f"{hung} calls have"
        reason = f"{calls} not come back from threads, and cannot be ended"
        return Health("degraded", reason, {"hung": hung}, observed_at=now)

    def _plugins(self, now: float) -> Health:
        hooks = self._runtime.hooks
        failed = [record.name for record in hooks.plugins if record.state == "failed"]
        if failed:
            more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
            return Health("degraded", f"failed: {', '.join(failed[:3])}{more}", observed_at=now)
        recent = [fault for fault in hooks.faults if fault.at > now - LATELY]
        if recent:
            times = "once" if len(recent) == 1 else f"{len(recent)} times"
            reason = f"went wrong {times} in the last minute, lately {recent[-1].plugin} in {recent[-1].hook}"
            return Health("degraded", reason, {"faults": len(recent)}, observed_at=now)
        return Health("ok", observed_at=now)
