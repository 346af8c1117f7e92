"""Every provider of ``adapter:cache`` keeps the promises of the category; each then keeps its own."""

import asyncio
import contextlib
import importlib
import logging
import os
import pkgutil
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import attrs
import pytest
from oneiric_hookspecs import Cache, Health, Key

import oneiric.plugins.cache
from oneiric.plugins import _sqlite
from oneiric.plugins.cache import disk, memory

CACHE = Key.of("adapter", "cache")
PROVIDERS = {
    candidate.provider: candidate
    for found in pkgutil.iter_modules(oneiric.plugins.cache.__path__)
    for candidate in importlib.import_module(f"oneiric.plugins.cache.{found.name}").oneiric_candidates()
    if candidate.key == CACHE
}

#: How each is made when the test brings the time.
BY_CLOCK = {
    "memory": lambda settings, clock: ready(memory.MemoryCache(settings, clock=clock)),
    "disk": lambda settings, clock: disk.DiskCache.open(settings, clock=clock),
}
#: Settings under which the conformance suite runs, besides each provider's defaults.
MORE_SETTINGS = {"disk": lambda folder: {"path": str(folder / "cache.db")}}

VARIANTS = [(name, False) for name in sorted(PROVIDERS)] + [(name, True) for name in sorted(MORE_SETTINGS)]


async def ready(value):
    return value


@pytest.fixture(params=VARIANTS, ids=lambda variant: f"{variant[0]}-settings" if variant[1] else variant[0])
def variant(request, tmp_path):
    """A candidate, and settings for it."""
    name, more = request.param
    return PROVIDERS[name], MORE_SETTINGS[name](tmp_path) if more else {}


@pytest.fixture
def opened(variant):
    """A context manager around a cache from its factory, called as the kernel calls it."""
    candidate, usual = variant

    @contextlib.asynccontextmanager
    async def opened(*, by_clock=None, **settings):
        made = candidate.settings_class(**(usual | settings))
        if by_clock is None:
            cache = await candidate.factory(settings=made)
        else:
            cache = await BY_CLOCK[candidate.provider](made, by_clock.time)
        try:
            yield cache
        finally:
            await cache.aclose()

    return opened


@pytest.fixture
def cached(run, opened):
    """``cached(body, **settings)``: run ``body(cache)`` in virtual time."""

    def cached(body, **settings):
        async def main():
            async with opened(**settings) as cache:
                return await body(cache)

        return run(main())

    return cached


def sqlite_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("oneiric-sqlite")]


def descriptors():
    return sorted(str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink())


# =====================================================================================================
# the category
# =====================================================================================================


def test_the_providers():
    """Two are built in; memory wins by default; what each can do is declared."""
    best = max(PROVIDERS.values(), key=lambda candidate: candidate.priority)

    assert best.provider == "memory"
    assert {name: set(each.capabilities) for name, each in PROVIDERS.items()} == {
        "memory": {"ttl"},
        "disk": {"ttl", "durable"},
    }
    assert all(each.summary for each in PROVIDERS.values())


def test_it_satisfies_the_protocol(cached):
    """The product of the factory is a ``Cache``."""

    async def body(cache):
        return isinstance(cache, Cache)

    assert cached(body)


def test_round_trip(cached):
    """What was set is got; what was not set is None."""

    async def body(cache):
        await cache.set("name", b"value")
        return await cache.get("name"), await cache.get("other")

    assert cached(body) == (b"value", None)


def test_overwriting(cached):
    """The last value counts."""

    async def body(cache):
        await cache.set("name", b"old")
        await cache.set("name", b"new")
        return await cache.get("name")

    assert cached(body) == b"new"


def test_delete_says_whether_it_was_there(cached):
    """Once for one that is, never for one that is not."""

    async def body(cache):
        await cache.set("name", b"value")
        return await cache.delete("name"), await cache.delete("name"), await cache.get("name")

    assert cached(body) == (True, False, None)


def test_clear_forgets_everything(cached):
    """Nothing is left, and the cache can be used again."""

    async def body(cache):
        for number in range(100):
            await cache.set(str(number), b"value")
        await cache.clear()
        left = [await cache.get(str(number)) for number in range(100)]
        await cache.set("name", b"again")
        return set(left), await cache.get("name")

    assert cached(body) == ({None}, b"again")


def test_every_provider_takes_a_clock():
    """So that times to live can be tested without waiting."""
    assert BY_CLOCK.keys() == PROVIDERS.keys()


