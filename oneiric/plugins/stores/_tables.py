"""The tables of the SQLite state store, and what is done in them; each function is one transaction, or one read.

What a change costs does not depend on how much is stored: a row, a row for each folder it is in, and for a record the
row of its log.  ``folders`` is what makes ``revision`` cheap: each folder has the revision of the last change below it,
and that of ``""`` is the store's.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from oneiric_hookspecs import Record, Retention

from oneiric.plugins._sqlite import snapshot, transaction
from oneiric.plugins._state import MAX_FOLDERS, Clocks, after, conflict, decode, folder_of, folders_of

#: Marks a file as ours, in SQLite's header ("OnSt").
APPLICATION = 0x4F6E5374
#: What leads from each version of the schema to the next; their number is the version of this module.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        # A revision that was given is never given again, nor after a file was lost and another begun: see ``_next``.
        "CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE folders (path TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID",
        # How many folders there are, and the highest revision of those that were forgotten.
        "CREATE TABLE forgotten (folders INTEGER NOT NULL, revision INTEGER NOT NULL)",
        "INSERT INTO forgotten VALUES (0, 0)",
        "CREATE TABLE logs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL)",
        """CREATE TABLE records (
               log INTEGER NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL, value TEXT NOT NULL,
               PRIMARY KEY (log, number)
           ) WITHOUT ROWID""",
        """CREATE TABLE nodes (
               node TEXT PRIMARY KEY, info TEXT NOT NULL, ttl REAL NOT NULL,
               wall REAL NOT NULL, monotonic REAL NOT NULL, boot TEXT NOT NULL
           ) WITHOUT ROWID""",
    ),
)
#: How many records that are too many, or too old, an append drops: it bounds what it costs.
_DROPPED = 32


def version_of(db: sqlite3.Connection) -> int | None:
    """The version of the schema; 0 for an empty file, None for a database of something else."""
    with snapshot(db):  # somebody else may be making it
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        application = db.execute("PRAGMA application_id").fetchone()[0]
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == APPLICATION:
        return version
    return None if application or version or tables else 0


def migrate(db: sqlite3.Connection, steps: Sequence[Iterable[str]]) -> None:
    """Bring the schema to the version of *steps*; to be called in a transaction."""
    done = version_of(db)
    assert done is not None
    for step in steps[done:]:
        for statement in step:
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {len(steps)}")


# --- values --------------------------------------------------------------------------------------------------------


def get(db: sqlite3.Connection, key: str) -> tuple[str, int] | None:
    """The text and the revision of *key*."""
    row: tuple[str, int] | None = db.execute(
        "SELECT value, revision FROM entries WHERE key = ?", (key,)
    ).fetchone()
    return row


def put(db: sqlite3.Connection, key: str, text: str, expect: int | None, clocks: Clocks) -> int:
    """Set *key*; its revision.  Raises: Conflict."""
    with transaction(db):
        if expect is not None:
            _expect(db, key, expect)
        revision = _next(db, key, clocks)
        db.execute(
            """INSERT INTO entries VALUES (?, ?, ?)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision""",
            (key, text, revision),
        )
    return revision


def delete(db: sqlite3.Connection, key: str, expect: int | None, clocks: Clocks) -> bool:
    """Remove *key*; whether it was there.  Raises: Conflict."""
    with transaction(db):
        if not _expect(db, key, expect):
            return False
        db.execute("DELETE FROM entries WHERE key = ?", (key,))
        _next(db, key, clocks)
    return True


def _expect(db: sqlite3.Connection, key: str, expect: int | None) -> int:
    row = db.execute("SELECT revision FROM entries WHERE key = ?", (key,)).fetchone()
    found: int = 0 if row is None else row[0]
    if expect is not None and found != expect:
        raise conflict(key, expect, found)
    return found


def scan(db: sqlite3.Connection, prefix: str) -> list[tuple[str, str, int]]:
    """Key, text and revision of everything that begins with *prefix*, by key."""
    return _below(db, "key, value, revision", prefix)


def numbers(db: sqlite3.Connection, prefix: str) -> dict[str, int]:
    """The revision of everything that begins with *prefix*."""
    return dict(_below(db, "key, revision", prefix))


def _below(db: sqlite3.Connection, columns: str, prefix: str) -> list[Any]:
    end = after(prefix)
    where, bounds = ("key >= ?", [prefix]) if end is None else ("key >= ? AND key < ?", [prefix, end])
    # Columns and condition are literals of this module.
    return db.execute(f"SELECT {columns} FROM entries WHERE {where} ORDER BY key", bounds).fetchall()  # noqa: S608


# --- revisions -----------------------------------------------------------------------------------------------------


def revision(db: sqlite3.Connection, prefix: str) -> int:
    """The revision of the innermost folder that *prefix* is in."""
    row = db.execute("SELECT revision FROM folders WHERE path = ?", (folder_of(prefix),)).fetchone()
    if row is None:
        row = db.execute("SELECT revision FROM forgotten").fetchone()
    found: int = row[0]
    return found


def _next(db: sqlite3.Connection, key: str, clocks: Clocks) -> int:
    """The store's next revision, which the folders of *key* have from now on."""
    store, *folders = folders_of(key)
    row = db.execute(
        "UPDATE folders SET revision = revision + 1 WHERE path = ? RETURNING revision", (store,)
    ).fetchone()
    if row is None:
        # By the clock, and not 1: whoever remembers a revision of the file that was here before is not to meet it
        # again with another meaning.
        row = (max(1, int(clocks.wall() * 1000)),)
        db.execute("INSERT INTO folders VALUES (?, ?)", (store, *row))
    number: int = row[0]
    for folder in folders:
        if not db.execute("UPDATE folders SET revision = ? WHERE path = ?", (number, folder)).rowcount:
            _add_folder(db, folder, number)
    return number


