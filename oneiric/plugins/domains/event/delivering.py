"""Telling handlers: each in a task of its own, so that what one does changes nothing for the others or the caller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from sys import modules
from time import perf_counter
from typing import Any, Literal, NamedTuple

from oneiric_hookspecs import (
    ActivationError,
    Envelope,
    Host,
    NotServing,
    OneiricError,
    ResolutionError,
    RuntimeClosing,
    StateError,
    Subscription,
)

from oneiric.plugins._filters import all_of
from oneiric.plugins._lanes import Lane
from oneiric.plugins._metrics import API, meters

from .keeping import DeadLetter, Keeping
from .topics import Index, Subscriber

log = logging.getLogger("oneiric.events")

#: The event that is being handled; what its handler emits belongs to the same story.
_handling: ContextVar[Envelope | None] = ContextVar("oneiric_event", default=None)

Outcome = Literal["handled", "failed", "timed_out", "not_serving"]


class Delivery(NamedTuple):
    """What came of telling one handler.

    Args:
        handler: Whom.
        outcome: ``handled``; ``failed``: it raised; ``timed_out``; ``not_serving``: it does not
            come up, or an operator has stopped it.
        result: What it returned.
        error: What went wrong, in a sentence.
        attempts: How often it was tried.
        kept: Whether the event waits for it in the outbox.
    """

    handler: str
    outcome: Outcome
    result: Any = None
    error: str = ""
    attempts: int = 1
    kept: bool = False


class Events:
    """The face of the domain: ``runtime.domain("event")``.

    Args:
        host: The runtime.
        record: Whether every event is written into the log ``events`` of the state store.
    """

    def __init__(self, host: Host, *, record: bool = False) -> None:
        self._host, self._record = host, record
        self._keeping = Keeping(host)
        self._index: Index = Index(())
        self._revision = -1
        self._lanes: dict[str, Lane] = {}
        self._under_way: set[str] = set()  # what is kept and being delivered
        self._orphans: set[asyncio.Task[Any]] = set()

    # --- telling -------------------------------------------------------------------------------------------------

    async def emit(
        self,
        topic: str,
        payload: Any = None,
        *,
        source: str = "oneiric",
        headers: Mapping[str, str] | None = None,
    ) -> list[Delivery]:
        """Tell everybody who wants to know that something has happened, and wait until they have handled it.

        Inside a handler, the new event belongs to the story of the one that is being handled.

        Args:
            topic: What has happened: ``order.paid``.
            payload: Plain data.
            source: Who tells.
            headers: Further attributes.
        Returns:
            What came of each handler, the highest priority first.  What they raise is in there, and nowhere else.
        Raises:
            PluginError: The event is not well formed.
            StateError: It cannot be kept for a handler that must not miss it; nobody has been told.
        """
        cause = _handling.get()
        if cause is None:
            envelope = Envelope(topic, payload, source=source, headers=headers or {})
        else:
            envelope = Envelope(
                topic,
                payload,
                source=source,
                headers=headers or {},
                correlation=cause.correlation,
                causation=cause.id,
            )
        return await self.send(envelope)

    async def send(self, envelope: Envelope) -> list[Delivery]:
        """As ``emit``, with an envelope as it is."""
        if self._record:
            await self._keeping.record(envelope)
        if API in modules and (told := meters(self._host).listening()) is not None:
            told.count("oneiric_event_emitted_total")
        chosen = self.index.told(envelope.topic, envelope.payload)
        if not chosen:
            return []
        whom: list[tuple[Subscriber, Envelope, str | None]] = []
        for each in chosen:
            kept = await self._keeping.put(each.name, envelope) if each.subscription.outbox else None
            whom.append((each, envelope, kept))
        return await self._tell(whom)

    def whom(self, topic: str, payload: Any = None) -> tuple[str, ...]:
        """The handlers that ``emit`` would tell, the highest priority first."""
        return tuple(each.name for each in self.index.told(topic, payload))

    @property
    def index(self) -> Index:
        """Those who want to know something now."""
        revision = self._host.revision
        if revision != self._revision:
            self._index = Index(self._subscribers())
            for name, each in self._index.by_name().items():
                if name in self._lanes:
                    self._lanes[name].limit = each.subscription.concurrency
            self._revision = revision
        return self._index

    def _subscribers(self) -> Iterable[Subscriber]:
        for name in self._host.keys("event"):
            try:
                subscription: Subscription = self._host.resolve("event", name).data
            except ResolutionError:
                continue  # nobody fills it now; explain says why
            yield Subscriber(
                name, subscription, all_of(subscription.filters) if subscription.filters else None
            )

    async def _tell(self, whom: list[tuple[Subscriber, Envelope, str | None]]) -> list[Delivery]:
        if API not in modules or (told := meters(self._host).listening()) is None:
            return await self._tell_all(whom)
        began = perf_counter()
        deliveries = await self._tell_all(whom)
        told.measure("oneiric_event_duration_ms", (perf_counter() - began) * 1000)
        for each in deliveries:
            key = meters(self._host).key("event", each.handler)
            told.count("oneiric_event_deliveries_total", key=key, outcome=each.outcome)
        return deliveries

    async def _tell_all(self, whom: list[tuple[Subscriber, Envelope, str | None]]) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        deadlines: dict[float | None, _Deadline] = {}
        tasks: list[asyncio.Task[Delivery]] = []
        for who, envelope, kept in whom:
            subscription = who.subscription
            deadline = deadlines.get(subscription.timeout)
            if deadline is None:
                deadline = deadlines[subscription.timeout] = _Deadline(subscription.timeout)
            if kept is None and subscription.retry is None:
                # Nearly all of them: told at once, and once.
                tasks.append(loop.create_task(self._quick(who, envelope, deadline)))
                continue
            if kept is not None:
                self._under_way.add(kept)
            tasks.append(loop.create_task(self._deliver(who, envelope, kept)))
        # One timer does for all that begin together.
        timers = [
            loop.call_later(each.seconds, each.expire, tasks, whom)
            for each in deadlines.values()
            if each.seconds is not None
        ]
        try:
            # Most are through when each has had its turn; to wait for them one by one would cost as much again.
            await asyncio.sleep(0)
            if going := [task for task in tasks if not task.done()]:
                await asyncio.wait(going)
        except asyncio.CancelledError:
            for task in tasks:
                if not task.done():
                    self._orphans.add(task)
                    task.add_done_callback(self._orphans.discard)
                    task.cancel()
            raise
        finally:
            for timer in timers:
                timer.cancel()
        try:
            return [task.result() for task in tasks]
        except asyncio.CancelledError:
            # A handler may cancel the task it is called in; what is kept for it stays kept.
            return [
                Delivery(who.name, "failed", error="it was cancelled", kept=kept is not None)
                if task.cancelled()
                else task.result()
                for task, (who, _, kept) in zip(tasks, whom, strict=True)
            ]

    def _lane(self, who: Subscriber) -> Lane:
        lane = self._lanes.get(who.name)
        if lane is None:
            lane = self._lanes[who.name] = Lane(who.subscription.concurrency)
        return lane

    async def _quick(self, who: Subscriber, envelope: Envelope, deadline: _Deadline) -> Delivery:
        lane = self._lanes.get(who.name) or self._lane(who)
        if not lane.enter():
            deadline.spared.add(who.name)  # its time begins when it is told
            return await self._deliver(who, envelope, None)
        _handling.set(envelope)
        try:
            async with self._host.use("event", who.name) as handler:
                return Delivery(who.name, "handled", await handler.handle(envelope))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not deadline.expired or task.uncancel() > 0:
                raise
            delivery = _failure(who, _TookTooLong(f"it took longer than {deadline.seconds:g} s"), 1)
        except Exception as error:
            delivery = _failure(who, error, 1)
        finally:
            lane.leave()
        return await self._settle(who, envelope, None, delivery)

    async def _deliver(self, who: Subscriber, envelope: Envelope, kept: str | None) -> Delivery:
        lane = self._lane(who)
        try:
            if not lane.enter():
                await lane.wait()
            try:
                _handling.set(envelope)
                if who.subscription.retry is None:
                    delivery = await self._once(who, envelope)
                else:
                    delivery = await self._several(who, envelope)
            finally:
                lane.leave()
            return await self._settle(who, envelope, kept, delivery)
        finally:
            if kept is not None:
                self._under_way.discard(kept)

    async def _once(self, who: Subscriber, envelope: Envelope) -> Delivery:
        try:
            return Delivery(who.name, "handled", await self._handle(who, envelope))
        except Exception as error:
            return _failure(who, error, 1)

    async def _several(self, who: Subscriber, envelope: Envelope) -> Delivery:
        attempts = 0

        async def attempt() -> Any:
            nonlocal attempts
            attempts += 1
            return await self._handle(who, envelope)

        try:
            result = await self._host.attempt(attempt, name=f"event {who.name}", retry=who.subscription.retry)
        except Exception as error:
            return _failure(who, error, attempts)
        return Delivery(who.name, "handled", result, attempts=attempts)

    async def _handle(self, who: Subscriber, envelope: Envelope) -> Any:
        async with self._host.use("event", who.name) as handler:
            seconds = who.subscription.timeout
            if seconds is None:
                return await handler.handle(envelope)
            scope = asyncio.timeout(seconds)
            try:
                async with scope:
                    return await handler.handle(envelope)
            except TimeoutError:
                if scope.expired():
                    raise _TookTooLong(f"it took longer than {seconds:g} s") from None
                raise

    # --- keeping -------------------------------------------------------------------------------------------------

    async def _settle(
        self, who: Subscriber, envelope: Envelope, kept: str | None, delivery: Delivery
    ) -> Delivery:
        """Put away what was kept for it; what it could not handle goes where that is kept."""
        if kept is None and delivery.outcome == "handled":
            return delivery
        if delivery.outcome == "not_serving":
            return delivery._replace(kept=kept is not None)
        try:
            if delivery.outcome != "handled":
                if who.subscription.dead_letter:
                    await self._keeping.bury(who.name, envelope, delivery.error, delivery.attempts)
                log.warning(
                    "event %s: handler %s %s: %s", envelope.topic, who.name, delivery.outcome, delivery.error
                )
            if kept is not None:
                await self._keeping.remove(kept)
        except OneiricError as error:
            log.error("event %s: what came of handler %s was not kept: %s", envelope.topic, who.name, error)
        return delivery

    async def flush(self, handler: str = "") -> list[Delivery]:
        """Tell what is kept in the outbox: for one handler, or for all, oldest first.

        Events that are being delivered now are left alone; those of handlers that are gone go on waiting.

        Raises:
            StateError: The store cannot be read.
        """
        there = self.index.by_name()
        waiting: list[tuple[Subscriber, Envelope, str | None]] = [
            (there[each.handler], each.envelope, each.key)
            for each in await self._keeping.kept(handler)
            if each.handler in there and each.key not in self._under_way
        ]
        return await self._tell(waiting) if waiting else []

    @property
    def keeps(self) -> bool:
        """Whether anybody has events kept for him."""
        return any(each.subscription.outbox for each in self.index.subscribers)

    async def dead_letters(self) -> list[DeadLetter]:
        """What handlers could not handle.  Raises: StateError."""
        return await self._keeping.dead()

    async def redeliver(self, id_: str) -> Delivery | None:
        """Tell the handler of a dead letter again; what it cannot handle again is kept again.

        Returns:
            What came of it; None where there is no dead letter of that id.
        Raises:
            StateError: The store cannot be read, or the handler is gone.
        """
        letter = await self._keeping.letter(id_)
        if letter is None:
            return None
        who = self.index.by_name().get(letter.handler)
        if who is None:
            raise StateError(
                f"nobody is called {letter.handler} any more", hint=f"oneiric event dead drop {id_}"
            )
        if not await self._keeping.forget(id_):
            return None
        delivery = (await self._tell([(who, letter.envelope, None)]))[0]
        if delivery.outcome == "not_serving":
            await self._keeping.bury(letter.handler, letter.envelope, delivery.error, letter.attempts)
        return delivery

    async def drop(self, id_: str) -> bool:
        """Forget a dead letter; whether there was one of that id."""
        return await self._keeping.forget(id_)


class _Deadline:
    """The end of the time of all that began together."""

    __slots__ = ("expired", "seconds", "spared")

    def __init__(self, seconds: float | None) -> None:
        self.seconds, self.expired = seconds, False
        self.spared: set[str] = set()  # those that see to their time themselves

    def expire(
        self, tasks: Sequence[asyncio.Task[Any]], whom: Sequence[tuple[Subscriber, Envelope, str | None]]
    ) -> None:
        """Stop those that have not ended, and began with this one."""
        self.expired = True
        for task, (who, _, kept) in zip(tasks, whom, strict=True):
            mine = who.subscription.timeout == self.seconds and who.name not in self.spared
            if mine and kept is None and who.subscription.retry is None and not task.done():
                task.cancel()


class _TookTooLong(TimeoutError):
    """The limit of the subscription, not one of the handler's own."""


def _failure(who: Subscriber, error: Exception, attempts: int) -> Delivery:
    text = " ".join(str(error).split())[:300]
    outcome: Outcome = "failed"
    if isinstance(error, _TookTooLong):
        outcome = "timed_out"
    elif isinstance(error, (ActivationError, NotServing, ResolutionError, RuntimeClosing)):
        outcome = "not_serving"
    else:
        text = f"{type(error).__name__}: {text}"
    return Delivery(who.name, outcome, error=text, attempts=attempts)
