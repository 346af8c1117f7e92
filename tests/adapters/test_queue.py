"""Both built-in queues keep the promises of the category; each then keeps its own."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from oneiric_hookspecs import Key, QueueCounts

from oneiric.plugins.queue import _messages, memory, sqlite
from oneiric.testing.adapters import QueueConformance


def queue_threads():
    return [each for each in threading.enumerate() if each.name == "oneiric-sqlite-queue"]


class TestMemory(QueueConformance):
    """In this process."""

    durable = shared = False

    async def open(self, place, **settings):
        return await memory.create(settings=memory.Settings(**settings))


class TestSqlite(QueueConformance):
    """In a file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path
        yield
        assert queue_threads() == []

    async def open(self, place, **settings):
        more = {"path": str(self.folder / place), "synchronous": "normal", "look_every": 0.02}
        return await sqlite.create(settings=sqlite.Settings(**more | settings))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


@pytest.fixture(params=["memory", "sqlite"])
def queued(request, run, clock, path):
    """``queued(body, **settings)``: run ``body(queue)`` with a queue whose time is the test's."""

    async def opened(settings):
        if request.param == "memory":
            return memory.MemoryQueue(memory.Settings(**settings), clock=clock.time)
        more = {"path": str(path), "synchronous": "normal"}
        return await sqlite.SqliteQueue.open(
            sqlite.Settings(**more | settings), clock=lambda: 1e9 + clock.time()
        )

    def queued(body, **settings):
        async def main():
            queue = await opened(settings)
            try:
                return await body(queue)
            finally:
                await queue.aclose()

        return run(main)

    return queued


@pytest.fixture
def on_disk(run, path):
    """``on_disk(body, clock=time.time, **settings)``: run ``body(queue)`` with the queue in a file."""

    def on_disk(body, *, clock=time.time, **settings):
        async def main():
            more = {"path": str(path), "synchronous": "normal", "look_every": 0.02}
            queue = await sqlite.SqliteQueue.open(sqlite.Settings(**more | settings), clock=clock)
            try:
                return await body(queue)
            finally:
                await queue.aclose()

        result = run(main)
        assert queue_threads() == []
        return result

    return on_disk


def test_times_are_exact(queued, clock):
    """A delay, a hold by the settings and one by the call end when their time has passed, and not before."""

    async def body(queue):
        seen = []
        await queue.send(b"delayed", delay=10)
        for seconds in (9.75, 0.25):
            clock.advance(seconds)
            seen.append(len(await queue.receive()))
        for seconds in (19.75, 0.25):
            clock.advance(seconds)
            seen.append(len(await queue.receive(visibility=5)))
        for seconds in (4.75, 0.25):
            clock.advance(seconds)
            seen.append(len(await queue.receive()))
        return seen

    assert queued(body, visibility=20.0) == [0, 1] * 3


def test_who_waits_is_woken_in_time(queued, clock):
    """By what was delayed, and by what is given up by somebody else; after the longest wait, by nobody."""

    async def body(queue):
        began = clock.time()
        await queue.send(b"x", delay=7.5)
        (first,) = await queue.receive(wait=60)
        times = [clock.time() - began]
        waiting = asyncio.ensure_future(queue.receive(wait=60))
        await asyncio.sleep(3)
        await queue.nack(first.receipt)
        await waiting
        times.append(clock.time() - began)
        assert list(await queue.receive(wait=4)) == []
        times.append(clock.time() - began)
        return [round(each, 2) for each in times]

    assert queued(body) == [7.5, 10.5, 14.5]


