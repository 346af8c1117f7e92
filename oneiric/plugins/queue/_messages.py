"""The tables of ``queue/sqlite``, and what is done to them; each function runs in a transaction of its caller.

``until`` says when a message is ready: 0 now, a time later, NULL never, as it is a dead letter.  A message that becomes
ready gets 0, so that the order among those that are is that of their numbers, and nothing overtakes for ever.  ``span``
is how long it waits in all, so that a clock that was set back can be made up for.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from oneiric_hookspecs import Delivery, QueueCounts

from oneiric.plugins import _sqlite
from oneiric.plugins._queue import token

#: Marks a file as ours, in SQLite's header ("OnQu"); and the version of the schema below.
APPLICATION, SCHEMA = 0x4F6E5175, 1
#: How many seconds a clock may be behind the last time that was written down, and not have been set back.
BEHIND = 1.0

_CREATE = (
    """CREATE TABLE messages (
           number INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL, until REAL, span REAL NOT NULL DEFAULT 0,
           attempts INTEGER NOT NULL DEFAULT 0, receipt TEXT
       )""",
    "CREATE INDEX by_time ON messages (until, number)",
    "CREATE TABLE total (messages INTEGER NOT NULL, bytes INTEGER NOT NULL, seen REAL NOT NULL)",
    """CREATE TRIGGER sent AFTER INSERT ON messages BEGIN
           UPDATE total SET messages = messages + 1, bytes = bytes + length(new.body);
       END""",
    """CREATE TRIGGER gone AFTER DELETE ON messages BEGIN
           UPDATE total SET messages = messages - 1, bytes = bytes - length(old.body);
       END""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)
_MINE = "number = ? AND receipt = ?"


def is_ours(db: sqlite3.Connection, path: Path | None) -> bool:
    """Whether it is a queue already; False where it is empty.  Raises: ValueError: it is something else."""
    return _sqlite.is_ours(db, path, APPLICATION, SCHEMA, "queue")


def create(db: sqlite3.Connection, now: float) -> None:
    """Make the tables."""
    for statement in _CREATE:
        db.execute(statement)
    db.execute("INSERT INTO total VALUES (0, 0, ?)", (now,))


def total(db: sqlite3.Connection) -> tuple[int, int]:
    """How many messages, and how many bytes their bodies have."""
    messages, size = db.execute("SELECT messages, bytes FROM total").fetchone()
    return messages, size


def add(db: sqlite3.Connection, body: bytes, delay: float, now: float) -> str:
    """Add a message; its id."""
    _seen(db, now)
    until = now + delay if delay else 0
    row = db.execute("INSERT INTO messages (body, until, span) VALUES (?, ?, ?)", (body, until, delay))
    return str(row.lastrowid)


def look(db: sqlite3.Connection, now: float) -> tuple[bool, float]:
    """Whether something is ready or due, and when something will be (``inf``: nothing)."""
    with _sqlite.snapshot(db):
        seen = db.execute("SELECT seen FROM total").fetchone()[0]
        first = db.execute("SELECT until FROM messages WHERE until = 0 LIMIT 1").fetchone()
        if first is None:
            first = db.execute("SELECT until FROM messages WHERE until > 0 ORDER BY until LIMIT 1").fetchone()
    if first is None:
        return False, math.inf
    return first[0] <= now or now < seen - BEHIND, first[0]


def settle(db: sqlite3.Connection, max_attempts: int, now: float) -> None:
    """Do what is due: what waited long enough is ready, or dead."""
    _seen(db, now)
    due = "until > 0 AND until <= ?"
    # Conditions are the literals of this module.
    db.execute(f"UPDATE messages SET until = NULL WHERE {due} AND attempts >= ?", (now, max_attempts))  # noqa: S608
    db.execute(f"UPDATE messages SET until = 0 WHERE {due}", (now,))  # noqa: S608


