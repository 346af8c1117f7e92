"""The embedded adapters through the front door: a settings file, a runtime, the command line."""

import asyncio
import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import SettingsError

from oneiric import assemble
from oneiric.plugins.queue import memory, sqlite
from oneiric.plugins.storage import local
from oneiric.testing import VirtualClock

SETTINGS = """
[adapters.selections]
queue = "sqlite"

[adapters.settings.storage.local]
root = "{folder}/files"
max_object_bytes = 10

[adapters.settings.queue.memory]
max_messages = 2

[adapters.settings.queue.sqlite]
path = "{folder}/jobs.db"
max_messages = 3

[adapters.settings.database.sqlite]
path = "{folder}/shop.db"
max_rows = 4
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "oneiric.toml"
    path.write_text(SETTINGS.format(folder=tmp_path))
    return path


async def storage(one, folder):
    await one.put("a", b"x" * 10)
    with pytest.raises(OSError, match="larger than the 10 bytes"):
        await one.put("b", b"x" * 11)
    return (folder / "files" / "a").read_bytes()


async def queue(one, folder):
    with pytest.raises(asyncio.QueueFull) as caught:
        while True:
            await one.send(b"x")
    return (folder / "jobs.db").exists(), str(caught.value)


async def database(one, folder):
    await one.execute("CREATE TABLE t (x)")
    await one.execute("INSERT INTO t VALUES (1), (2), (3), (4), (5)")
    with pytest.raises(ValueError, match="more than 4 rows"):
        await one.fetch("SELECT x FROM t")
    return (folder / "shop.db").exists()


CASES = {
    ("storage", "local"): (storage, b"x" * 10),
    ("queue", "memory"): (queue, (False, "the queue holds 2 messages, as many as it may (max_messages)")),
    ("queue", "sqlite"): (queue, (True, "the queue holds 3 messages, as many as it may (max_messages)")),
    ("database", "sqlite"): (database, True),
}


@pytest.mark.parametrize(("key", "provider"), CASES, ids=["/".join(case) for case in CASES])
def test_settings_take_effect(run, file, key, provider):
    """What the file says holds in what is used, which is well, and can be built again and swapped."""
    use, expected = CASES[key, provider]

    async def main():
        async with assemble(file, environment=False) as runtime:
            await runtime.swap("adapter", key, provider)
            async with runtime.use("adapter", key) as one:
                found = await use(one, file.parent)
                health = (await one.health()).status
            await runtime.swap("adapter", key, provider, reload=True)
            return found, health in ("ok", "degraded")

    assert run(main) == (expected, True)


@pytest.mark.parametrize(("key", "provider"), CASES, ids=["/".join(case) for case in CASES])
def test_without_settings(run, key, provider):
    """Each comes up as it is, beside nothing else, and leaves nothing."""

    async def main():
        async with assemble({}, environment=False) as runtime:
            await runtime.swap("adapter", key, provider)
            async with runtime.use("adapter", key) as one:
                return (await one.health()).status

    assert run(main) == "ok"


def test_a_slip_in_the_file(file):
    """It is named, with its line, before anything is opened."""
    file.write_text(file.read_text().replace("max_rows = 4", "max_rows = 0\nfast = true"))

    with pytest.raises(SettingsError) as caught:
        assemble(file, environment=False)

    assert [(each.path, each.where.rpartition(":")[2]) for each in caught.value.problems] == [
        ("adapters.settings.database.sqlite.max_rows", "18"),
        ("adapters.settings.database.sqlite.fast", "19"),
    ]
    assert list(file.parent.iterdir()) == [file]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text(st.sampled_from("ab./\\\0\n é\ud800~-*:"), max_size=8) | st.text(max_size=300), max_size=5
    )
)
def test_any_text_as_a_name(tmp_path, names):
    """It is refused, or it is a name of its own, below the root; nothing is ever made beside that."""

    async def main(root):
        kept = {}
        storage = await local.create(settings=local.Settings(root=str(root), sync=False, threads=1))
        for name in names:
            try:
                await storage.put(name, name.encode())
            except (ValueError, NotADirectoryError, IsADirectoryError):
                continue
            kept[name] = name.encode()
        assert list(await storage.list()) == sorted(kept)
        assert {name: await storage.get(name) for name in kept} == kept
        for name in kept:
            assert await storage.delete(name)
        await storage.aclose()
        return sorted(each.name for each in root.iterdir())

    beside = Path(tempfile.mkdtemp(dir=tmp_path))
    assert asyncio.run(main(beside / "a" / "root")) in ([], [".oneiric-partial"])
    assert [each.name for each in beside.iterdir()] == ["a"]
    assert [each.name for each in (beside / "a").iterdir()] == ["root"]


#: What is done to a queue, with a number that says to which message, or for how long.
OPERATIONS = st.tuples(
    st.sampled_from(
        ("send", "delay", "receive", "receive", "ack", "extend", "nack", "give up", "revive", "pass", "purge")
    ),
    st.integers(0, 4),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(OPERATIONS, max_size=30))
def test_both_queues_do_the_same(operations):
    """Whatever is done, in memory and in a file, gives the same messages, attempts, answers and counts."""

    async def played(queue, clock):
        seen, held = [], [""]
        for what, number in operations:
            receipt = held[number % len(held)]
            if what in ("send", "delay"):
                found = await queue.send(b"%d" % number, delay=number if what == "delay" else 0)
            elif what == "receive":
                taken = await queue.receive(number + 1, visibility=number + 2)
                held.extend(each.receipt for each in taken)
                found = [attrs.evolve(each, receipt="") for each in taken]
            elif what == "ack":
                found = await queue.ack(receipt)
            elif what == "extend":
                found = await queue.extend(receipt, number + 1)
            elif what in ("nack", "give up"):
                found = await queue.nack(receipt, delay=number, dead=what == "give up")
            elif what == "revive":
                found = await queue.revive(str(number))
            elif what == "purge":
                found = await queue.purge(dead=True)
            else:
                clock.advance(number)
                found = None
            seen.append((what, found, await queue.counts(), await queue.dead()))
        await queue.aclose()
        return seen

    async def main():
        clocks = [VirtualClock(), VirtualClock()]
        one = memory.MemoryQueue(memory.Settings(max_attempts=2), clock=clocks[0].time)
        more = sqlite.Settings(max_attempts=2, synchronous="normal")
        other = await sqlite.SqliteQueue.open(more, clock=lambda: 1e9 + clocks[1].time())
        return await played(one, clocks[0]), await played(other, clocks[1])

    in_memory, in_a_file = asyncio.run(main())
    assert in_memory == in_a_file