def test_a_value_expires(cached, clock):
    """It is there until its time to live has passed, and not at that moment."""

    async def body(cache):
        await cache.set("short", b"value", ttl=10)
        await cache.set("long", b"value", 10.5)
        await cache.set("ever", b"value")
        seen = []
        for seconds in (0, 9.75, 0.25, 0.5):
            clock.advance(seconds)
            seen.append([await cache.get(name) is not None for name in ("short", "long", "ever")])
        return seen

    assert cached(body, by_clock=clock) == [
        [True, True, True],
        [True, True, True],
        [False, True, True],
        [False, False, True],
    ]


def test_overwriting_renews_the_time_to_live(cached, clock):
    """The time to live is that of the last value, or none."""

    async def body(cache):
        await cache.set("renewed", b"old", ttl=10)
        await cache.set("kept", b"old", ttl=10)
        clock.advance(9)
        await cache.set("renewed", b"new", ttl=10)
        await cache.set("kept", b"new")
        clock.advance(9)
        return await cache.get("renewed"), await cache.get("kept")

    assert cached(body, by_clock=clock) == (b"new", b"new")


def test_deleting_what_has_expired(cached, clock):
    """It was not there."""

    async def body(cache):
        await cache.set("name", b"value", ttl=1)
        clock.advance(1)
        return await cache.delete("name")

    assert cached(body, by_clock=clock) is False


def test_the_default_time_to_live(cached, clock):
    """``ttl`` of the settings is for values that bring none."""

    async def body(cache):
        await cache.set("usual", b"value")
        await cache.set("longer", b"value", ttl=20)
        clock.advance(10)
        return await cache.get("usual"), await cache.get("longer")

    assert cached(body, by_clock=clock, ttl=10.0) == (None, b"value")


@pytest.mark.parametrize("ttl", [0, -1, float("nan")])
def test_a_time_to_live_is_more_than_nothing(cached, ttl):
    """Another is refused, and changes nothing."""

    async def body(cache):
        await cache.set("name", b"old")
        with pytest.raises(ValueError, match="a time to live is more than 0 seconds, found"):
            await cache.set("name", b"new", ttl=ttl)
        return await cache.get("name")

    assert cached(body) == b"old"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((b"name", b"value"), "a cache's name is a text, found bytes"),
        ((None, b"value"), "a cache's name is a text, found NoneType"),
        (("name", "value"), "a cache's value is bytes, found str"),
        (("name", bytearray(b"value")), "a cache's value is bytes, found bytearray"),
        (("name", None), "a cache's value is bytes, found NoneType"),
        (("name", b"value", "10"), "a time to live is a number of seconds, found str"),
        (("name", b"value", True), "a time to live is a number of seconds, found bool"),
    ],
)
def test_refused_types(cached, arguments, message):
    """A wrong type is a TypeError at once; what was there stays."""

    async def body(cache):
        await cache.set("name", b"old")
        with pytest.raises(TypeError, match=f"^{message}$"):
            await cache.set(*arguments)
        return await cache.get("name")

    assert cached(body) == b"old"


@pytest.mark.parametrize("method", ["get", "delete"])
def test_refused_names(cached, method):
    """A name that is no text is refused by every method."""

    async def body(cache):
        with pytest.raises(TypeError, match="a cache's name is a text, found int"):
            await getattr(cache, method)(1)

    cached(body)


NAMES = [
    "",
    " ",
    "naïve",
    "na\u0308ive",
    "日本",
    "🦆",
    "a\0b",
    "a\0c",
    "\0",
    "\ud800",
    "x" * 10_000,
    "a/../b",
    "%s'\";--",
    "A",
    "a",
]


def test_names_are_any_texts(cached):
    """All of them are different names, none is changed."""

    async def body(cache):
        for number, name in enumerate(NAMES):
            await cache.set(name, b"%d" % number)
        return [await cache.get(name) for name in NAMES]

    assert cached(body) == [b"%d" % number for number in range(len(NAMES))]


@pytest.mark.parametrize(
    "value", [b"", b"\0", bytes(range(256)), os.urandom(3_000_000)], ids=["empty", "nul", "all", "big"]
)
def test_values_are_any_bytes(cached, value):
    """An empty one is not None; a big one is whole."""

    async def body(cache):
        await cache.set("name", value)
        return await cache.get("name")

    assert cached(body) == value


def test_many_tasks_at_once(cached):
    """Each task sees its own writes; all of them end."""

    async def work(cache, number):
        for turn in range(20):
            name, value = f"{number % 50}-{turn}", b"%d" % (number % 50)
            await cache.set(name, value)
            if await cache.get(name) != value:
                return False
        await cache.set(f"own-{number}", b"old")
        deleted = await cache.delete(f"own-{number}")
        return deleted and await cache.get(f"own-{number}") is None

    async def body(cache):
        return await asyncio.gather(*(work(cache, number) for number in range(100)))

    assert cached(body) == [True] * 100


