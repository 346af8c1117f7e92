"""The promises of ``Queue``."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from oneiric_hookspecs import Delivery, Queue, QueueCounts

from .places import Places, promise, refused


def _bodies(found: Sequence[Delivery]) -> list[bytes]:
    return [each.body for each in found]


class QueueConformance(Places):
    """The promises of ``Queue``; override ``open``, which is given ``max_attempts``.

    Attributes:
        durable: Whether what is kept is there again when nobody had it open meanwhile.
        shared: Whether two queues that are opened at one place are two on the same.
        patience: Seconds in which what another one has sent arrives.
        tick: Seconds that the provider can tell apart with ease, here and on a machine that is busy.
    """

    shared = True
    patience = 10.0
    tick = 0.05
    usual: Mapping[str, Any] = MappingProxyType({"max_attempts": 2})

    @promise
    async def test_it_is_one(self, queue: Queue) -> None:
        """It has the methods of the contract."""
        assert isinstance(queue, Queue)

    @promise
    async def test_a_message_is_handled_once(self, queue: Queue) -> None:
        """It is received whole, held, and gone when it is acknowledged."""
        bodies = [b"", b"\0", bytes(range(256)), b"x" * 100_000]
        ids = [await queue.send(body) for body in bodies]
        found = await queue.receive(10)
        assert [(each.id, each.body, each.attempt) for each in found] == [
            (number, body, 1) for number, body in zip(ids, bodies, strict=True)
        ]
        assert (len(set(ids)), len({each.receipt for each in found})) == (4, 4)
        assert list(await queue.receive(10)) == []
        assert await queue.counts() == QueueCounts(held=4)
        assert [await queue.ack(each.receipt) for each in found] == [True] * 4
        assert [await queue.ack(each.receipt) for each in found] == [False] * 4
        assert await queue.counts() == QueueCounts()

    @promise
    async def test_the_order(self, queue: Queue) -> None:
        """As they were sent, no more than asked for; what comes back is not overtaken for ever."""
        for number in range(6):
            await queue.send(b"%d" % number)
        first = await queue.receive(2)
        assert _bodies(first) == [b"0", b"1"]
        assert await queue.nack(first[0].receipt)
        await queue.send(b"last")
        assert sorted(_bodies(await queue.receive(10))) == [b"0", b"2", b"3", b"4", b"5", b"last"]

    @promise
    async def test_what_is_held_comes_back(self, queue: Queue) -> None:
        """When its time has passed, with another receipt; the old one is worth nothing then."""
        sent = await queue.send(b"x")
        (first,) = await queue.receive(visibility=self.tick)
        (second,) = await queue.receive(wait=self.patience)
        assert (second.id, second.body, second.attempt) == (sent, b"x", 2)
        assert second.receipt != first.receipt
        assert await queue.ack(first.receipt) is False
        assert await queue.extend(first.receipt, 10.0) is False
        assert await queue.nack(first.receipt) is False
        assert await queue.ack(second.receipt) is True

    @promise
    async def test_late_but_nobody_else_has_it(self, queue: Queue) -> None:
        """A late acknowledgement counts while nobody else has received the message."""
        await queue.send(b"x")
        (found,) = await queue.receive(visibility=self.tick)
        while (await queue.counts()).held:  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(self.tick / 5)
        assert await queue.ack(found.receipt) is True
        assert await queue.counts() == QueueCounts()

    @promise
    async def test_extending(self, queue: Queue) -> None:
        """It is held for that long from now on, longer or shorter."""
        await queue.send(b"x")
        (found,) = await queue.receive(visibility=2 * self.tick)
        assert await queue.extend(found.receipt, 60.0) is True
        assert list(await queue.receive(wait=4 * self.tick)) == []
        assert await queue.extend(found.receipt, self.tick) is True
        (again,) = await queue.receive(wait=self.patience)
        assert again.attempt == 2

    @promise
    async def test_giving_back(self, queue: Queue) -> None:
        """At once, or after a delay."""
        await queue.send(b"x")
        (first,) = await queue.receive()
        assert await queue.nack(first.receipt, delay=self.tick) is True
        assert await queue.counts() == QueueCounts(delayed=1)
        (second,) = await queue.receive(wait=self.patience)
        assert (second.attempt, await queue.ack(first.receipt)) == (2, False)

    @promise
    async def test_delays(self, queue: Queue) -> None:
        """What is sent with a delay is not received before, and does not keep others from it."""
        await queue.send(b"later", delay=2 * self.tick)
        await queue.send(b"now")
        assert await queue.counts() == QueueCounts(ready=1, delayed=1)
        assert _bodies(await queue.receive(10)) == [b"now"]
        assert _bodies(await queue.receive(10, wait=self.patience)) == [b"later"]

    @promise
    async def test_dead_letters(self, queue: Queue) -> None:
        """After its attempts, however they ended, a message is delivered no more; it can be seen, and revived."""
        given, held = await queue.send(b"given back"), await queue.send(b"held")
        for turn in (1, 2):
            found = await queue.receive(10, visibility=self.tick) if turn == 2 else await queue.receive(10)
            assert [each.attempt for each in found] == [turn, turn]
            for each in found:
                if turn == 1 or each.id == given:
                    assert await queue.nack(each.receipt)
        while (await queue.counts()).held:  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(self.tick / 5)
        assert list(await queue.receive(10)) == []
        assert list(await queue.dead()) == [Delivery(given, b"given back", 2), Delivery(held, b"held", 2)]
        assert len(await queue.dead(1)) == 1
        assert (await queue.revive(held), await queue.revive(held), await queue.revive("?")) == (
            True,
            False,
            False,
        )
        (again,) = await queue.receive(10)
        assert (again.id, again.attempt) == (held, 1)
        assert await queue.counts() == QueueCounts(held=1, dead=1)

    @promise
    async def test_giving_up(self, queue: Queue) -> None:
        """What is given up is a dead letter at once, and nobody's any more."""
        sent = await queue.send(b"x")
        (found,) = await queue.receive()
        assert await queue.nack(found.receipt, dead=True) is True
        assert await queue.nack(found.receipt, dead=True) is False
        assert (await queue.ack(found.receipt), await queue.extend(found.receipt, 1.0)) == (False, False)
        assert list(await queue.dead()) == [Delivery(sent, b"x", 1)]

    @promise
    async def test_purging(self, queue: Queue) -> None:
        """Dead letters alone, or everything; how many it was."""
        for body in (b"dead", b"held", b"ready"):
            await queue.send(body)
        await queue.send(b"delayed", delay=60.0)
        dead, held = await queue.receive(2)
        await queue.nack(dead.receipt, dead=True)
        assert await queue.counts() == QueueCounts(ready=1, delayed=1, held=1, dead=1)
        assert (await queue.purge(dead=True), await queue.purge(dead=True)) == (1, 0)
        assert await queue.purge() == 3
        assert (await queue.counts(), await queue.ack(held.receipt)) == (QueueCounts(), False)
        await queue.send(b"again")
        assert _bodies(await queue.receive()) == [b"again"]

    @promise
    async def test_waiting(self, queue: Queue) -> None:
        """Who waits gets what is sent meanwhile, each something else; and nothing, when the time is over."""
        waiting = [asyncio.ensure_future(queue.receive(wait=self.patience)) for _ in range(3)]
        await asyncio.sleep(self.tick)
        for number in range(3):
            await queue.send(b"%d" % number)
        found = await asyncio.gather(*waiting)
        assert sorted(body for each in found for body in _bodies(each)) == [b"0", b"1", b"2"]
        assert list(await queue.receive(wait=self.tick)) == []

    @promise
    async def test_who_goes_away_holds_nothing(self, queue: Queue) -> None:
        """Cancelled at any step, a receiver leaves its message to others, and no attempt is lost."""
        await queue.send(b"x")
        for turn in range(10):
            task = asyncio.ensure_future(queue.receive(wait=self.patience))
            for _ in range(turn):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled():
                assert await queue.nack(task.result()[0].receipt)
                break
            (found,) = await queue.receive(wait=self.patience)
            assert found.attempt == 1
            await queue.ack(found.receipt)
            await queue.send(b"x")

    @promise
    async def test_many_tasks(self, queue: Queue) -> None:
        """Every message is handled, by one of those who receive."""
        handled: list[bytes] = []

        async def work() -> None:
            while len(handled) < 60:
                for each in await queue.receive(3, wait=self.tick):
                    handled.append(each.body)
                    assert await queue.ack(each.receipt)

        working = [asyncio.ensure_future(work()) for _ in range(5)]
        await asyncio.gather(*(queue.send(b"%d" % number) for number in range(60)))
        await asyncio.gather(*working)
        assert sorted(handled) == sorted(b"%d" % number for number in range(60))

    @promise
    async def test_what_is_refused(self, queue: Queue) -> None:
        """Arguments that are none change nothing."""
        nan = float("nan")
        for call in (
            queue.send(b"x", delay=-1.0),
            queue.send(b"x", delay=nan),
            queue.receive(0),
            queue.receive(visibility=0.0),
            queue.receive(visibility=nan),
            queue.receive(wait=-1.0),
            queue.extend("x", 0.0),
            queue.nack("x", delay=-1.0),
            queue.dead(0),
        ):
            await refused(call, ValueError, "a number that is too small")
        for wrong in (
            queue.send("x"),  # type: ignore[arg-type]
            queue.send(b"x", delay="1"),  # type: ignore[arg-type]
            queue.receive("1"),  # type: ignore[arg-type]
            queue.receive(True),
            queue.ack(b"x"),  # type: ignore[arg-type]
            queue.ack(None),  # type: ignore[arg-type]
            queue.revive(1),  # type: ignore[arg-type]
        ):
            await refused(wrong, TypeError, "a wrong type")
        for receipt in ("", "x", "1", "1-", "-", "1-x", "9" * 30, "\0", "\ud800"):
            assert await queue.ack(receipt) is False
        assert await queue.counts() == QueueCounts()

    def test_two_are_one(self) -> None:
        """What one has sent the other receives, one that waits for it as well; nobody gets what another one holds."""

        async def main() -> None:
            place = f"p{uuid.uuid4().hex}"
            async with self.opened(place) as one, self.opened(place) as other:
                waiting = asyncio.ensure_future(other.receive(wait=self.patience))
                await asyncio.sleep(self.tick)
                await one.send(b"x")
                (found,) = await waiting
                assert list(await one.receive()) == []
                assert await one.ack(found.receipt) is True

        if self.shared:
            self.run(main())

    def test_two_at_once(self) -> None:
        """Each message is one receiver's, whichever queue it has asked."""

        async def main() -> None:
            place = f"p{uuid.uuid4().hex}"
            async with self.opened(place) as one, self.opened(place) as other:
                await asyncio.gather(*(one.send(b"%d" % number) for number in range(80)))
                found: list[bytes] = []

                async def work(queue: Queue) -> None:
                    while len(found) < 80:
                        found.extend(_bodies(await queue.receive(2, wait=self.tick)))

                async with asyncio.timeout(self.patience):
                    await asyncio.gather(*(work(queue) for queue in (one, other, one, other)))
                assert sorted(found) == sorted(b"%d" % number for number in range(80))

        if self.shared:
            self.run(main())

    def test_what_was_sent_is_there_again(self) -> None:
        """Messages, attempts, holds and dead letters, when all have closed it (unless it is not ``durable``)."""

        async def main() -> None:
            place = f"p{uuid.uuid4().hex}"
            async with self.opened(place) as queue:
                for body in (b"dead", b"held", b"back", b"ready"):
                    await queue.send(body)
                dead, held, back = await queue.receive(3)
                await queue.nack(dead.receipt, dead=True)
                await queue.nack(back.receipt)
            async with self.opened(place) as queue:
                assert await queue.counts() == QueueCounts(ready=2, held=1, dead=1)
                assert [(each.body, each.attempt) for each in await queue.receive(5)] == [
                    (b"back", 2),
                    (b"ready", 1),
                ]
                assert await queue.ack(held.receipt) is True

        if self.durable:
            self.run(main())

    @promise
    async def test_nothing_goes_on_after_the_end(self, queue: Queue) -> None:
        """What was begun is finished, who waits is sent away, and everything else says that it is closed."""
        waiting = asyncio.ensure_future(queue.receive(wait=60.0))
        await asyncio.sleep(self.tick)
        await asyncio.gather(self.close(queue), self.close(queue))
        await self.close(queue)
        await refused(waiting, RuntimeError, "waiting at a closed queue")
        for call in (queue.send(b"x"), queue.receive(), queue.ack("x"), queue.counts(), queue.purge()):
            await refused(call, RuntimeError, "a closed queue")