def _add_folder(db: sqlite3.Connection, folder: str, number: int) -> None:
    db.execute("INSERT INTO folders VALUES (?, ?)", (folder, number))
    (count,) = db.execute("UPDATE forgotten SET folders = folders + 1 RETURNING folders").fetchone()
    if count <= MAX_FOLDERS:
        return
    # Those at rest for longest share the highest revision among them: nobody takes that for an older one.  Half of
    # them at once, so that it happens once in thousands of changes.
    half = MAX_FOLDERS // 2
    (highest,) = db.execute(
        "SELECT max(revision) FROM (SELECT revision FROM folders WHERE path != '' ORDER BY revision LIMIT ?)",
        (half,),
    ).fetchone()
    gone = db.execute("DELETE FROM folders WHERE path != '' AND revision <= ?", (highest,)).rowcount
    db.execute("UPDATE forgotten SET folders = folders - ?, revision = ?", (gone, highest))


# --- logs ----------------------------------------------------------------------------------------------------------


def append(db: sqlite3.Connection, log: str, text: str, at: float, keep: Retention) -> int:
    """Add a record, and drop what is beyond the limits; its number."""
    with transaction(db):
        row = db.execute(
            "UPDATE logs SET last = last + 1 WHERE name = ? RETURNING id, last", (log,)
        ).fetchone()
        if row is None:
            row = db.execute(
                "INSERT INTO logs (name, last) VALUES (?, 1) RETURNING id, last", (log,)
            ).fetchone()
        place, number = row
        db.execute("INSERT INTO records VALUES (?, ?, ?, ?)", (place, number, at, text))
        gone = 0
        with contextlib.closing(
            db.execute(
                "SELECT number, at FROM records WHERE log = ? ORDER BY number LIMIT ?", (place, _DROPPED)
            )
        ) as oldest:
            for each, when in oldest:  # as a rule the first is to stay, and no other is looked at
                if each > number - keep.records and when >= at - keep.seconds:
                    break
                gone = each
        if gone:
            db.execute("DELETE FROM records WHERE log = ? AND number <= ?", (place, gone))
    return int(number)


def read(
    db: sqlite3.Connection, log: str, after_number: int, limit: int, keep: Retention
) -> list[tuple[int, float, str]]:
    """Records of *log* above *after_number* and within the limit of their number, oldest first."""
    row = db.execute("SELECT id, last FROM logs WHERE name = ?", (log,)).fetchone()
    if row is None:
        return []
    place, last = row
    return db.execute(
        "SELECT number, at, value FROM records WHERE log = ? AND number > ? ORDER BY number LIMIT ?",
        (place, max(after_number, last - keep.records), limit),
    ).fetchall()


def as_records(rows: Iterable[tuple[int, float, str]], log: str, where: str) -> list[Record]:
    """Rows of a log as values.  Raises: Corrupt."""
    return [Record(number, at, decode(text, f"record {number} of {log}", where)) for number, at, text in rows]


# --- nodes ---------------------------------------------------------------------------------------------------------


def beat(db: sqlite3.Connection, node: str, info: str, ttl: float, clocks: Clocks) -> None:
    """Write down that *node* lives; when a new one comes, those whose time is over are dropped."""
    with transaction(db):
        new = (
            db.execute(
                "UPDATE nodes SET info = ?, ttl = ?, wall = ?, monotonic = ?, boot = ? WHERE node = ?",
                (info, ttl, *clocks.stamp(), node),
            ).rowcount
            == 0
        )
        if new:
            gone = [(each,) for each, _, _, alive in _nodes(db, clocks) if not alive]
            db.executemany("DELETE FROM nodes WHERE node = ?", gone)
            db.execute("INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?)", (node, info, ttl, *clocks.stamp()))


def nodes(db: sqlite3.Connection, clocks: Clocks) -> list[tuple[str, str, float]]:
    """Those whose time is not over: name, info and age, by name."""
    return [(node, info, age) for node, info, age, alive in _nodes(db, clocks) if alive]


def _nodes(db: sqlite3.Connection, clocks: Clocks) -> list[tuple[str, str, float, bool]]:
    rows = db.execute("SELECT node, info, ttl, wall, monotonic, boot FROM nodes ORDER BY node").fetchall()
    ages = [(node, info, ttl, clocks.since(*stamp)) for node, info, ttl, *stamp in rows]
    return [(node, info, age, age < ttl) for node, info, ttl, age in ages]