def test_what_does_not_fit_makes_room(cached):
    """Names and values stay within ``max_bytes``; what was used longest ago goes first, and reading is using."""

    async def body(cache):
        for name in "abc":
            await cache.set(name, b"x" * 99)
        await cache.get("a")
        await cache.set("d", b"x" * 99)
        kept = [name for name in "abcd" if await cache.get(name) is not None]
        return kept, (await cache.health()).details["bytes"]

    assert cached(body, max_bytes=300) == (["a", "c", "d"], 300)


def test_writing_is_using(cached):
    """Among what was read and what was written, too, that goes first which was used longest ago."""

    async def body(cache):
        for name in "abc":
            await cache.set(name, b"x" * 99)
        await cache.get("a")
        await cache.set("b", b"y" * 99)
        await cache.set("d", b"x" * 99)
        await cache.set("e", b"x" * 99)
        return [name for name in "abcde" if await cache.get(name) is not None]

    assert cached(body, max_bytes=300) == ["b", "d", "e"]


def test_one_value_may_push_out_many(cached):
    """Room is made until it fits, and no further."""

    async def body(cache):
        for name in "abcde":
            await cache.set(name, b"x" * 19)
        await cache.set("f", b"x" * 49)
        return [name for name in "abcdef" if await cache.get(name) is not None]

    assert cached(body, max_bytes=100) == ["d", "e", "f"]


def test_overwriting_needs_room_once(cached):
    """The old value of a name does not count beside the new one."""

    async def body(cache):
        await cache.set("a", b"x" * 99)
        for _ in range(10):
            await cache.set("b", b"y" * 199)
        return await cache.get("a"), (await cache.health()).details["bytes"]

    assert cached(body, max_bytes=300) == (b"x" * 99, 300)


def test_a_value_that_is_too_large_is_not_kept(cached):
    """It is dropped, with what was there before under its name; the others stay."""

    async def body(cache):
        await cache.set("a", b"old")
        await cache.set("b", b"kept")
        await cache.set("a", b"x" * 100)
        return await cache.get("a"), await cache.get("b")

    assert cached(body, max_bytes=100) == (None, b"kept")


def test_health_is_ok(cached):
    """Asking for it is cheap, and says how much is kept."""

    async def body(cache):
        await cache.set("name", b"value")
        return await cache.health()

    health = cached(body)
    assert isinstance(health, Health)
    assert (health.status, health.reason, health.details["bytes"]) == ("ok", "", 9)


def test_after_close(cached):
    """Every method says that it is closed."""

    async def body(cache):
        await cache.set("name", b"value")
        await cache.aclose()
        for call in (cache.get("n"), cache.set("n", b""), cache.delete("n"), cache.clear(), cache.health()):
            with pytest.raises(RuntimeError, match=r"^the cache is closed$"):
                await call

    cached(body)


def test_closing_twice(cached):
    """A second time does nothing, also at once with the first."""

    async def body(cache):
        await asyncio.gather(cache.aclose(), cache.aclose())
        await cache.aclose()

    cached(body)


