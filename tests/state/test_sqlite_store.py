"""What only a file can do: several processes, ends without warning, damage, strangers, full disks."""

import asyncio
import contextlib
import logging
import os
import random
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import Conflict, Corrupt, Locked, Retention, StateError

from oneiric.plugins import _sqlite
from oneiric.plugins.stores import _tables
from oneiric.plugins.stores.memory import MemoryStore
from oneiric.plugins.stores.sqlite import SqliteStore, check_store, open_store


def listing(folder):
    """All that is in a folder, with what it holds."""
    return {str(each): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


async def filled(path, count=3):
    """A file with values, closed."""
    store = await SqliteStore.open(path)
    for number in range(count):
        await store.put(f"a/{number}", {"n": number, "pad": "x" * 2000})
    await store.append("log", "first")
    await store.close()


def sound(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA integrity_check").fetchone()[0]


def sqlite_threads():
    return [each for each in threading.enumerate() if each.name.startswith("oneiric-sqlite")]


# --- where it is ---------------------------------------------------------------------------------------------------


def test_nothing_is_made_before_something_is_written(tmp_path):
    """Asking makes neither the file nor its folder; the first change makes both, for their owner alone."""

    async def main():
        folder = tmp_path / "one" / "two"
        store = await open_store("", folder, Retention())
        asked = await store.get("a"), await store.scan(""), await store.revision("a"), await store.nodes()
        await store.delete("a")
        with pytest.raises(Conflict):
            await store.delete("a", expect=3)
        with pytest.raises(StateError):
            await store.put("a", float("nan"))
        before = list(tmp_path.iterdir())
        await store.put("a", 1)
        modes = [stat.S_IMODE(each.stat().st_mode) for each in (folder, folder / "state.db")]
        await store.close()
        return asked, before, modes, [each.name for each in folder.iterdir()]

    assert asyncio.run(main()) == ((None, [], 0, []), [], [0o700, 0o600], ["state.db"])


@pytest.mark.parametrize(
    ("rest", "where"),
    [
        ("", "state/state.db"),
        ("other.db", "state/other.db"),
        ("sub/x%y?#.db", "state/sub/x%y?#.db"),
        ("{}/abs.db", "abs.db"),
    ],
)
def test_file_is_where_the_settings_say(tmp_path, rest, where):
    """``sqlite:`` alone is in the state directory, a relative path is relative to that; odd names are names."""

    async def main():
        store = await open_store(rest.format(tmp_path), tmp_path / "state", Retention())
        await store.put("a", 1)
        await store.close()

    asyncio.run(main())
    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.db")] == [where]
    assert [each.level for each in check_store(rest.format(tmp_path), tmp_path / "state")] == ["note"]


@pytest.mark.parametrize("rest", [":memory:", "a\0b", "folder/"])
def test_what_is_no_file_is_refused(tmp_path, rest):
    """Also what SQLite itself would take for a database in memory."""
    with pytest.raises(StateError, match="is not the name of a file"):
        asyncio.run(open_store(rest, tmp_path, Retention()))


# --- several processes ---------------------------------------------------------------------------------------------


def test_processes_lose_no_update(process, tmp_path):
    """Three processes add to one number, each as often as it can: the sum is right, and nobody sees an error."""
    body = """
        store = await SqliteStore.open(PATH)
        for _ in range(150):
            while True:
                found = await store.get("n")
                value, revision = (found.value, found.revision) if found else (0, 0)
                try:
                    await store.put("n", value + 1, expect=revision)
                    break
                except Conflict:
                    pass
            await store.append("log", os.getpid())
        await store.close()
    """
    running = [process(body) for _ in range(3)]
    ended = [each.communicate(timeout=60) for each in running]

    async def look():
        store = await SqliteStore.open(tmp_path / "state.db")
        found = (await store.get("n")).value, [each.number for each in await store.read("log")]
        await store.close()
        return found

    assert (ended, [each.returncode for each in running]) == ([("", "")] * 3, [0] * 3)
    assert asyncio.run(look()) == (450, list(range(1, 451)))


def test_several_may_make_it_at_once(tmp_path):
    """Whoever is first makes the tables, the others find them: nobody takes a file in the making for a stranger."""

    async def main(path):
        stores = [await SqliteStore.open(path) for _ in range(3)]
        await asyncio.gather(*(store.put(f"k/{number}", number) for number, store in enumerate(stores)))
        found = len(await stores[0].scan(""))
        await asyncio.gather(*(store.close() for store in stores))
        return found

    assert [asyncio.run(main(tmp_path / f"{turn}.db")) for turn in range(30)] == [3] * 30


def test_hints_come_from_other_processes(process, tmp_path):
    """What another process does is hinted at within a second."""

    async def main():
        store = await SqliteStore.open(tmp_path / "state.db")
        hints = store.changes("a/")
        first = asyncio.ensure_future(anext(hints))
        await asyncio.sleep(0.1)
        other = process(
            "s = await SqliteStore.open(PATH); await s.put('b', 1); await s.put('a/x', 1); print(time.time())\nawait s.close()"
        )
        async with asyncio.timeout(30):
            key = await first
        seen = store._clocks.wall()
        out, _ = await asyncio.to_thread(other.communicate)
        await store.close()
        return key, seen - float(out)

    key, late = asyncio.run(main())
    assert key == "a/x"
    assert late < 1.0


def test_killed_writers_leave_nothing_torn(process, tmp_path):
    """Killed by -9 at any moment: what was acknowledged is there, whole, and the file opens again without a word."""
    body = """
        store = await SqliteStore.open(PATH)
        print("open", flush=True)
        number = int(sys.argv[1])
        while True:
            await store.put(f"k/{number}", {"n": number, "pad": "x" * (number * 37 % 5000), "end": number})
            await store.append("log", {"n": number, "end": number})
            print(number, flush=True)
            number += 1
    """
    rng = random.Random(7)
    acknowledged = []
    for turn in range(6):
        writer = process(body, turn * 10_000)
        for _ in range(rng.randrange(2, 60)):
            acknowledged += [line for line in [writer.stdout.readline().strip()] if line.isdecimal()]
        writer.kill()
        rest, err = writer.communicate()
        acknowledged += [line for line in rest.split("\n")[:-1] if line.isdecimal()]
        assert err == ""

    async def look():
        store = await SqliteStore.open(tmp_path / "state.db")
        values = {key: stored.value for key, stored in await store.scan("k/")}
        records = await store.read("log", 0, 100_000)
        await store.put("after", 1)
        await store.close()
        return values, records

    values, records = asyncio.run(look())
    assert all(value["n"] == value["end"] for value in values.values())
    assert {f"k/{number}" for number in acknowledged} <= set(values)
    assert {int(number) for number in acknowledged} <= {each.value["end"] for each in records}
    assert [each.number for each in records] == list(range(1, len(records) + 1))
    assert [each.name for each in tmp_path.iterdir()] == ["state.db"]
    assert len(acknowledged) > 20


def test_another_writer_is_waited_for(tmp_path):
    """Only so long: then it says who is in the way.  Reading goes on meanwhile, and so does writing afterwards."""

    async def main():
        path = tmp_path / "state.db"
        await filled(path)
        store = await SqliteStore.open(path, busy_timeout=0.05)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Locked) as refused:
                await store.put("a/0", "lost")
            read = (await store.get("a/0")).value["n"]
            other.execute("ROLLBACK")
        await store.put("a/0", "after")
        after = (await store.get("a/0")).value
        await store.close()
        return str(refused.value), refused.value.exit_code, read, after

    text, code, read, after = asyncio.run(main())
    assert text.splitlines() == [
        f"{tmp_path}/state.db: another process has been writing to it for 0.05 s",
        "  try again; find that process if it goes on",
    ]
    assert (code, read, after) == (8, 0, "after")


def test_file_that_is_gone_is_begun_anew(tmp_path):
    """Somebody removes it, or sets it aside: no one goes on writing to what nobody can see; no revision comes again."""

    async def main():
        path = tmp_path / "state.db"
        store, other = [await SqliteStore.open(path) for _ in range(2)]
        before = await store.put("a", 1)
        path.rename(tmp_path / "away")
        gone = await store.get("a"), await other.scan("")
        await asyncio.sleep(0.002)
        after = await other.put("b", 2)
        found = await store.scan("")
        await store.close()
        await other.close()
        return gone, before < after, [key for key, _ in found]

    assert asyncio.run(main()) == ((None, []), True, ["b"])


def test_file_that_was_replaced_is_noticed(tmp_path):
    """Another process sets it aside and begins anew: whoever has the old one open goes over to the new."""

    async def main():
        path = tmp_path / "state.db"
        store = await SqliteStore.open(path)
        await store.put("a", 1)
        _sqlite.set_aside(path, _sqlite.identity(path))
        other = await SqliteStore.open(path)
        await other.put("b", 2)
        read = [key for key, _ in await store.scan("")]
        await store.put("c", 3)
        found = [key for key, _ in await other.scan("")]
        await store.close()
        await other.close()
        return read, found

    assert asyncio.run(main()) == (["b"], ["b", "c"])


# --- damage, strangers, versions -------------------------------------------------------------------------------------


def test_damaged_file_is_set_aside(tmp_path, caplog):
    """It is kept beside the new one, a warning says so, and everything works, from empty."""
    path = tmp_path / "state.db"

    async def main():
        await filled(path, 50)
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(size // 2)
            file.write(os.urandom(size // 4))
        damaged = path.read_bytes()
        store = await SqliteStore.open(path)
        found = await store.scan("")
        await store.put("a", 1)
        await store.close()
        return found, (tmp_path / "state.db.corrupt-1").read_bytes() == damaged

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(main()) == ([], True)
    (record,) = caplog.records
    assert (record.name, sound(path)) == ("oneiric.plugin.stores", "ok")
    assert record.getMessage().startswith(f"{path}: it was damaged (")
    assert "is set aside as state.db.corrupt-1; state begins anew" in record.getMessage()


def test_damage_is_told_to_who_meets_it(tmp_path, caplog):
    """A file that breaks while it is open: one caller learns of it, the next begins anew."""
    path = tmp_path / "state.db"

    async def main():
        await filled(path, 4000)  # more than SQLite keeps in mind
        store = await SqliteStore.open(path)
        with path.open("r+b") as file:
            file.seek(4096 * 2)
            file.write(os.urandom(path.stat().st_size - 4096 * 4))
        with pytest.raises(Corrupt) as told:
            await store.scan("")
        await store.put("a", 1)
        found = [key for key, _ in await store.scan("")]
        await store.close()
        return told.value, found

    error, found = asyncio.run(main())
    assert (error.where, found) == (str(path), ["a"])
    assert "set aside as state.db.corrupt-1" in str(error)
    assert len(caplog.records) == 1


ZEROS = bytes(8192)


@pytest.mark.parametrize(
    ("content", "ours"),
    [
        (b"a diary, and nothing else\n" * 50, False),
        (b"short", False),
        (b"SQLite format 3\0", False),
        (b"SQLite format 3\0" + os.urandom(84).replace(b"OnSt", b"abcd") + ZEROS, False),
        (b"SQLite format 3\0" + ZEROS[:52] + b"OnSt" + ZEROS, True),
        (ZEROS, True),
    ],
    ids=["text", "short", "header", "sqlite", "ours", "zeros"],
)
def test_only_what_is_ours_is_set_aside(tmp_path, content, ours):
    """A file that is no sound database was ours if its header says so, or nothing is in it; others are not touched."""
    path = tmp_path / "state.db"
    path.write_bytes(content)

    async def main():
        store = await SqliteStore.open(path)
        await store.put("a", 1)
        await store.close()

    if ours:
        asyncio.run(main())
        assert (tmp_path / "state.db.corrupt-1").read_bytes() == content
    else:
        with pytest.raises(StateError) as refused:
            asyncio.run(main())
        assert str(refused.value).splitlines() == [
            f"{path}: it is no state store, but something else",
            "  move it away, or name another file: [state] url",
        ]
        assert listing(tmp_path) == {str(path): content}
    assert sqlite_threads() == []


def test_database_of_somebody_else_is_refused(tmp_path):
    """A sound one is not touched either."""
    path = tmp_path / "state.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE diary (line TEXT)")
    before = listing(tmp_path)

    with pytest.raises(StateError, match="it is no state store, but something else"):
        asyncio.run(SqliteStore.open(path))
    assert listing(tmp_path) == before


def test_versions(tmp_path):
    """An older file is brought up to date with all that is in it; a newer one is refused, and says by what."""
    path = tmp_path / "state.db"
    later = (*_tables.STEPS, ("ALTER TABLE nodes ADD COLUMN colour TEXT",), ("CREATE TABLE more (x)",))

    async def main():
        await filled(path)
        store = await SqliteStore.open(path, steps=later)
        found = [key for key, _ in await store.scan("")]
        await store.put("a/9", 1)
        await store.close()
        before = listing(tmp_path)
        with pytest.raises(StateError) as refused:
            await SqliteStore.open(path)
        return found, str(refused.value), listing(tmp_path) == before

    found, text, same = asyncio.run(main())
    assert (found, same) == (["a/0", "a/1", "a/2"], True)
    assert text.splitlines() == [
        f"{path}: a later version has written it (schema 3; this one knows up to 1)",
        "  upgrade oneiric, or name another file: [state] url",
    ]


def test_migration_is_done_or_not(tmp_path):
    """A step that fails leaves the file in the version it had."""
    path = tmp_path / "state.db"
    wrong = (*_tables.STEPS, ("CREATE TABLE more (x)", "no SQL at all"))

    async def main():
        await filled(path)
        with pytest.raises(StateError):
            await SqliteStore.open(path, steps=wrong)
        store = await SqliteStore.open(path)
        found = [key for key, _ in await store.scan("")]
        await store.close()
        return found

    assert asyncio.run(main()) == ["a/0", "a/1", "a/2"]


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "NaN", "[1", "", "-Infinity", "[" * 100_000])
def test_damaged_value_is_named(tmp_path, text):
    """Whoever changed the file by hand: that one value is damaged, and can be put anew; the others are well."""
    path = tmp_path / "state.db"

    async def main():
        await filled(path)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("UPDATE entries SET value = ? WHERE key = 'a/1'", (text,))
        store = await SqliteStore.open(path)
        for call in (store.get("a/1"), store.scan("a/")):
            with pytest.raises(Corrupt, match="the value of a/1 is damaged") as told:
                await call
        assert [key for key, _ in told.value.sound] == ["a/0", "a/2"]
        assert {key: why for key, (_, why) in told.value.damaged.items()} == {"a/1": told.value.message}
        await store.put("a/1", "anew")
        found = [stored.value if key == "a/1" else stored.value["n"] for key, stored in await store.scan("")]
        await store.close()
        return found

    assert asyncio.run(main()) == [0, "anew", 2]


# --- disks -----------------------------------------------------------------------------------------------------------


USE = """
import asyncio, os, sys
from pathlib import Path
from oneiric_hookspecs import StateError
import oneiric.plugins.stores._looking
from oneiric.plugins.stores.sqlite import SqliteStore
if os.getuid() == 0:  # who may do anything: somebody else, once all is imported
    os.setgid(65534)
    os.setuid(65534)
async def main():
    store = None
    try:
        store = await SqliteStore.open(Path(sys.argv[1]))
        await store.put("a", 1)
    except StateError as error:
        print(error)
    if store is not None:
        await store.close()
asyncio.run(main())
"""


@pytest.mark.parametrize("there", [False, True], ids=["no-file", "file"])
def test_folder_that_may_not_be_written(environment, there):
    """The error says which file, and what this user needs; nothing else goes wrong."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "state"
        folder.mkdir()
        path = folder / "state.db"
        if there:
            asyncio.run(filled(path))
            path.chmod(0o444)
        Path(base).chmod(0o755)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", USE, str(path)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        folder.chmod(0o755)
        assert done.stderr == ""
        first, *rest = done.stdout.splitlines()
        assert first.startswith(f"{path}: it cannot be opened or written: ")
        assert rest == [
            "  this user needs to write to the file and to its folder; ONEIRIC_STATE_DIR names another folder"
        ]


def test_full_disk_changes_nothing(tmp_path):
    """What does not fit is refused as a whole; what was there stays, and smaller things still go in."""

    async def main():
        store = await SqliteStore.open(tmp_path / "state.db")
        await store.put("a", "before")
        await store._database.run(
            lambda: store._database.connection.execute("PRAGMA max_page_count = 30").fetchall()
        )
        with pytest.raises(StateError) as refused:
            await store.put("a", "x" * 500_000)
        with pytest.raises(StateError):
            await store.append("log", "x" * 500_000)
        found = (await store.get("a")).value, await store.read("log")
        await store.put("a", "after")
        await store.close()
        return str(refused.value), found

    text, found = asyncio.run(main())
    assert text.splitlines() == [
        f"{tmp_path}/state.db: the disk is full; nothing was changed",
        "  make room, and try again",
    ]
    assert (found, sound(tmp_path / "state.db")) == (("before", []), "ok")


def test_disk_that_takes_no_more(process, tmp_path):
    """The system refuses to write in the middle: an error that says so, then it goes on; the file is sound."""
    body = """
        import resource
        store = await SqliteStore.open(PATH)
        await store.put("a", "before")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        try:
            for number in range(1000):
                await store.put(f"k/{number}", "x" * 5000)
        except StateError as error:
            print(error)
        print((await store.get("a")).value, len(await store.scan("k/")) == number)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await store.put("a", "after")
        print((await store.get("a")).value)
        await store.close()
    """
    out, err = process(body).communicate(timeout=60)
    assert err == ""
    assert out.splitlines() == [
        f"{tmp_path}/state.db: the disk does not take it: disk I/O error; nothing was changed",
        "  make room, or see what the system says about that disk",
        "before True",
        "after",
    ]
    assert sound(tmp_path / "state.db") == "ok"


@pytest.mark.parametrize("kind", ["a folder", "a file above it"])
def test_place_that_is_none(tmp_path, kind):
    """The path is a folder, or leads through a file."""
    path = tmp_path / "x" / "state.db"
    if kind == "a folder":
        path.mkdir(parents=True)
    else:
        path.parent.write_text("a file")

    async def main():
        store = await SqliteStore.open(path)
        try:
            await store.put("a", 1)
        finally:
            await store.close()

    with pytest.raises(StateError) as refused:
        asyncio.run(main())
    what = "it is a folder" if kind == "a folder" else "one of the folders above it is a file"
    assert str(refused.value).splitlines()[0] == f"{path}: {what}"
    assert sqlite_threads() == []


# --- cost ------------------------------------------------------------------------------------------------------------


def test_cost_of_a_change_does_not_grow(tmp_path):
    """SQLite's own steps for a change are as many among 10,000 keys, nodes of the tree apart, as among 100."""

    async def steps(store, call):
        count = 0

        def one():
            nonlocal count
            count += 1

        await store._database.run(lambda: store._database.connection.set_progress_handler(one, 1))
        await call()
        await store._database.run(lambda: store._database.connection.set_progress_handler(None, 1))
        return count

    async def main():
        found = []
        store = await SqliteStore.open(tmp_path / "state.db")
        await store.beat("node", 1, 10.0)
        for start, end in ((0, 100), (100, 10_000)):
            for number in range(start, end):
                await store.put(f"k/{number}", number)
                if number % 10 == 0:
                    await store.append("log", number)
            found.append(
                [
                    await steps(store, lambda: store.put("k/50", "other")),
                    await steps(store, lambda: store.put("k/51", "other", expect=None)),
                    await steps(store, lambda end=end: store.put(f"k/new{end}", 1)),
                    await steps(store, lambda end=end: store.delete(f"k/new{end}")),
                    await steps(store, lambda: store.append("log", 1)),
                    await steps(store, lambda: store.revision("k/")),
                    await steps(store, lambda: store.beat("node", 1, 10.0)),
                ]
            )
        await store.close()
        return found

    few, many = asyncio.run(main())
    assert many == pytest.approx(few, abs=12)
    assert max(many) < 400


# --- beside one another ------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "a/b", "a/c", "b/%", "b/_", "caf\u00e9", "a/b/c/d"])
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
STEP = st.one_of(
    st.tuples(st.just("put"), KEYS, DATA, st.sampled_from([None, 0, "right", "wrong"])),
    st.tuples(st.just("delete"), KEYS, st.none(), st.sampled_from([None, 0, "right", "wrong"])),
    st.tuples(st.just("append"), KEYS, DATA, st.none()),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, max_size=25))