def test_bounds(queued):
    """What does not fit is refused, and nothing is forgotten for it; health says that it is full."""

    async def body(queue):
        with pytest.raises(ValueError, match=r"at most 50 bytes \(max_message_bytes\), found 51"):
            await queue.send(b"x" * 51)
        await queue.send(b"x" * 50)
        await queue.send(b"x" * 40)
        with pytest.raises(asyncio.QueueFull, match=r"90 bytes, and 11 more would be over 100 \(max_bytes\)"):
            await queue.send(b"x" * 11)
        well = (await queue.health()).status
        await queue.send(b"x" * 10)
        with pytest.raises(asyncio.QueueFull, match=r"holds 3 messages, as many as it may \(max_messages\)"):
            await queue.send(b"")
        full = await queue.health()
        for each in await queue.receive(3):
            await queue.ack(each.receipt)
        await queue.send(b"fits")
        return well, full.status, full.reason, (await queue.health()).details["bytes"]

    found = queued(body, max_messages=3, max_bytes=100, max_message_bytes=50)
    assert found == ("ok", "degraded", "it is full: 3 messages of 100 bytes", 4)


def test_attempts(queued):
    """As many as the settings say, then it is a dead letter."""

    async def body(queue):
        await queue.send(b"x")
        while found := await queue.receive():
            attempt = found[0].attempt
            await queue.nack(found[0].receipt)
        return attempt, (await queue.health()).details["dead"]

    assert queued(body, max_attempts=7) == (7, 1)


def test_extending_again_and_again_costs_nothing(run, clock):
    """Of a hold that is renewed for ever nothing is left over."""

    async def main():
        queue = memory.MemoryQueue(memory.Settings(), clock=clock.time)
        await queue.send(b"x")
        (found,) = await queue.receive()
        for _ in range(1_000):
            assert await queue.extend(found.receipt, 60.0)
        kept = len(queue._later)
        clock.advance(59.0)
        held = (await queue.counts()).held
        clock.advance(1.0)
        return held, (await queue.counts()).ready, kept < 200

    assert run(main) == (1, 1, True)


def test_a_clock_that_is_set_back(on_disk):
    """Nobody waits longer than was asked for, counted from when it is noticed; and nothing comes early."""
    now = [2e9]

    async def body(queue):
        await queue.send(b"delayed", delay=100)
        await queue.send(b"held")
        await queue.receive(visibility=50)
        now[0] -= 1e6
        seen = []
        for seconds in (0, 49, 2, 48, 2):
            now[0] += seconds
            seen += [each.body for each in await queue.receive(10, visibility=1e6)]
            seen.append(seconds)
        return seen

    assert on_disk(body, clock=lambda: now[0]) == [0, 49, b"held", 2, 48, b"delayed", 2]


def test_a_clock_that_is_set_forward(on_disk):
    """What waits comes early: that is at least once."""
    now = [2e9]

    async def body(queue):
        await queue.send(b"held")
        await queue.receive(visibility=50)
        now[0] += 1e6
        return [each.attempt for each in await queue.receive()]

    assert on_disk(body, clock=lambda: now[0]) == [2]


def test_waiting_is_no_work(on_disk, clock):
    """An hour of waiting is as many small reads as there are looks, and writes nothing."""

    async def body(queue):
        connection = queue._opened
        await queue.counts()
        before = await connection.run(lambda: connection.connection.total_changes)
        began = clock.time()
        await queue.receive(wait=60)
        return clock.time() - began, await connection.run(
            lambda: connection.connection.total_changes
        ) - before

    assert on_disk(body, look_every=2.0) == (60.0, 0)


def test_who_is_cancelled_when_it_has_its_message(on_disk):
    """It is given back at once, with no attempt counted, although the file has it as received."""

    async def body(queue):
        await queue.send(b"x")
        receiving = asyncio.ensure_future(queue.receive(visibility=1e6))
        taken = threading.Event()
        await asyncio.sleep(0)  # it is given to the thread
        queue._opened.post(taken.set)
        assert taken.wait(10)  # the thread has done it, and the loop has not heard of that
        receiving.cancel()
        await asyncio.wait([receiving])
        (found,) = await queue.receive()
        return receiving.cancelled(), found.attempt

    assert on_disk(body) == (True, 1)