def _seen(db: sqlite3.Connection, now: float) -> None:
    """Keep in mind what time it was; if that is later than now, the clock was set back."""
    seen = db.execute("SELECT seen FROM total").fetchone()[0]
    if now < seen - BEHIND:
        db.execute("UPDATE messages SET until = ? + span WHERE until > ? + span", (now, now))
    if abs(now - seen) > BEHIND:
        db.execute("UPDATE total SET seen = ?", (now,))


def take(db: sqlite3.Connection, limit: int, visibility: float, now: float) -> list[Delivery]:
    """Hold up to *limit* messages that are ready."""
    rows = db.execute(
        "SELECT number, body, attempts FROM messages WHERE until = 0 ORDER BY number LIMIT ?", (limit,)
    ).fetchall()
    taken = []
    for number, body, attempts in rows:
        mark = token()
        db.execute(
            "UPDATE messages SET until = ?, span = ?, attempts = attempts + 1, receipt = ? WHERE number = ?",
            (now + visibility, visibility, mark, number),
        )
        taken.append(Delivery(str(number), body, attempts + 1, f"{number}-{mark}"))
    return taken


def untake(db: sqlite3.Connection, receipt: str) -> None:
    """As if it had not been taken."""
    _change(db, f"SET until = 0, attempts = attempts - 1, receipt = NULL WHERE {_MINE}", receipt)


def delete(db: sqlite3.Connection, receipt: str) -> bool:
    """Delete a message by its receipt, a dead letter too."""
    return bool(db.execute(f"DELETE FROM messages WHERE {_MINE}", _mine(receipt)).rowcount)  # noqa: S608


def hold(db: sqlite3.Connection, receipt: str, visibility: float, now: float) -> bool:
    """Hold a message for *visibility* from now on."""
    return _change(
        db,
        f"SET until = ?, span = ? WHERE {_MINE} AND until IS NOT NULL",
        receipt,
        now + visibility,
        visibility,
    )


def give_back(db: sqlite3.Connection, receipt: str, delay: float, max_attempts: int, now: float) -> bool:
    """Make a message ready after *delay*, or dead where it was received *max_attempts* times."""
    return _change(
        db,
        "SET until = CASE WHEN attempts >= ? THEN NULL ELSE ? END, span = ?, receipt = NULL"
        f" WHERE {_MINE} AND until IS NOT NULL",
        receipt,
        max_attempts,
        now + delay if delay else 0,
        delay,
    )


def counts(db: sqlite3.Connection) -> QueueCounts:
    """How many there are of each."""
    found = db.execute(
        "SELECT sum(until = 0), sum(until > 0 AND receipt IS NULL), sum(until > 0 AND receipt IS NOT NULL),"
        " sum(until IS NULL) FROM messages"
    ).fetchone()
    return QueueCounts(*(each or 0 for each in found))


def dead(db: sqlite3.Connection, limit: int) -> Sequence[Delivery]:
    """Dead letters, in the order of their numbers."""
    rows = db.execute(
        "SELECT number, body, attempts FROM messages WHERE until IS NULL ORDER BY number LIMIT ?", (limit,)
    )
    return [Delivery(str(number), body, attempts) for number, body, attempts in rows]


def revive(db: sqlite3.Connection, id: str) -> bool:
    """Make a dead letter ready."""
    cursor = db.execute(
        "UPDATE messages SET until = 0, span = 0, attempts = 0, receipt = NULL WHERE number = ? AND until IS NULL",
        (_number(id),),
    )
    return bool(cursor.rowcount)


def purge(db: sqlite3.Connection, *, dead: bool) -> int:
    """Delete all messages, or all dead letters."""
    return db.execute("DELETE FROM messages WHERE until IS NULL OR NOT ?", (dead,)).rowcount


def _change(db: sqlite3.Connection, change: str, receipt: str, *values: object) -> bool:
    return bool(db.execute(f"UPDATE messages {change}", (*values, *_mine(receipt))).rowcount)


def _mine(receipt: str) -> tuple[int, str]:
    number, _, mark = receipt.partition("-")
    return _number(number), mark


def _number(text: str) -> int:
    """The number that an id is; 0, which no message has, where it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