def test_both_stores_do_the_same(tmp_path_factory, steps):
    """Whatever is asked of them: values of the same types, the same refusals, and revisions in the same order."""
    folder = tmp_path_factory.mktemp("fuzz")

    async def run_on(store):
        revisions = {}
        said = []
        for what, key, data, expect in steps:
            if isinstance(expect, str):
                expect = revisions.get(key, 0) + (expect == "wrong")
            try:
                if what == "append":
                    said.append(await store.append(key, data))
                elif what == "put":
                    revisions[key] = await store.put(key, data, expect=expect)
                    said.append("put")
                else:
                    await store.delete(key, expect=expect)
                    revisions.pop(key, None)
                    said.append("deleted")
            except Conflict as error:
                said.append(("conflict", error.revision == revisions.get(key, 0)))
        found = await store.scan("")
        assert {key: stored.revision for key, stored in found} == revisions
        logs = {key: [repr(each.value) for each in await store.read(key)] for _, key, _, _ in steps}
        await store.close()
        order = sorted(revisions, key=revisions.get)
        return said, [(key, repr(stored.value)) for key, stored in found], order, logs

    async def main():
        return await run_on(await SqliteStore.open(folder / "state.db")), await run_on(MemoryStore())

    one, other = asyncio.run(main())
    assert one == other