def test_closing_under_way(cached):
    """Each call that is under way ends: with its result, or by saying that the cache is closed."""

    async def body(cache):
        calls = [asyncio.create_task(cache.set(str(number), b"value")) for number in range(200)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(cache.aclose())
        calls += [asyncio.create_task(cache.get(str(number))) for number in range(200)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        await closing
        return {str(result) for result in results}

    assert cached(body) <= {"None", "b'value'", "the cache is closed"}


def test_a_cancelled_call_leaves_the_cache_well(cached):
    """Whoever waits may leave at any time."""

    async def body(cache):
        calls = [asyncio.create_task(cache.set(str(number), b"value")) for number in range(100)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        await asyncio.wait(calls)
        await cache.set("name", b"value")
        return [await cache.get(str(number)) for number in range(1, 100, 2)], await cache.get("name")

    assert cached(body) == ([b"value"] * 50, b"value")


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "1"])
def test_wrong_limits(variant, wrong):
    """A limit that is none is refused with a sentence."""
    candidate, usual = variant

    with pytest.raises(ValueError, match=f"^max_bytes is a whole number, at least 1, found {wrong!r}$"):
        candidate.settings_class(**(usual | {"max_bytes": wrong}))


@pytest.mark.parametrize("wrong", [0, -1.5, True, "1", float("nan")])
def test_wrong_default_time_to_live(variant, wrong):
    """So is a time to live."""
    candidate, usual = variant

    with pytest.raises(ValueError, match=f"^ttl is a number of seconds, more than 0, found {wrong!r}$"):
        candidate.settings_class(**(usual | {"ttl": wrong}))


# =====================================================================================================
# memory
# =====================================================================================================


def test_memory_keeps_so_many_items(run):
    """``max_items`` counts; what was used longest ago goes first."""

    async def main():
        cache = memory.MemoryCache(memory.Settings(max_items=3))
        for name in "abcde":
            await cache.set(name, b"")
            await cache.get("a")
        return [name for name in "abcde" if await cache.get(name) is not None]

    assert run(main) == ["a", "d", "e"]


def test_memory_lets_go_of_everything(run):
    """A closed cache holds no value."""

    async def main():
        cache = memory.MemoryCache(memory.Settings())
        await cache.set("name", b"value")
        await cache.aclose()
        return len(cache._entries)

    assert run(main) == 0


def test_memory_takes_no_longer_when_it_is_full(run):
    """Setting with eviction costs the same at 100 000 entries as at 100, within a wide margin."""

    async def main():
        times = []
        for items in (100, 100_000):
            cache = memory.MemoryCache(memory.Settings(max_items=items))
            for number in range(items):
                await cache.set(str(number), b"value")
            best = float("inf")
            for turn in range(5):
                started = time.perf_counter()
                for number in range(1000):
                    await cache.set(f"{turn}-{number}", b"value")
                best = min(best, time.perf_counter() - started)
            times.append(best)
        return times

    small, large = run(main)
    assert large < 10 * small


# =====================================================================================================
# disk
# =====================================================================================================


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache.db"


@pytest.fixture
def on_disk(run, path):
    """``on_disk(body, **settings)``: run ``body(cache)`` on the file of this test."""

    def on_disk(body, *, clock=time.time, **settings):
        async def main():
            cache = await disk.DiskCache.open(disk.Settings(**({"path": str(path)} | settings)), clock=clock)
            try:
                return await body(cache)
            finally:
                await cache.aclose()

        return run(main())

    return on_disk


async def fill(cache, count=20, size=1000):
    for number in range(count):
        await cache.set(str(number), b"%d" % number * size)


def check_file(path):
    """The file is sound, and its books are right; how many entries it has."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        count, weight = db.execute(
            "SELECT count(*), coalesce(sum(length(name) + length(value)), 0) FROM entries"
        ).fetchone()
        assert db.execute("SELECT bytes FROM total").fetchall() == [(weight,)]
        return count


def test_disk_is_there_again(on_disk, path):
    """What was set is got after closing and opening."""

    async def write(cache):
        await cache.set("name", b"value")

    async def read(cache):
        return await cache.get("name")

    on_disk(write)

    assert (on_disk(read), check_file(path)) == (b"value", 1)


def test_disk_times_to_live_hold_over_a_restart(on_disk, clock):
    """They are kept in wall time."""

    async def write(cache):
        await cache.set("short", b"value", ttl=10)
        await cache.set("long", b"value", ttl=20)

    async def read(cache):
        return await cache.get("short"), await cache.get("long")

    on_disk(write, clock=clock.time)
    clock.advance(10)

    assert on_disk(read, clock=clock.time) == (None, b"value")


def test_disk_remembers_what_was_read(on_disk):
    """What was used longest ago is known after a restart, too."""

    async def write(cache):
        for name in "abc":
            await cache.set(name, b"x" * 99)
        await cache.get("a")

    async def overflow(cache):
        await cache.set("d", b"x" * 99)
        return [name for name in "abcd" if await cache.get(name) is not None]

    on_disk(write, max_bytes=300)

    assert on_disk(overflow, max_bytes=300) == ["a", "c", "d"]


def test_disk_takes_out_what_has_expired(on_disk, path, clock):
    """Expired values do not stay for ever, though nobody asks for them."""

    async def body(cache):
        for number in range(50):
            await cache.set(str(number), b"value", ttl=1)
        clock.advance(1)
        for number in range(50, 60):
            await cache.set(str(number), b"value")

    on_disk(body, clock=clock.time)

    assert check_file(path) == 10


def test_disk_gives_room_back(on_disk, path):
    """After ``clear`` the file is small again."""

    async def body(cache):
        await fill(cache, 50, 50_000)
        await cache.clear()
        return sum(each.stat().st_size for each in path.parent.iterdir())

    assert on_disk(body) < 200_000


def test_disk_is_for_its_owner(on_disk, path):
    """Neither the file nor the folders made for it can be read by others; ``~`` is understood."""

    async def body(cache):
        await cache.set("name", b"value")

    on_disk(body, path=str(path.parent / "a" / "b" / "cache.db"))
    made = [path.parent / "a" / "b", path.parent / "a" / "b" / "cache.db"]

    assert [oct(each.stat().st_mode & 0o777) for each in made] == ["0o700", "0o600"]


def test_disk_understands_home(on_disk, path, monkeypatch):
    """``~`` in a path is the home folder."""
    monkeypatch.setenv("HOME", str(path.parent))

    async def body(cache):
        return (await cache.health()).details["file"]

    assert on_disk(body, path="~/cache.db") == str(path)


def test_disk_without_a_path_leaves_nothing(on_disk, tmp_path, monkeypatch):
    """The temporary file has no name, so not even kill -9 leaves it."""
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))

    async def body(cache):
        await fill(cache, 50, 100_000)  # more than SQLite keeps in memory
        return list(tmp_path.iterdir()), await cache.get("7")

    assert on_disk(body, path=None) == ([], b"7" * 100_000)


def test_disk_without_a_path_is_private(run):
    """Two of them do not see each other."""

    async def main():
        one, two = [await disk.create(settings=disk.Settings()) for _ in range(2)]
        await one.set("name", b"value")
        seen = await two.get("name")
        await one.aclose()
        await two.aclose()
        return seen

    assert run(main) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("", "path is the name of a file, found ''"),
        ("a\0b", r"path is the name of a file, found 'a\\x00b'"),
        (1, "path is the name of a file, found 1"),
        (":memory:", "path is the name of a file; a cache in memory is provider 'memory'"),
    ],
)
def test_disk_wrong_paths(wrong, message):
    """What can be no file is refused with the settings."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        disk.Settings(path=wrong)


def test_disk_path_that_is_a_folder(on_disk, tmp_path):
    """Said in a sentence; no thread is left."""
    with pytest.raises(OSError, match=f"^{tmp_path} is a folder; name a file in it$"):
        on_disk(fill, path=str(tmp_path))

    assert sqlite_threads() == []


def test_disk_path_below_a_file(on_disk, path):
    """Said in a sentence; no thread is left."""
    path.write_text("a file")

    with pytest.raises(OSError, match=r"cannot be made: one of the folders above it is a file"):
        on_disk(fill, path=str(path / "deeper" / "cache.db"))
    assert sqlite_threads() == []


def test_disk_spares_other_databases(on_disk, path):
    """A database of something else is refused, and not changed."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE accounts (money)")
    before = path.read_bytes()

    with pytest.raises(ValueError, match=f"^{path} is a database of something else; name another file$"):
        on_disk(fill)
    assert (path.read_bytes(), list(path.parent.iterdir())) == (before, [path])


def test_disk_spares_later_versions(on_disk, path):
    """A cache of a schema we do not know is refused, and not changed."""
    on_disk(fill)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")

    with pytest.raises(ValueError, match=r"is a cache of version 99, and this is version 1$"):
        on_disk(fill)
    assert check_file(path) == 20


@pytest.mark.parametrize("content", [b"not a database " * 100, b"\0" * 8192], ids=["text", "zeros"])
def test_disk_that_is_broken_starts_empty(on_disk, path, caplog, content):
    """The file is set aside, the log and the health say so, and the cache works."""
    path.write_bytes(content)

    async def body(cache):
        before = await cache.get("name")
        await cache.set("name", b"value")
        sick = await cache.health()
        path.with_name("cache.db.corrupt-1").unlink()
        return before, await cache.get("name"), sick, await cache.health()

    before, after, sick, well = on_disk(body)

    assert (before, after) == (None, b"value")
    assert (sick.status, sick.reason) == (
        "degraded",
        f"the cache file {path} was broken, and is set aside as cache.db.corrupt-1; delete that to be well",
    )
    assert (well.status, well.reason) == ("ok", "")
    assert [(each.levelname, each.message) for each in caplog.records] == [
        (
            "WARNING",
            f"the cache file {path} is broken (file is not a database): set aside as cache.db.corrupt-1, and started empty",
        )
    ]


def test_disk_keeps_what_was_set_aside(on_disk, path):
    """Its bytes are not changed; of many only the last three are kept."""
    for number in range(1, 6):
        path.write_bytes(b"broken %d" % number)
        on_disk(lambda cache: cache.get("name"))

    assert {each.name: each.read_bytes() for each in path.parent.glob("*.corrupt-*")} == {
        "cache.db.corrupt-3": b"broken 3",
        "cache.db.corrupt-4": b"broken 4",
        "cache.db.corrupt-5": b"broken 5",
    }


def test_disk_sets_aside_only_what_is_broken(path):
    """Of two processes that find a file broken at once, the second leaves the new file of the first alone."""
    path.write_bytes(b"broken")
    which = _sqlite.identity(path)
    first = _sqlite.set_aside(path, which)
    path.write_bytes(b"new")

    assert (first, _sqlite.set_aside(path, which)) == (path.with_name("cache.db.corrupt-1"), None)
    assert path.read_bytes() == b"new"


def test_disk_whose_place_is_taken(on_disk, path, caplog):
    """While the file can be neither read nor made, nothing is found, health is failed; then it goes on."""
    caplog.set_level(logging.INFO)

    async def body(cache):
        await cache.set("name", b"old")
        for each in path.parent.iterdir():
            each.unlink()
        path.mkdir()
        await cache.set("name", b"new")
        await cache.set("other", b"new")
        seen = [await cache.get("name"), await cache.get("third")]
        sick = await cache.health()
        path.rmdir()
        await cache.set("name", b"newer")
        seen += [await cache.get("name"), await cache.get("other"), await cache.get("third")]
        return seen, sick, await cache.health()

    seen, sick, well = on_disk(body)

    reason = f"the cache file {path}: {path} is a folder; name a file in it"
    assert seen == [None, None, b"newer", None, None]
    assert (sick.status, sick.reason, well.status) == ("failed", reason, "ok")
    assert [
        each.message.removeprefix(f"the cache file {path}: ").partition(":")[0] for each in caplog.records
    ] == [
        "writing fails",
        "reading fails",
        "writing works again",
        "reading works again",
    ]


def test_disk_whose_books_are_wrong(on_disk, path):
    """A total that somebody has spoiled does not keep the cache from working, and is put right."""
    on_disk(fill)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE total SET bytes = 1000000000")

    async def body(cache):
        await cache.set("name", b"value")
        return await cache.get("name")

    assert (on_disk(body), check_file(path)) == (b"value", 1)


def test_disk_remembers_so_many_reads(on_disk, monkeypatch):
    """Reads that wait to be written down take no more room than for the last ones."""
    monkeypatch.setattr(disk, "MAX_TOUCHED", 3)

    async def body(cache):
        await fill(cache, 10, 1)
        for number in range(10):
            await cache.get(str(number))
        return list(cache._touched)

    assert on_disk(body) == [b"7", b"8", b"9"]


def test_disk_that_breaks_while_open(on_disk, path, caplog):
    """The call that finds out does not fail; the cache goes on, empty."""

    async def body(cache):
        await fill(cache, 200, 5000)
        await cache._run(
            lambda: cache._opened.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        )
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))
        await cache._run(lambda: cache._opened.connection.execute("PRAGMA shrink_memory"))
        seen = {await cache.get(str(number)) for number in range(200)}
        await cache.set("name", b"value")
        return seen, await cache.get("name"), (await cache.health()).status

    assert on_disk(body) == ({None}, b"value", "degraded")
    assert "is broken (database disk image is malformed): set aside as cache.db.corrupt-1" in caplog.text
    assert check_file(path) == 1


def test_disk_whose_file_is_deleted(on_disk, path):
    """It is made again, empty."""

    async def body(cache):
        await cache.set("old", b"value")
        for each in path.parent.iterdir():
            each.unlink()
        seen = await cache.get("old")
        await cache.set("new", b"value")
        return seen, await cache.get("new")

    assert (on_disk(body), check_file(path)) == ((None, b"value"), 1)


def test_disk_that_is_full(on_disk, path, caplog):
    """A value that cannot be written is dropped with the old one; health and log say so, until it works again."""
    caplog.set_level(logging.INFO)

    def pages(cache, limit):
        return cache._run(
            lambda: cache._opened.connection.execute(f"PRAGMA max_page_count = {limit}").fetchone()
        )

    async def body(cache):
        await cache.set("name", b"old")
        await cache.set("kept", b"value")
        await pages(cache, 1)
        await cache.set("name", b"new" * 100_000)
        await cache.set("other", b"new" * 100_000)
        seen = [await cache.get(name) for name in ("name", "other", "kept")]
        sick = await cache.health()
        await pages(cache, 1_000_000)
        await cache.set("other", b"fits")
        seen += [await cache.get(name) for name in ("name", "other", "kept")]
        return seen, sick, await cache.health()

    seen, sick, well = on_disk(body)

    assert seen == [None, None, b"value", None, b"fits", b"value"]
    assert (sick.status, sick.reason) == (
        "degraded",
        f"the cache file {path}: writing: fails: database or disk is full",
    )
    assert well.status == "ok"
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("WARNING", f"the cache file {path}: writing fails: database or disk is full; values are dropped"),
        ("INFO", f"the cache file {path}: writing works again"),
    ]
    assert check_file(path) == 2


def test_disk_that_stays_locked(on_disk, path):
    """Reading goes on; a value that cannot be written is dropped; what must be forgotten says that it is not."""

    async def body(cache):
        await cache.set("name", b"old")
        await cache.set("kept", b"value")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await cache.set("name", b"new")
            seen = await cache.get("name"), await cache.get("kept")
            with pytest.raises(
                OSError, match=f"^the cache file {path}: cannot forget the value: database is locked$"
            ):
                await cache.delete("kept")
            with pytest.raises(
                OSError, match=f"^the cache file {path}: cannot forget the values: database is locked$"
            ):
                await cache.clear()
            sick = (await cache.health()).status
        await cache.set("other", b"value")
        return seen, sick, await cache.get("name"), await cache.get("kept"), (await cache.health()).status

    assert on_disk(body, busy_timeout=0.05) == ((None, b"value"), "degraded", None, b"value", "ok")
    assert check_file(path) == 2


def test_disk_that_was_stale_all_over(on_disk, path, monkeypatch):
    """Where too many values could not be forgotten, none is seen, and all go with the next write."""
    monkeypatch.setattr(disk, "MAX_STALE", 3)

    async def body(cache):
        await fill(cache, 10)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(4):
                await cache.set(str(number), b"new")
            seen = {await cache.get(str(number)) for number in range(10)}
        await cache.set("name", b"value")
        return seen, await cache.get("name")

    assert on_disk(body, busy_timeout=0.01) == ({None}, b"value")
    assert check_file(path) == 1


WRITER = """
    import asyncio, sys
    from oneiric.plugins.cache.disk import Settings, create

    async def main(path, mark, count):
        cache = await create(settings=Settings(path=path, max_bytes=200_000))
        print("ready", flush=True)
        number = 0
        while count is None or number < count:
            await cache.set(f"{mark}-{number % 100}", mark.encode() * (number % 3000))
            if number % 7 == 0:
                await cache.delete(f"{mark}-{number % 50}")
            number += 1
        await cache.aclose()

    path, mark, *count = sys.argv[1:]
    asyncio.run(main(path, mark, int(count[0]) if count else None))
"""


def writer(path, mark, *count):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path), mark, *map(str, count)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_disk_two_processes(path):
    """Two processes that begin with the same new file, and write at once, lose nothing but by eviction."""
    processes = [writer(path, mark, 300) for mark in "ab"]
    try:
        assert [process.communicate(timeout=60)[0] for process in processes] == [b"ready\n"] * 2
        assert [process.returncode for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()

    assert check_file(path) > 50


def test_disk_may_be_made_by_several_at_once(tmp_path):
    """Whoever is first makes the tables; nobody takes a file in the making for somebody else's."""

    async def main(path):
        caches = await asyncio.gather(
            *(disk.DiskCache.open(disk.Settings(path=str(path))) for _ in range(3)), return_exceptions=True
        )
        refused = [each for each in caches if isinstance(each, Exception)]
        for cache in caches:
            if not isinstance(cache, Exception):
                await cache.aclose()
        return refused

    assert [asyncio.run(main(tmp_path / f"{turn}.db")) for turn in range(40)] == [[]] * 40


def test_disk_sees_other_processes(on_disk, path):
    """What another process has set is got."""

    async def body(cache):
        await cache.set("mine", b"value")
        process = writer(path, "b", 6)
        process.communicate(timeout=60)
        return await cache.get("b-5"), await cache.get("mine")

    assert on_disk(body) == (b"b" * 5, b"value")


def test_disk_survives_kill_9(on_disk, path):
    """A writer that is killed, again and again, leaves a file that is sound, readable and within its limit."""
    for turn in range(6):
        with writer(path, "ab"[turn % 2]) as process:
            assert process.stdout.readline() == b"ready\n"
            # The moment is the writer's: so many log pages are on disk.
            deadline = time.monotonic() + 30
            log = Path(f"{path}-wal")
            while not (log.exists() and log.stat().st_size > 200_000 * (turn + 1)):
                assert time.monotonic() < deadline
            process.send_signal(signal.SIGKILL)

        async def body(cache):
            await cache.set("after", b"value")
            return await cache.get("after"), (await cache.health()).status

        assert on_disk(body) == (b"value", "ok")
        assert check_file(path) > 1
    assert list(path.parent.glob("*.corrupt-*")) == []


def test_a_transaction_is_all_or_nothing():
    """What was written before an error is not there, and the next transaction can begin."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (x)")
        with pytest.raises(KeyError), _sqlite.transaction(db):
            db.execute("INSERT INTO t VALUES (1)")
            raise KeyError
        with _sqlite.transaction(db):
            db.execute("INSERT INTO t VALUES (2)")

        assert (db.in_transaction, db.execute("SELECT x FROM t").fetchall()) == (False, [(2,)])


def test_disk_ends_its_thread(on_disk):
    """The thread of a cache lives as long as the cache; it is a daemon, and idle when it has nothing to do."""

    async def body(cache):
        await cache.get("name")
        (thread,) = sqlite_threads()
        async with asyncio.timeout(10):
            while not thread.idle:  # it has answered, and is about to be
                await asyncio.sleep(0)
        return thread.name, thread.daemon

    assert on_disk(body) == ("oneiric-sqlite-cache", True)
    assert sqlite_threads() == []


@pytest.mark.skipif("sys.platform != 'linux'", reason="descriptors are counted in /proc")
def test_disk_leaks_no_descriptors(on_disk, path):
    """Neither opening and closing, nor failing to open, nor healing leaves one open."""
    on_disk(fill)
    before = descriptors()

    for _ in range(5):
        on_disk(fill)
        with pytest.raises(OSError):
            on_disk(fill, path=str(path.parent))
        path.write_bytes(b"broken")
        on_disk(fill)

    assert descriptors() == before


def test_disk_cancelled_while_opening(run, path):
    """An opening that is given up leaves neither a thread nor an open file."""
    entered, go_on = threading.Event(), threading.Event()
    closed = []

    class Connection(sqlite3.Connection):
        def close(self):
            closed.append(True)
            super().close()

    def connect():
        entered.set()
        go_on.wait(10)
        return sqlite3.connect(path, factory=Connection)

    async def main():
        opening = asyncio.create_task(_sqlite.Database.open(connect, "cache"))
        await asyncio.to_thread(entered.wait, 10)
        opening.cancel()
        await asyncio.wait([opening])
        threads = sqlite_threads()
        go_on.set()
        for thread in threads:
            await asyncio.to_thread(thread.join, 10)
        return len(threads), opening.cancelled()

    assert run(main) == (1, True)
    assert (closed, sqlite_threads()) == ([True], [])


def test_disk_that_is_slow_does_not_block_the_loop(on_disk):
    """While the disk works, the loop turns."""

    async def body(cache):
        entered, go_on = threading.Event(), threading.Event()

        def slow():
            entered.set()
            return go_on.wait(10)

        slowly = asyncio.create_task(cache._run(slow))
        waiting = asyncio.create_task(cache.get("name"))
        while not entered.is_set():
            await asyncio.sleep(0)
        turns = 0
        for _ in range(100):
            await asyncio.sleep(0)
            turns += 1
        pending = not slowly.done() and not waiting.done()
        go_on.set()
        return turns, pending, await slowly, await waiting

    assert on_disk(body) == (100, True, True, None)


def test_disk_that_hangs_can_be_closed(run, clock):
    """Closing is bounded: calls that wait end after 5 s, the one that hangs after 6, and the thread is left alone."""
    hung, ends = threading.Event(), {}

    async def note(name, call):
        try:
            await call
        except RuntimeError as error:
            ends[name] = (clock.time(), str(error))

    async def main():
        cache = await disk.create(settings=disk.Settings())
        calls = [asyncio.create_task(note("running", cache._run(hung.wait)))]
        calls.append(asyncio.create_task(note("waiting", cache.get("name"))))
        await asyncio.sleep(0)
        with pytest.raises(
            TimeoutError,
            match=r"^the cache does not close: its file does not answer; its thread is left alone$",
        ):
            await cache.aclose()
        await asyncio.gather(*calls)
        await cache.aclose()
        return sqlite_threads()

    (thread,) = run(main)
    hung.set()
    thread.join(10)

    assert ends == {"waiting": (5.0, "the cache is closed"), "running": (6.0, "the cache is closed")}
    assert not thread.is_alive()


def test_disk_interrupts_a_long_statement(run, clock):
    """A statement that would run for ever ends when the cache is closed."""
    forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

    async def main():
        cache = await disk.create(settings=disk.Settings())
        running = asyncio.create_task(
            cache._run(lambda: cache._opened.connection.execute(forever).fetchone())
        )
        await asyncio.sleep(0)
        await cache.aclose()
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            await running

    run(main)

    assert (clock.time(), sqlite_threads()) == (5.0, [])


def test_disk_before_it_is_opened(run):
    """A cache that was made by hand says how it is made."""

    async def main():
        with pytest.raises(
            RuntimeError, match=re.escape("the cache is not open; make it by DiskCache.open()")
        ):
            await disk.DiskCache(disk.Settings()).get("name")

    run(main)


def test_settings_are_frozen():
    """They do not change under a running cache."""
    for candidate in PROVIDERS.values():
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            candidate.settings_class().max_bytes = 1
