"""Clocks that jump, folders that are forgotten, hints that nobody fetches."""

import asyncio
import gc
import logging

import pytest
from oneiric_hookspecs import PluginError, Retention, StateError

from oneiric.plugins import _state
from oneiric.plugins.stores import _tables, memory
from oneiric.plugins.stores.memory import MemoryStore, open_store
from oneiric.plugins.stores.sqlite import SqliteStore

# --- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_clock_that_is_set_kills_nobody(opened, times, jump):
    """On one machine a node's age does not depend on the time of day."""

    async def main():
        async with opened(clocks=times.clocks) as store:
            await store.beat("node", 1, 10.0)
            times.wall += jump
            times.monotonic += 4.0
            found = [(each.node, each.age) for each in await store.nodes()]
            times.monotonic += 6.0
            return found, await store.nodes()

    assert asyncio.run(main()) == ([("node", 4.0)], [])


@pytest.mark.parametrize(("passed", "alive"), [(3.0, ["node"]), (30.0, []), (-3.0, ["node"]), (-30.0, [])])
def test_nodes_of_another_start_go_by_the_time_of_day(opened, times, passed, alive):
    """Then it is all there is; and who seems to live in the future does not live for ever."""

    async def main():
        async with opened(clocks=times.clocks) as store:
            await store.beat("node", 1, 10.0)
            times.boot, times.monotonic, times.wall = "the next", 20.0, times.wall + passed
            return [each.node for each in await store.nodes()]

    assert asyncio.run(main()) == alive


def test_nodes_that_are_gone_are_forgotten(opened, times):
    """A new one makes room: a thousand restarts leave no thousand nodes behind."""

    async def main():
        async with opened(clocks=times.clocks) as store:
            for number in range(50):
                times.monotonic += 100.0
                await store.beat(f"node-{number}", number, 10.0)
            if isinstance(store, MemoryStore):
                return len(store._place.nodes)
            return await store._run(
                lambda: store._do(lambda db: db.execute("SELECT count(*) FROM nodes").fetchone()[0])
            )

    assert asyncio.run(main()) == 1


def test_records_grow_old(opened, times):
    """Ninety days are ninety days of the clock of who appends; a lower limit cuts a long log bit by bit."""

    async def main():
        async with opened(Retention(records=1000, seconds=90.0), clocks=times.clocks) as store:
            for number in range(100):
                await store.append("log", number)
            times.wall += 89.0
            await store.append("log", "young")
            before = len(await store.read("log"))
            times.wall += 1.5
            for number in range(5):
                await store.append("log", number)
            return before, [each.value for each in await store.read("log")]

    assert asyncio.run(main()) == (101, ["young", 0, 1, 2, 3, 4])


def test_lower_limit_counts_at_once(opened):
    """What is beyond it is not read any more, although it is dropped only when something new comes."""

    async def main():
        async with opened(Retention(records=1000)) as store:
            for number in range(100):
                await store.append("log", number)
            async with opened(Retention(records=3)) as other:
                before = [each.value for each in await other.read("log")]
                await other.append("log", 100)
                return before, [each.value for each in await other.read("log")]

    assert asyncio.run(main()) == ([97, 98, 99], [98, 99, 100])


# --- folders ---------------------------------------------------------------------------------------------------------


def test_forgotten_folders_seem_changed_and_never_unchanged(opened, monkeypatch):
    """However many there are: no number that anybody remembers comes again after a change below."""
    monkeypatch.setattr(_tables, "MAX_FOLDERS", 10)
    monkeypatch.setattr(memory, "MAX_FOLDERS", 10)

    async def main():
        async with opened() as store:
            seen = {}
            for turn in range(3):
                for number in range(40):
                    folder = f"f{number}/"
                    before = await store.revision(folder)
                    await store.put(f"{folder}x", turn)
                    after = await store.revision(folder)
                    assert after not in seen.setdefault(folder, {before})
                    assert await store.revision(folder) == after
                for number in range(40):  # most of them are forgotten by now
                    folder = f"f{number}/"
                    assert await store.revision(folder) not in seen[folder]
                    seen[folder].add(await store.revision(folder))
            for number in range(40):
                before = await store.revision(f"f{number}/")
                await store.delete(f"f{number}/x")
                assert await store.revision(f"f{number}/") != before
            if isinstance(store, MemoryStore):
                return len(store._place.folders)
            return await store._run(
                lambda: store._do(lambda db: db.execute("SELECT count(*) FROM folders").fetchone()[0])
            )

    assert asyncio.run(main()) <= 12


# --- hints -----------------------------------------------------------------------------------------------------------


