"""A file of an older schema is brought up to date as a whole or not at all, wherever the process dies in between."""

import asyncio
import contextlib
import signal
import sqlite3

import pytest
from oneiric_hookspecs import StateError

from oneiric.plugins.stores import _tables
from oneiric.plugins.stores.sqlite import SqliteStore

#: Two versions later: a column with what it is to hold, another table with what was elsewhere, and one that is gone.
LATER = (
    (
        "ALTER TABLE entries ADD COLUMN size INTEGER NOT NULL DEFAULT 0",
        "UPDATE entries SET size = length(value)",
        "CREATE INDEX entries_by_size ON entries (size)",
    ),
    (
        "CREATE TABLE beats (node TEXT PRIMARY KEY, info TEXT NOT NULL) WITHOUT ROWID",
        "INSERT INTO beats SELECT node, info FROM nodes",
        "DROP TABLE nodes",
    ),
)
STATEMENTS = sum(map(len, LATER))

#: The steps, in a process that kills itself before one of their statements; the last is after all of them.
KILLED = f"""
    import signal
    from oneiric.plugins.stores import _tables
    LATER = {LATER!r}
    left = list(range(int(sys.argv[1])))
    def dying(step):
        for statement in step:
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left.pop()
            yield statement
    class Steps(tuple):
        def __getitem__(self, which):
            # The generators of the later steps are made when they are asked for.
            return [*_tables.STEPS, *map(dying, LATER)][which]
    store = await SqliteStore.open(PATH, steps=Steps(range(len(_tables.STEPS) + len(LATER))))
    os.kill(os.getpid(), signal.SIGKILL)
"""


async def filled(path):
    """A file of the schema of today, closed."""
    store = await SqliteStore.open(path)
    for number in range(30):
        await store.put(f"a/{number}", {"n": number, "pad": "x" * 1000})
    await store.append("log", "first")
    await store.beat("node", {"pid": 1}, 60.0)
    await store.close()


def contents(path):
    """The version of a file, its tables, and whether it is sound."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        columns = {row[1] for row in db.execute("PRAGMA table_info(entries)")}
        sound = db.execute("PRAGMA integrity_check").fetchone()[0]
        rows = db.execute("SELECT count(*), sum(length(value)) FROM entries").fetchone()
    return version, "beats" in tables, "nodes" in tables, "size" in columns, sound, rows


OLD = (len(_tables.STEPS), False, True, False, "ok")
NEW = (len(_tables.STEPS) + len(LATER), True, False, True, "ok")


@pytest.mark.once
@pytest.mark.parametrize("before", range(STATEMENTS + 1))
def test_killed_before_any_statement_it_is_old_or_new(process, tmp_path, before):
    """By -9: the file is what it was, or all of what it is to be; and is brought there by whoever opens it next."""
    path = tmp_path / "state.db"
    asyncio.run(filled(path))
    rows = contents(path)[-1]

    dying = process(KILLED, before)
    out, err = dying.communicate(timeout=60)
    assert (out, err, dying.returncode) == ("", "", -signal.SIGKILL)
    assert contents(path) == (*(OLD if before < STATEMENTS else NEW), rows)

    async def again():
        if before < STATEMENTS:  # the version of today goes on with it
            store = await SqliteStore.open(path)
            assert [each.value for each in await store.read("log")] == ["first"]
            await store.close()
        store = await SqliteStore.open(path, steps=(*_tables.STEPS, *LATER))
        found = await store.scan("a/")
        await store.close()
        return len(found)

    assert asyncio.run(again()) == 30
    assert contents(path) == (*NEW, rows)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["state.db"]


@pytest.mark.once
def test_killed_at_any_moment_it_is_old_or_new(process, tmp_path):
    """Also while the change is written down."""
    path, found = tmp_path / "state.db", set()
    body = f"""
        LATER = {LATER!r}
        from oneiric.plugins.stores import _tables
        print("begin", flush=True)
        store = await SqliteStore.open(PATH, steps=(*_tables.STEPS, *LATER))
        print("done", flush=True)
        await asyncio.sleep(60)
    """
    for turn in range(6):
        for each in tmp_path.iterdir():
            each.unlink()
        asyncio.run(filled(path))
        rows = contents(path)[-1]
        dying = process(body)
        dying.stdout.readline()
        with contextlib.suppress(Exception):
            dying.wait(turn * 0.002)
        dying.kill()
        _, err = dying.communicate()
        assert err == ""
        now = contents(path)
        assert now in ((*OLD, rows), (*NEW, rows))
        found.add(now[0])
    assert found <= {OLD[0], NEW[0]}


def test_two_versions_at_once(tmp_path):
    """Whoever has the older one open when it is brought up to date is told at the next start, and harms nothing."""
    path = tmp_path / "state.db"

    async def main():
        await filled(path)
        newer = await SqliteStore.open(path, steps=(*_tables.STEPS, *LATER[:1]))
        both = await asyncio.gather(
            *(SqliteStore.open(path, steps=(*_tables.STEPS, *LATER[:1])) for _ in range(4))
        )
        found = [len(await store.scan("a/")) for store in (newer, *both)]
        with pytest.raises(
            StateError, match=r"a later version has written it \(schema 2; this one knows up to 1\)"
        ):
            await SqliteStore.open(path)
        for store in (newer, *both):
            await store.close()
        return found

    assert asyncio.run(main()) == [30] * 5
