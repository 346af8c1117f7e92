"""``adapter:queue`` ``memory``: a queue in this process; gone when it ends."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
from oneiric_hookspecs import Candidate, Delivery, Health, Key, QueueCounts, hookimpl

from oneiric.plugins._queue import Bounds, Waiting, check_limit, check_seconds, check_text, token


@attrs.frozen
class Settings(Bounds):
    """How much is kept, and for how long somebody may hold it; see ``Bounds``."""


@attrs.define(eq=False)
class _Message:
    """One message.  *until*: when it is ready; None where it is now, ``inf`` where it is dead."""

    number: int
    body: bytes
    until: float | None = None
    attempts: int = 0
    receipt: str = ""

    @property
    def delivery(self) -> Delivery:
        return Delivery(str(self.number), self.body, self.attempts, self.receipt)


class MemoryQueue:
    """A ``Queue`` in this process.  No method but ``receive`` ever waits.

    Args:
        settings: How much, how long.
        clock: Seconds that only grow; the loop's.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._messages: dict[int, _Message] = {}
        self._held: dict[str, _Message] = {}  # by receipt
        self._ready: list[int] = []  # a heap of numbers, some of which may not be ready any more
        self._later: list[tuple[float, int]] = []  # a heap, as above
        self._bytes = self._last = 0
        self._waiting = Waiting()
        self._closed = False

    async def send(self, body: bytes, *, delay: float = 0.0) -> str:
        """Put a message at the end; its id."""
        self._check_open()
        self._settings.check_body(body)
        check_seconds(delay, "a delay")
        self._settings.check_room(len(self._messages), self._bytes, body)
        self._last += 1
        message = self._messages[self._last] = _Message(self._last, body)
        self._bytes += len(body)
        self._put(message, delay)
        return str(message.number)

    async def receive(
        self, limit: int = 1, *, visibility: float | None = None, wait: float = 0.0
    ) -> Sequence[Delivery]:
        """Up to *limit* messages, which are the caller's for a time."""
        check_limit(limit)
        visibility = self._settings.visibility if visibility is None else visibility
        check_seconds(visibility, "a visibility", zero=False)
        check_seconds(wait, "a time to wait")

        async def take() -> Sequence[Delivery]:
            self._check_open()
            return list(self._take(limit, visibility))

        return await self._waiting.until_some(take, self._next_in, wait)

    async def ack(self, receipt: str) -> bool:
        """The message is handled: delete it."""
        if (message := self._of(receipt)) is None:
            return False
        self._delete(message)
        return True

    async def extend(self, receipt: str, visibility: float) -> bool:
        """Hold it for *visibility* from now on."""
        check_seconds(visibility, "a visibility", zero=False)
        message = self._of(receipt)
        if message is None or message.until == math.inf:
            return False
        self._put(message, visibility)
        return True

    async def nack(self, receipt: str, *, delay: float = 0.0, dead: bool = False) -> bool:
        """Give it back, or give it up."""
        check_seconds(delay, "a delay")
        message = self._of(receipt)
        if message is None or message.until == math.inf:
            return False
        self._let_go(message)
        if dead or message.attempts >= self._settings.max_attempts:
            message.until = math.inf
        else:
            self._put(message, delay)
        return True

    async def counts(self) -> QueueCounts:
        """How many messages there are."""
        self._check_open()
        self._settle()
        dead = sum(each.until == math.inf for each in self._messages.values())
        ready = sum(each.until is None for each in self._messages.values())
        held = sum(
            each.until not in (None, math.inf) and bool(each.receipt) for each in self._messages.values()
        )
        return QueueCounts(ready, len(self._messages) - dead - ready - held, held, dead)

    async def dead(self, limit: int = 100) -> Sequence[Delivery]:
        """Dead letters."""
        self._check_open()
        check_limit(limit)
        self._settle()
        found = [each for each in self._messages.values() if each.until == math.inf]
        return [attrs.evolve(each.delivery, receipt="") for each in found[:limit]]

    async def revive(self, id: str) -> bool:
        """Put a dead letter back, with no attempts counted."""
        self._check_open()
        check_text(id, "an id")
        self._settle()
        message = self._messages.get(int(id)) if id.isascii() and id.isdecimal() and len(id) < 20 else None
        if message is None or message.until != math.inf:
            return False
        self._let_go(message)
        message.attempts = 0
        self._put(message, 0.0)
        return True

    async def purge(self, *, dead: bool = False) -> int:
        """Delete every message, or the dead letters only; how many it was."""
        self._check_open()
        self._settle()
        gone = [each for each in self._messages.values() if not dead or each.until == math.inf]
        for message in gone:
            self._delete(message)
        return len(gone)

    async def health(self) -> Health:
        """Ok while it is open, ``degraded`` when it is full; the details count."""
        details = attrs.asdict(await self.counts()) | {"bytes": self._bytes}
        reason = self._settings.full(len(self._messages), self._bytes)
        return Health("degraded" if reason else "ok", reason, details)

    async def aclose(self) -> None:
        """Forget everything, and send those away who wait; a second time does nothing."""
        self._closed = True
        for forgotten in (self._messages, self._held, self._ready, self._later):
            forgotten.clear()
        self._bytes = 0
        self._waiting.wake()

    def _take(self, limit: int, visibility: float) -> Iterator[Delivery]:
        self._settle()
        while self._ready and limit:
            message = self._messages.get(heapq.heappop(self._ready))
            if message is None or message.until is not None:
                continue
            limit -= 1
            self._let_go(message)
            message.attempts += 1
            message.receipt = token()
            self._held[message.receipt] = message
            self._put(message, visibility)
            yield message.delivery

    def _put(self, message: _Message, after: float) -> None:
        """Make it ready, now or later."""
        message.until = self._clock() + after if after else None
        if message.until is None:
            heapq.heappush(self._ready, message.number)
        else:
            heapq.heappush(self._later, (message.until, message.number))
        self._waiting.wake()

    def _settle(self) -> None:
        """Do what is due: what was held too long is ready again, or dead."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            until, number = heapq.heappop(self._later)
            message = self._messages.get(number)
            if message is None or message.until != until:  # it was deleted, or extended
                continue
            if message.attempts >= self._settings.max_attempts:
                message.until = math.inf
            else:
                message.until = None
                heapq.heappush(self._ready, number)
        # Extending leaves entries behind.
        if len(self._later) > 2 * len(self._messages) + 100:
            found = [(each.until, each.number) for each in self._messages.values()]
            self._later = [
                (until, number) for until, number in found if until is not None and until != math.inf
            ]
            heapq.heapify(self._later)

    def _next_in(self) -> float:
        return self._later[0][0] - self._clock() if self._later else math.inf

    def _of(self, receipt: str) -> _Message | None:
        self._check_open()
        check_text(receipt, "a receipt")
        self._settle()
        return self._held.get(receipt)

    def _let_go(self, message: _Message) -> None:
        self._held.pop(message.receipt, None)
        message.receipt = ""

    def _delete(self, message: _Message) -> None:
        self._let_go(message)
        del self._messages[message.number]
        self._bytes -= len(message.body)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the queue is closed")


async def create(settings: Settings) -> MemoryQueue:
    """An empty queue; ``async``, so that it costs no thread."""
    return MemoryQueue(settings)


@hookimpl
def oneiric_candidates() -> Iterable[Candidate]:
    """Declare ``memory``."""
    yield Candidate(
        Key.of("adapter", "queue"),
        "memory",
        create,
        priority=0,  # wins over sqlite, which is for those who name a file
        capabilities=frozenset({"delay", "dead-letters"}),
        settings_class=Settings,
        summary="in this process; gone when it ends",
    )