def test_closing_sends_those_away_who_wait(on_disk, clock):
    """At once, however rarely they look."""

    async def body(queue):
        began = clock.time()
        waiting = asyncio.ensure_future(queue.receive(wait=3600))
        await asyncio.sleep(1)
        await queue.aclose()
        with pytest.raises(RuntimeError, match="^the queue is closed$"):
            await waiting
        return clock.time() - began

    assert on_disk(body, look_every=60.0) == pytest.approx(1.0, abs=0.5)


def test_one_takes_at_a_time(on_disk, path, monkeypatch):
    """While one has chosen, and not written down, what it takes, nobody else takes the same."""
    entered, go_on = threading.Event(), threading.Event()
    really = _messages.token

    def slow():
        if not entered.is_set():
            entered.set()
            go_on.wait(10)
        return really()

    async def body(queue):
        more = {"path": str(path), "synchronous": "normal", "busy_timeout": 0.01}
        other = await sqlite.create(settings=sqlite.Settings(**more))
        await queue.send(b"x")
        monkeypatch.setattr(_messages, "token", slow)
        first = asyncio.ensure_future(queue.receive())
        while not entered.is_set():
            await asyncio.sleep(0)
        with pytest.raises(OSError, match="database is locked"):
            await other.receive()
        go_on.set()
        found = [len(await first), len(await other.receive())]
        await other.aclose()
        return found

    assert on_disk(body) == [1, 0]


WORKER = """
    import asyncio, os, sys
    from oneiric.plugins.queue.sqlite import Settings, create

    async def main(path, log, dies):
        queue = await create(settings=Settings(path=path, synchronous="normal", visibility=2.0, look_every=0.05))
        handled = 0
        with open(log, "ab", buffering=0) as done:
            while True:
                found = await queue.receive(10, wait=0.5)
                if dies and handled > 50 and len(found) == 10:
                    print(" ".join(each.id for each in found), flush=True)
                    await asyncio.sleep(60)
                for each in found:
                    done.write(each.body + b"\\n")
                    await queue.ack(each.receipt)
                    handled += 1
                counts = await queue.counts()
                if not (counts.ready or counts.held):
                    break
        await queue.aclose()
        print(handled, flush=True)

    asyncio.run(main(*sys.argv[1:3], len(sys.argv) > 3))
"""


def test_four_processes_and_one_is_killed(on_disk, path, tmp_path):
    """Of 1,000 messages every one is handled, and none is lost, although one of four is killed while it holds ten."""

    async def fill(queue):
        for number in range(1_000):
            await queue.send(b"%d" % number)

    async def left(queue):
        return await queue.counts(), (await queue.health()).status

    on_disk(fill)
    words = [sys.executable, "-c", textwrap.dedent(WORKER), str(path)]

    def start(number, *more):
        return subprocess.Popen([*words, str(tmp_path / f"{number}.log"), *more], stdout=subprocess.PIPE)

    killed, others = start(0, "dies"), []
    try:
        # The others begin when it has its ten: they could be done with all before it has begun.
        held = killed.stdout.readline().split()
        others += [start(number) for number in (1, 2, 3)]
        while not any(path.stat().st_size for path in tmp_path.glob("[123].log")):
            assert all(process.poll() is None for process in others)
        killed.kill()
        killed.wait()
        assert [process.wait(60) for process in others] == [0, 0, 0]
    finally:
        for process in (killed, *others):
            process.kill()
            process.communicate()

    logs = [(tmp_path / f"{number}.log").read_text().split() for number in range(4)]
    assert len(held) == 10
    assert sorted(map(int, {line for log in logs for line in log})) == list(range(1_000))
    # What it held is handled by the others.
    assert {str(int(number) - 1) for number in held} <= {line for log in logs[1:] for line in log}
    assert on_disk(left) == (QueueCounts(), "ok")