def test_hints_that_nobody_fetches_are_bounded(opened):
    """Whoever stops listening without a word costs nothing; who is slow gets each key once."""

    async def main():
        async with opened() as store:
            slow = store.changes("a/")
            for _ in range(3):
                for number in range(5):
                    await store.put(f"a/{number}", number)
            await asyncio.sleep(0)
            found = [await anext(slow) for _ in range(5)]
            await slow.aclose()
            rest = [key async for key in slow]
            forgotten = store.changes("a/")
            del forgotten, slow
            gc.collect()
            return found, rest, bool(store._listeners)

    assert asyncio.run(main()) == ([f"a/{number}" for number in range(5)], [], False)


def test_hints_go_on_after_trouble(tmp_path, caplog):
    """A store that cannot be read for a while: one warning, no end; what happened meanwhile is hinted at then."""
    path = tmp_path / "state.db"

    async def main():
        store, other = [await SqliteStore.open(path, look_every=0.01) for _ in range(2)]
        await other.put("a", 1)

        async def until(wanted):
            # What was there before may be hinted at, too: for a moment there is no file.
            async for key in store.changes(""):
                if key == wanted:
                    return key
            return None

        waiting = asyncio.ensure_future(until("b"))
        await asyncio.sleep(0.05)
        path.rename(tmp_path / "away")
        path.mkdir()
        while not caplog.records:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        path.rmdir()
        (tmp_path / "away").rename(path)
        await other.put("b", 1)
        found = await waiting
        await store.close()
        await other.close()
        return found

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(main()) == "b"
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "cannot see what others change"
    ]


# --- in memory -------------------------------------------------------------------------------------------------------


def test_memory_is_shared_by_name_only(tmp_path):
    """Without a name every opening is another store; with one, it lives while somebody has it open."""

    async def main():
        keep = Retention()
        alone, other = open_store("", tmp_path, keep), open_store("", tmp_path, keep)
        await alone.put("a", 1)
        one, same = open_store("shop", tmp_path, keep), open_store("shop", tmp_path / "x", keep)
        await one.put("a", 2)
        found = await other.scan(""), (await same.get("a")).value
        await one.close()
        still = (await same.get("a")).value
        await same.close()
        del one, same
        gc.collect()
        again = await open_store("shop", tmp_path, keep).get("a")
        return found, still, again

    assert asyncio.run(main()) == (([], 2), 2, None)


def test_memory_is_shared_by_threads():
    """Two loops in two threads: values, and hints of them."""

    async def writer():
        store = MemoryStore("threads")
        await store.put("a", 1)
        await store.close()

    async def main():
        store = MemoryStore("threads")
        hints = store.changes("")
        await asyncio.to_thread(asyncio.run, writer())
        async with asyncio.timeout(10):
            found = await anext(hints), (await store.get("a")).value
        await store.close()
        return found

    assert asyncio.run(main()) == ("a", 1)


def test_memory_of_no_name(tmp_path):
    """A name is a name."""
    with pytest.raises(PluginError, match="is not a name of a store in memory"):
        open_store("No Name", tmp_path, Retention())


# --- values ----------------------------------------------------------------------------------------------------------


def test_any_text_is_a_value(opened):
    """NUL and lone surrogates too: they are written as escapes."""

    async def main():
        async with opened() as store:
            await store.put("a", {"\0\ud800": "\0\udfff\U0001f600"})
            return (await store.get("a")).value

    assert asyncio.run(main()) == {"\0\ud800": "\0\udfff\U0001f600"}


def deep(levels):
    value = None
    for _ in range(levels):
        value = [value]
    return value


class Text(str):
    """A text and more."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (deep(65), "lists and dicts lie at most 64 deep in one another"),
        (deep(100_000), "lists and dicts lie at most 64 deep in one another"),
        (10**5000, "Exceeds the limit"),
        ("x" * (16 * 1024 * 1024), "a value has at most 16777216 bytes of JSON, found 16777218"),
        ({"a": [0, Text("x")]}, "expected plain data at a.1, found Text"),
        ({"a": {Text("x"): 1}}, "expected texts as keys at a, found 'x'"),
        ([float("nan")], "expected a finite number at 0, found nan"),
    ],
    ids=["deep", "very-deep", "digits", "large", "subclass", "subclass-as-key", "nan"],
)
def test_values_have_bounds(opened, value, said):
    """What would not come back the same, or is too much, is refused with where it lies."""

    async def main():
        async with opened() as store:
            with pytest.raises(StateError) as refused:
                await store.put("a", value)
            await store.put("b", deep(64))
            return str(refused.value), await store.get("a")

    text, found = asyncio.run(main())
    assert text.startswith(f"the value of a: {said}")
    assert found is None


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("", None), ("a", "b"), ("a/", "a0"), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", None)],
)
def test_end_of_a_prefix(prefix, end):
    """The first text after all that begin with it; surrogates are left out, as no text has one."""
    assert _state.after(prefix) == end
