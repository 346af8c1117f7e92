"""What has happened, in its order, and not for ever."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from oneiric_hookspecs import Retention, StateStore

from .places import Places, promise, refused


class Logs(Places):
    """What has happened, in its order, and not for ever."""

    @promise
    async def test_logs_keep_their_order(self, store: StateStore) -> None:
        """Records come back oldest first, each with its number and time; logs are apart."""
        numbers = [await store.append("a%", {"n": n}) for n in range(5)]
        await store.append("a_", "other")
        found = await store.read("a%")
        assert [(each.number, each.value) for each in found] == [
            (number, {"n": n}) for n, number in enumerate(numbers)
        ]
        assert numbers == sorted(set(numbers))
        assert numbers[0] >= 1
        assert [each.at for each in found] == sorted(each.at for each in found)
        assert [each.value for each in await store.read("a_")] == ["other"]

    @promise
    async def test_logs_are_read_in_pieces(self, store: StateStore) -> None:
        """After a number, and at most so many."""
        numbers = [await store.append("log", n) for n in range(10)]
        assert [each.value for each in await store.read("log", numbers[3])] == [4, 5, 6, 7, 8, 9]
        assert [each.value for each in await store.read("log", 0, 3)] == [0, 1, 2]
        assert [each.value for each in await store.read("log", numbers[3], 3)] == [4, 5, 6]
        assert await store.read("log", numbers[-1]) == []
        wrong: Any
        for wrong in (-1, True, 1.5, None):
            with refused(wrong):
                await store.read("log", wrong)
        for wrong in (0, -1, True, 1.5, None):
            with refused(wrong):
                await store.read("log", 0, wrong)

    def test_logs_keep_the_latest(self) -> None:
        """As many as the retention says; no number is given twice, although its record is gone."""

        async def main() -> None:
            place = f"p{uuid.uuid4().hex}"
            async with self.opened(place, Retention(records=5)) as store, self.opened(place) as other:
                numbers = [await store.append("log", n) for n in range(12)]
                await store.append("short", 1)
                found = await store.read("log")
                assert [(each.number, each.value) for each in found] == list(
                    zip(numbers[-5:], range(7, 12), strict=True)
                )
                assert [each.value for each in await store.read("short")] == [1]
                assert len(await other.read("log")) <= 6
                assert await other.append("log", 12) > numbers[-1]

        self.run(main())

    def test_logs_drop_the_old(self) -> None:
        """What is older than the retention says is dropped when something new comes."""

        async def main() -> None:
            async with self.opened(retention=Retention(seconds=0.05)) as store:
                old = await store.append("log", "old")
                await asyncio.sleep(0.1)
                new = await store.append("log", "new")
                assert new > old
                assert [(each.number, each.value) for each in await store.read("log")] == [(new, "new")]

        self.run(main())

    @promise
    async def test_many_append_at_once(self, store: StateStore) -> None:
        """Every record is there once, under the number that its append gave."""
        numbers = await asyncio.gather(*(store.append("log", n) for n in range(self.workers)))
        found = {each.number: each.value for each in await store.read("log")}
        assert found == dict(zip(numbers, range(self.workers), strict=True))