def test_a_file_that_is_deleted(on_disk, path, caplog):
    """It is made again, so that what is sent is received, by other processes too; the log says so."""

    async def body(queue):
        await queue.send(b"lost")
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        await queue.send(b"kept")
        return path.exists(), [each.body for each in await queue.receive(5)]

    assert on_disk(body) == (True, [b"kept"])
    assert [each.message for each in caplog.records] == [
        f"the queue file {path} was deleted, or is another one: opened again"
    ]


def test_a_file_that_is_locked(on_disk, path):
    """Who cannot write in time is told so, and nothing has happened."""

    async def body(queue):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OSError, match=f"^the queue file {path}: database is locked$"):
                await queue.send(b"x")
            assert list(await queue.receive()) == []
        return await queue.counts()

    assert on_disk(body, busy_timeout=0.01) == QueueCounts()


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be taken for one" * 100, b""], ids=["text", "empty"]
)
def test_files_of_something_else(on_disk, path, content):
    """A text is refused, and left as it is; an empty file is a new queue."""
    path.write_bytes(content)

    async def body(queue):
        return await queue.counts()

    if content:
        with pytest.raises(OSError, match=f"cannot open the queue file {path}: file is not a database"):
            on_disk(body)
        assert (path.read_bytes(), queue_threads()) == (content, [])
    else:
        assert on_disk(body) == QueueCounts()


def test_databases_of_something_else(on_disk, path):
    """They are refused, those of a later version too."""

    async def body(queue):
        return await queue.counts()

    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE t (x)")
    with pytest.raises(ValueError, match=f"^{path} is a database of something else; name another file$"):
        on_disk(body)
    path.unlink()
    on_disk(body)
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 2")
    with pytest.raises(ValueError, match=f"^{path} is a queue of version 2, and this is version 1$"):
        on_disk(body)


def test_a_file_that_breaks(on_disk, path):
    """Health is ``failed`` and says why; nothing is set aside, as somebody may want to rescue it."""

    async def body(queue):
        await queue.send(b"x" * 50_000)

    on_disk(body)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 20_000)

    async def broken(queue):
        return await queue.health()

    health = on_disk(broken)
    assert (health.status, health.reason) == (
        "failed",
        f"the queue file {path}: database disk image is malformed",
    )
    assert [each.name for each in path.parent.iterdir()] == ["jobs.db"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": ""}, "path is the name of a file, found ''"),
        ({"path": ":memory:"}, "path is the name of a file; leave it out for one that goes at the end"),
        ({"visibility": 0.0}, "visibility is a number of seconds, more than 0, found 0.0"),
        ({"visibility": float("inf")}, "'visibility' must be <= 315360000: inf"),
        ({"max_attempts": 0}, "max_attempts is a whole number, at least 1, found 0"),
        ({"max_message_bytes": 10**9}, "'max_message_bytes' must be <= 999000000"),
        ({"synchronous": "off"}, "'synchronous' must be in"),
        ({"look_every": 0.0}, "look_every is a number of seconds, more than 0, found 0.0"),
    ],
    ids=str,
)
def test_settings_are_checked(settings, message):
    """What cannot be meant is refused when it is read."""
    with pytest.raises(ValueError, match=message):
        sqlite.Settings(**settings)


def test_by_hand(run):
    """One that was made by hand says how it is made."""

    async def main():
        queue = sqlite.SqliteQueue(sqlite.Settings())
        with pytest.raises(RuntimeError, match="make it by SqliteQueue.open"):
            await queue.send(b"x")
        await queue.aclose()

    run(main)


def test_the_providers():
    """Two are built in; memory wins by default; what each can do is declared."""
    found = [candidate for module in (memory, sqlite) for candidate in module.oneiric_candidates()]

    assert [(each.key, each.provider, each.priority) for each in found] == [
        (Key.of("adapter", "queue"), "memory", 0),
        (Key.of("adapter", "queue"), "sqlite", -10),
    ]
    assert set(found[1].capabilities) - set(found[0].capabilities) == {"durable"}
