"""``adapter:database`` ``sqlite`` keeps the promises of the category, and its own."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from oneiric_hookspecs import Key

from oneiric.plugins.database import sqlite as plugin
from oneiric.plugins.database.sqlite import Settings, SqliteDatabase
from oneiric.testing.adapters import DatabaseConformance


def database_threads():
    return [each for each in threading.enumerate() if each.name == "oneiric-sqlite-database"]


class TestSqlite(DatabaseConformance):
    """The category."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path
        yield
        assert database_threads() == []

    async def open(self, place, **settings):
        more = {"path": str(self.folder / place), "synchronous": "normal"}
        return await plugin.create(settings=Settings(**more | settings))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop #1?.db"


@pytest.fixture
def on_disk(run, path):
    """``on_disk(body, **settings)``: run ``body(database)``, then nothing is left."""

    def on_disk(body, **settings):
        async def main():
            more = {"path": str(path), "synchronous": "normal"}
            database = await plugin.create(settings=Settings(**more | settings))
            try:
                return await body(database)
            finally:
                await database.aclose()

        result = run(main)
        assert database_threads() == []
        return result

    return on_disk


async def make(database):
    await database.execute("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
    await database.execute("CREATE TABLE children (parent REFERENCES parents)")


def test_what_is_set(on_disk):
    """Foreign keys, the write-ahead log and how much is flushed are as the settings say."""

    async def body(database):
        names = ("journal_mode", "foreign_keys", "synchronous")
        return [(await database.fetch(f"PRAGMA {name}"))[0][0] for name in names]

    assert on_disk(body) == ["wal", 1, 1]
    assert on_disk(body, foreign_keys=False, synchronous="full") == ["wal", 0, 2]


def test_foreign_keys(on_disk):
    """A reference to what is not there is refused, unless the settings say otherwise."""

    async def body(database):
        with contextlib.suppress(sqlite3.OperationalError):
            await make(database)
        return await database.execute("INSERT INTO children VALUES (7)")

    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY constraint failed"):
        on_disk(body)
    assert on_disk(body, foreign_keys=False) == 1


def test_values(on_disk):
    """What SQLite keeps comes back as it was; anything else is refused, and not made something else of."""
    kept = [None, 1, -(2**63), 1.5, "naïve\0🦆", b"\0\xff", "", b""]

    async def body(database):
        rows = await database.fetch("SELECT " + ", ".join("?" * len(kept)), kept)
        for value, kind in (
            (object(), TypeError),
            ({}, TypeError),
            (float("nan"), ValueError),
            (2**63, OverflowError),
        ):
            with pytest.raises(kind):
                await database.fetch("SELECT ?", [value])
            with pytest.raises(kind):
                await database.fetch("SELECT :a", {"a": value})
        return rows

    assert on_disk(body) == [tuple(kept)]


def test_two_columns_of_one_name(on_disk):
    """They cannot both be in a dict; as tuples they can."""

    async def body(database):
        with pytest.raises(
            ValueError, match=r"^two columns are called 'a': name them by AS, or fetch tuples$"
        ):
            await database.fetch_dicts("SELECT 1 AS a, 2 AS a")
        return await database.fetch("SELECT 1 AS a, 2 AS a")

    assert on_disk(body) == [(1, 2)]


def test_too_many_rows(on_disk):
    """They are an error, and what the statement would have changed is as it was."""

    async def body(database):
        await database.execute("CREATE TABLE t (x)")
        for statement in (
            "INSERT INTO t VALUES (1), (2), (3)",
            "INSERT INTO t VALUES (1), (2), (3), (4) RETURNING x",
        ):
            with contextlib.suppress(ValueError):
                await database.fetch(statement)
        three = await database.fetch("SELECT x FROM t")
        await database.execute("INSERT INTO t VALUES (4)")
        with pytest.raises(
            ValueError, match=r"^there are more than 3 rows \(max_rows\): ask for fewer, by LIMIT$"
        ):
            await database.fetch("SELECT x FROM t")
        return three, await database.fetch("SELECT x FROM t LIMIT 3")

    assert on_disk(body, max_rows=3) == ([(1,), (2,), (3,)],) * 2


@pytest.mark.parametrize("statement", ["BEGIN", "begin immediate;", "SAVEPOINT a", " \n BEGIN"])
def test_transactions_are_not_begun_by_statements(on_disk, statement):
    """They would be everybody's."""

    async def body(database):
        with pytest.raises(ValueError, match="begun by transaction"):
            await database.execute(statement)
        return await database.fetch("SELECT 1")

    assert on_disk(body) == [(1,)]


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK", "END"])
def test_transactions_are_not_ended_by_statements(on_disk, statement):
    """What follows would not be in it."""

    async def body(database):
        await database.execute("CREATE TABLE t (x)")
        with pytest.raises(ValueError, match="ended by the end of its block"):
            async with database.transaction() as queries:
                await queries.execute(statement)
                await queries.execute("INSERT INTO t VALUES (1)")
        return await database.fetch("SELECT * FROM t")

    assert on_disk(body) == []


def test_statements_that_cannot_be_in_a_transaction(on_disk):
    """They work outside one; two statements in one call do not."""

    async def body(database):
        await database.execute("VACUUM")
        await database.execute("pragma user_version = 7")
        with pytest.raises(sqlite3.ProgrammingError, match="one statement at a time"):
            await database.execute("SELECT 1; SELECT 2")
        return await database.fetch("PRAGMA user_version")

    assert on_disk(body) == [(7,)]


def test_who_waits_for_a_transaction_does_not_wait_for_ever(on_disk):
    """Its own time counts, also where it has not begun."""

    async def body(database):
        async with database.transaction():
            other = asyncio.ensure_future(database.fetch("SELECT 1", timeout=5.0))
            with pytest.raises(TimeoutError, match="^the statement did not begin in time: others are at it$"):
                await other
            return asyncio.get_running_loop().time()

    assert on_disk(body) == pytest.approx(5.0, abs=0.5)


def test_the_timeout_of_the_settings(on_disk):
    """It is for statements that bring none."""
    forever = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"

    async def body(database):
        with pytest.raises(TimeoutError, match="^the statement took too long, and was stopped$"):
            await database.fetch(forever)
        return await database.fetch("SELECT 1")

    assert on_disk(body, timeout=0.05) == [(1,)]


def test_a_lock_of_another_process(on_disk, path):
    """It is waited for as long as the settings say, or as the statement has; then there is an error."""

    async def body(database):
        await database.execute("CREATE TABLE t (x)")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            read = await database.fetch("SELECT * FROM t")
            with pytest.raises(sqlite3.OperationalError, match="database is locked"):
                await database.execute("INSERT INTO t VALUES (1)")
        async with database.transaction() as queries:
            await queries.execute("INSERT INTO t VALUES (2)")
        return read, await database.fetch("SELECT * FROM t")

    assert on_disk(body, busy_timeout=0.02) == ([], [(2,)])

    async def hurried(database):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await database.execute("INSERT INTO t VALUES (1)", timeout=0.02)
            took = time.monotonic() - began
        return took < 10, await database.fetch("PRAGMA busy_timeout")

    assert on_disk(hurried, busy_timeout=20.0) == (True, [(20_000,)])


def test_read_only(on_disk, path):
    """Nothing can be changed, in a transaction neither; and no file is made."""

    async def body(database):
        for change in ("INSERT INTO t VALUES (2)", "CREATE TABLE u (x)"):
            with pytest.raises(sqlite3.OperationalError, match="attempt to write a readonly database"):
                await database.execute(change)
            with pytest.raises(sqlite3.OperationalError, match="attempt to write a readonly database"):
                async with database.transaction() as queries:
                    await queries.execute(change)
        return await database.fetch("SELECT * FROM t"), (await database.health()).status

    with pytest.raises(OSError, match="unable to open database file"):
        on_disk(body, read_only=True)
    assert (list(path.parent.iterdir()), database_threads()) == ([], [])
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.executescript("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    assert on_disk(body, read_only=True) == ([(1,)], "ok")


def test_closing_rolls_back(on_disk):
    """A transaction that is open when the database is closed has not been."""

    async def body(database):
        await database.execute("CREATE TABLE t (x)")
        with pytest.raises(RuntimeError, match="the database is closed"):
            async with database.transaction() as queries:
                await queries.execute("INSERT INTO t VALUES (1)")
                await database.aclose()

    async def left(database):
        return await database.fetch("SELECT * FROM t")

    on_disk(body)
    assert on_disk(left) == []


KILLED = """
    import asyncio, sys
    from oneiric.plugins.database.sqlite import Settings, create

    async def main(path):
        database = await create(settings=Settings(path=path, synchronous="normal"))
        await database.execute("CREATE TABLE t (x)")
        await database.execute("INSERT INTO t VALUES ('kept')")
        async with database.transaction() as queries:
            await queries.execute("INSERT INTO t VALUES ('lost')")
            print("begun", flush=True)
            await asyncio.sleep(60)

    asyncio.run(main(sys.argv[1]))
"""


def test_killed_in_the_middle(on_disk, path):
    """After kill -9 what was committed is there, and nothing of the transaction; nobody has to wait."""
    words = [sys.executable, "-c", textwrap.dedent(KILLED), str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        process.kill()

    async def left(database):
        await database.execute("INSERT INTO t VALUES ('new')")
        return await database.fetch("SELECT x FROM t")

    assert on_disk(left) == [("kept",), ("new",)]


def test_health(on_disk, path):
    """It is well while its file is there, in a transaction, too; when that is gone, it says so."""

    async def body(database):
        await database.execute("CREATE TABLE t (x)")
        async with database.transaction():
            seen = [await database.health()]
        path.rename(path.with_name("moved"))
        return [*seen, await database.health()]

    well, gone = on_disk(body)
    assert (well.status, well.reason, well.details["file"], well.details["bytes"] > 0) == (
        "ok",
        "",
        str(path),
        True,
    )
    assert (gone.status, gone.reason) == (
        "failed",
        f"the database file {path} was deleted, or is another one; reload the database",
    )


def test_a_file_of_something_else(on_disk, path):
    """It cannot be opened, and is left as it is."""
    path.write_bytes(b"a text" * 1000)

    async def body(database):
        pass

    with pytest.raises(OSError, match="file is not a database"):
        on_disk(body)
    assert (path.read_bytes(), database_threads()) == (b"a text" * 1000, [])


def test_a_temporary_one(on_disk, tmp_path):
    """Without a path it is in a nameless file, which goes with it."""

    async def body(database):
        await make(database)
        return (await database.health()).details["file"]

    assert (on_disk(body, path=None), list(tmp_path.iterdir())) == (None, [])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": ":memory:"}, "path is the name of a file; leave it out for one that goes at the end"),
        ({"read_only": True}, "read_only is for a file that is there: set path, too"),
        ({"timeout": 0.0}, "timeout is a number of seconds, more than 0, found 0.0"),
        ({"timeout": float("inf")}, "timeout is at most 604800 seconds, found inf"),
        ({"max_rows": 0}, "max_rows is a whole number, at least 1, found 0"),
        ({"synchronous": "off"}, "'synchronous' must be in"),
    ],
    ids=str,
)
def test_settings_are_checked(settings, message):
    """What cannot be meant is refused when it is read."""
    with pytest.raises(ValueError, match=message):
        Settings(**settings)


def test_by_hand(run):
    """One that was made by hand says how it is made."""

    async def main():
        database = SqliteDatabase(Settings())
        with pytest.raises(RuntimeError, match="make it by SqliteDatabase.open"):
            await database.fetch("SELECT 1")
        await database.aclose()

    run(main)


def test_it_is_declared():
    """The built-in provider of ``adapter:database``."""
    (candidate,) = plugin.oneiric_candidates()
    assert (candidate.key, candidate.provider) == (Key.of("adapter", "database"), "sqlite")
