"""The promises of ``Storage``."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

from oneiric_hookspecs import Storage

from .places import Places, cancelled_at_every_step, promise, refused

#: Names that are none.
NO_NAMES = (
    "", "/", "a/", "/a", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a", "a/./b", "a\0b", "\ud800",
    "x" * 256, "/".join(["x" * 200] * 6),
)  # fmt: skip
#: Names that are.
NAMES = (
    "a", "A", "a b", "a.b", "...", "..a", "-", "~", "naïve", "na\u0308ive", "日本/🦆", "%2e%2e", "a\\..\\b",
    "new\nline", "*", "x" * 255, "/".join(["y" * 90] * 10),
)  # fmt: skip


async def _in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class StorageConformance(Places):
    """The promises of ``Storage``; override ``open``.

    Attributes:
        durable: Whether what is kept is there again when nobody had it open meanwhile.
    """

    @promise
    async def test_it_is_one(self, storage: Storage) -> None:
        """It has the methods of the contract."""
        assert isinstance(storage, Storage)

    @promise
    async def test_what_was_put_is_there(self, storage: Storage) -> None:
        """Whole, until it is overwritten or deleted; nothing else is."""
        for data in (b"", b"\0", bytes(range(256)), b"x" * 700_000):
            await storage.put("a/b", data)
            assert await storage.get("a/b") == data
            assert (await storage.size("a/b"), await storage.exists("a/b")) == (len(data), True)
        assert (await storage.exists("a"), await storage.exists("b")) == (False, False)
        assert (await storage.delete("a/b"), await storage.delete("a/b")) == (True, False)
        assert await storage.exists("a/b") is False

    @promise
    async def test_what_is_not_there(self, storage: Storage) -> None:
        """It is a FileNotFoundError, from whoever would give it."""

        async def read() -> None:
            async with storage.read("a/b"):
                pass

        for call in (storage.get("a/b"), storage.size("a/b"), read()):
            await refused(call, FileNotFoundError, "a name under which there is nothing")
        assert await storage.delete("a/b") is False

    @promise
    async def test_names_are_texts(self, storage: Storage) -> None:
        """All of these are different names, and listed as they are."""
        for number, name in enumerate(NAMES):
            await storage.put(name, b"%d" % number)
        assert [await storage.get(name) for name in NAMES] == [b"%d" % n for n in range(len(NAMES))]
        assert list(await storage.list()) == sorted(NAMES)

    @promise
    async def test_what_is_no_name_is_refused(self, storage: Storage) -> None:
        """By every method, before anything happens."""

        async def read(name: str) -> None:
            async with storage.read(name):
                pass

        for name in NO_NAMES:
            for call in (
                storage.put(name, b"x"),
                storage.get(name),
                storage.delete(name),
                storage.exists(name),
                storage.size(name),
                storage.write(name, _in_pieces(b"x")),
                read(name),
            ):
                await refused(call, ValueError, repr(name))
        await refused(storage.put(b"a", b"x"), TypeError, "a name of bytes")  # type: ignore[arg-type]
        await refused(storage.put("a", "x"), TypeError, "a text")  # type: ignore[arg-type]
        assert list(await storage.list()) == []

    @promise
    async def test_listing(self, storage: Storage) -> None:
        """By the beginning of names, whatever it is, in their order."""
        for name in ("b", "a/b/c", "a/b2", "a/b/d/e", "ab", "a.b"):
            await storage.put(name, b"x")
        await storage.put("gone/away", b"x")
        await storage.delete("gone/away")
        found = {
            prefix: list(await storage.list(prefix))
            for prefix in ("", "a/b", "a/b/", "a", "c", "..", "/", "a/b/c")
        }
        assert found == {
            "": ["a.b", "a/b/c", "a/b/d/e", "a/b2", "ab", "b"],
            "a/b": ["a/b/c", "a/b/d/e", "a/b2"],
            "a/b/": ["a/b/c", "a/b/d/e"],
            "a": ["a.b", "a/b/c", "a/b/d/e", "a/b2", "ab"],
            "c": [],
            "..": [],
            "/": [],
            "a/b/c": ["a/b/c"],
        }

    @promise
    async def test_in_pieces(self, storage: Storage) -> None:
        """What is written in pieces is whole, and is read in pieces, none of them empty."""
        pieces = [b"a" * 10, b"", b"b" * 600_000, b"c"]
        assert await storage.write("a", _in_pieces(*pieces)) == 600_011
        async with storage.read("a") as chunks:
            found = [chunk async for chunk in chunks]
        assert (b"".join(found), b"" in found) == (b"".join(pieces), False)
        assert await storage.write("none", _in_pieces()) == 0
        assert await storage.get("none") == b""

    @promise
    async def test_pieces_that_end_early(self, storage: Storage) -> None:
        """Nothing of them is seen before they have ended; nothing ever, where they raise."""
        await storage.put("a", b"old")
        seen = []

        async def pieces() -> AsyncIterator[bytes]:
            yield b"x" * 600_000
            seen.append((await storage.get("a"), list(await storage.list())))
            raise KeyError("early")

        await refused(storage.write("a", pieces()), KeyError, "a stream that raises")
        assert seen == [(b"old", ["a"])]
        assert (await storage.get("a"), list(await storage.list())) == (b"old", ["a"])

    @promise
    async def test_a_reader_sees_one_moment(self, storage: Storage) -> None:
        """What is overwritten or deleted while it is read stays as it was, for who reads."""
        old = b"o" * 900_000
        await storage.put("a", old)
        async with storage.read("a") as chunks:
            found = [await anext(chunks)]
            await storage.put("a", b"new")
            await storage.delete("a")
            found += [chunk async for chunk in chunks]
        assert b"".join(found) == old
        await storage.put("a", old)
        async with storage.read("a") as chunks:
            await anext(chunks)  # who stops early leaves nothing
        assert await storage.delete("a")

    @promise
    async def test_many_tasks(self, storage: Storage) -> None:
        """Whoever reads sees one of the values, whole; names that come and go beside each other are in nobody's way."""

        async def work(number: int) -> None:
            for turn in range(4):
                await storage.put("shared", b"%d" % number * 1_000)
                assert len(set(await storage.get("shared"))) == 1
                await storage.put(f"f/{number}/{turn}", b"x")
                await storage.put(f"g/h/{number}", b"x")
                assert await storage.delete(f"g/h/{number}")

        await asyncio.gather(*(work(number) for number in range(8)))
        expected = sorted([f"f/{n}/{t}" for n in range(8) for t in range(4)] + ["shared"])
        assert list(await storage.list()) == expected

    @promise
    async def test_who_goes_away_breaks_nothing(self, storage: Storage) -> None:
        """A caller that is cancelled at any step leaves all of it or nothing, and does not undo what came later."""
        for turn in range(12):
            task = asyncio.ensure_future(storage.put("a", b"early" * 10_000))
            for _ in range(turn % 4):
                await asyncio.sleep(0)
            task.cancel()
            await storage.put("a", b"late")
            assert await storage.get("a") == b"late"
            await asyncio.gather(task, return_exceptions=True)
        await cancelled_at_every_step(lambda: storage.write("b", _in_pieces(b"x" * 600_000, b"y" * 600_000)))
        assert await storage.size("b") == 1_200_000

        async def read() -> None:
            async with storage.read("b") as chunks:
                assert sum([len(chunk) async for chunk in chunks]) == 1_200_000

        await cancelled_at_every_step(read)
        assert list(await storage.list()) == ["a", "b"]

    def test_two_are_one(self) -> None:
        """What one has done another at the same place sees; where it is ``durable``, one that comes later, too."""

        async def main() -> None:
            place = f"p{uuid.uuid4().hex}"
            async with self.opened(place) as one, self.opened(place) as other:
                await one.put("a/b", b"x")
                assert (await other.get("a/b"), list(await other.list("a"))) == (b"x", ["a/b"])
            async with self.opened(place) as later:
                assert await later.get("a/b") == b"x"

        if self.durable:
            self.run(main())

    @promise
    async def test_nothing_goes_on_after_the_end(self, storage: Storage) -> None:
        """What was begun is finished; closing again does nothing more; everything else says that it is closed."""
        putting = asyncio.ensure_future(storage.put("a", b"x"))
        await asyncio.sleep(0)
        await asyncio.gather(self.close(storage), self.close(storage))
        await self.close(storage)
        await putting
        for call in (storage.put("a", b"x"), storage.get("a"), storage.delete("a"), storage.list()):
            await refused(call, RuntimeError, "a closed storage")
