"""The tables of the journal of runs, and what is done in them; each function is one transaction, or one read.

What a run costs does not depend on how many there are: a row, and a row for each step that has ended.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

import attrs
from oneiric_hookspecs import JSON, Run, RunState, StepRun

from oneiric.plugins._sqlite import transaction
from oneiric.plugins._state import decode

#: Marks a file as ours, in SQLite's header ("OnRu"); and the version of the schema below.
APPLICATION, SCHEMA = 0x4F6E5275, 1
CREATE = (
    """CREATE TABLE runs (
           number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL,
           state TEXT NOT NULL, key TEXT, payload TEXT, version TEXT NOT NULL, result TEXT, error TEXT,
           submitted REAL NOT NULL, started REAL, ended REAL, node TEXT NOT NULL,
           owner TEXT, asked INTEGER NOT NULL DEFAULT 0
       )""",
    "CREATE UNIQUE INDEX by_key ON runs (kind, name, key) WHERE key IS NOT NULL",
    "CREATE INDEX by_owner ON runs (owner) WHERE ended IS NULL",
    "CREATE INDEX by_end ON runs (ended) WHERE ended IS NOT NULL",
    """CREATE TABLE steps (
           number INTEGER PRIMARY KEY, run TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, result TEXT,
           error TEXT, started REAL NOT NULL, ended REAL NOT NULL, UNIQUE (run, name)
       )""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)
_SELECT = """SELECT id, kind, name, state, key, payload, version, result, error, submitted, started, ended, node, owner
             FROM runs"""
_WHICH = """ WHERE :kind IN ('', kind) AND :name IN ('', name)
             AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states))) ORDER BY number DESC"""

#: Whether who has that token lives.
Lives = Callable[[str | None], bool]


@attrs.frozen
class Place:
    """Who looks into the tables.

    Args:
        where: The file, for what is said.
        lives: Whether who has a token lives.
        token: One's own.
    """

    where: str
    lives: Lives
    token: str


def take(db: sqlite3.Connection, place: Place, run: Run, payload: str | None) -> Run | None:
    """Insert a run of one's own; or give the one that has its key."""
    row = (run.id, run.kind, run.name, run.state, run.key, payload, run.version, run.submitted, run.started)
    while True:
        inserted = db.execute(
            """INSERT INTO runs (id, kind, name, state, key, payload, version, submitted, started, node, owner)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT (kind, name, key) WHERE key IS NOT NULL DO NOTHING""",
            (*row, run.node, place.token),
        )
        if inserted.rowcount:
            return None
        there = db.execute(
            f"{_SELECT} WHERE kind = ? AND name = ? AND key = ?",
            (run.kind, run.name, run.key),
        ).fetchone()
        if there is not None:  # else it was forgotten in this very moment
            return _run(there, place)


def drop(db: sqlite3.Connection, place: Place, run: str) -> None:
    """Take back a run of one's own that was not begun."""
    db.execute("DELETE FROM runs WHERE id = ? AND owner = ?", (run, place.token))


def began(db: sqlite3.Connection, place: Place, run: str, at: float) -> int:
    """A run of one's own goes on; how many rows that was."""
    return db.execute(
        "UPDATE runs SET state = 'running', started = coalesce(started, ?) WHERE id = ? AND owner = ?",
        (at, run, place.token),
    ).rowcount


def ended(db: sqlite3.Connection, place: Place, run: Run, result: str | None) -> int:
    """A run of one's own has ended; how many rows that was."""
    return db.execute(
        """UPDATE runs SET state = ?, ended = ?, result = ?, error = ?, owner = NULL, asked = 0
           WHERE id = ? AND owner = ?""",
        (run.state, run.ended, result, run.error, run.id, place.token),
    ).rowcount


def let_go(db: sqlite3.Connection, place: Place, runs: Iterable[str]) -> None:
    """Runs of one's own are nobody's."""
    with transaction(db):
        db.executemany(
            "UPDATE runs SET state = 'lost', owner = NULL WHERE id = ? AND owner = ?",
            [(run, place.token) for run in runs],
        )


def claim(db: sqlite3.Connection, place: Place, found: Run, again: Run) -> bool:
    """Make a run one's own, if it is as it was found."""
    with transaction(db):
        now = get(db, place, found.id)
        if now is None or (now.state, now.ended) != (found.state, found.ended):
            return False
        db.execute(
            """UPDATE runs SET state = ?, owner = ?, node = ?, ended = NULL, result = NULL, error = NULL, asked = 0
               WHERE id = ?""",
            (again.state, place.token, again.node, found.id),
        )
    return True


def ask(db: sqlite3.Connection, place: Place, run: str, at: float) -> bool:
    """Have a run end: one that is nobody's at once, another when its owner looks."""
    with transaction(db):
        found = get(db, place, run)
        if found is None or found.over:
            return False
        if found.state == "lost":
            db.execute("UPDATE runs SET state = 'cancelled', ended = ?, owner = NULL WHERE id = ?", (at, run))
        else:
            db.execute("UPDATE runs SET asked = 1 WHERE id = ?", (run,))
    return True


def asked(db: sqlite3.Connection, place: Place) -> list[str]:
    """The runs of one's own that are to end."""
    rows = db.execute("SELECT id FROM runs WHERE owner = ? AND ended IS NULL AND asked", (place.token,))
    return [row[0] for row in rows]


def get(db: sqlite3.Connection, place: Place, run: str) -> Run | None:
    """A run as it is."""
    row = db.execute(f"{_SELECT} WHERE id = ?", (run,)).fetchone()
    return None if row is None else _run(row, place)


def runs(
    db: sqlite3.Connection, place: Place, kind: str, name: str, states: frozenset[RunState], limit: int
) -> list[Run]:
    """Runs of a kind, a name, in one of some states; newest first."""
    # What is queued or running may be lost.
    stored = sorted(states | {"queued", "running"} if "lost" in states else states)
    found: list[Run] = []
    rows = db.execute(_SELECT + _WHICH, {"kind": kind, "name": name, "states": json.dumps(stored)})
    for row in rows:
        run = _run(row, place)
        if not states or run.state in states:
            found.append(run)
            if len(found) >= limit:
                break
    return found


def step(db: sqlite3.Connection, place: Place, run: str, step: StepRun, result: str | None) -> int:
    """A step of a run of one's own has ended; how many rows that was."""
    return db.execute(
        """INSERT OR REPLACE INTO steps (run, name, state, result, error, started, ended)
           SELECT id, ?, ?, ?, ?, ?, ? FROM runs WHERE id = ? AND owner = ?""",
        (step.name, step.state, result, step.error, step.started, step.ended, run, place.token),
    ).rowcount


def steps(db: sqlite3.Connection, place: Place, run: str) -> list[StepRun]:
    """A run's steps, in the order they ended."""
    rows = db.execute(
        "SELECT name, state, result, error, started, ended FROM steps WHERE run = ? ORDER BY number", (run,)
    )
    return [
        StepRun(name, state, _value(result, f"step {name} of run {run}", place), error, started, ended)
        for name, state, result, error, started, ended in rows
    ]


def prune(db: sqlite3.Connection, place: Place, keep: int, oldest: float) -> None:
    """Forget what ended before *oldest*, or before the last *keep*; and what nobody has resumed since."""
    with transaction(db):
        last = db.execute(
            "SELECT ended FROM runs WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT 1 OFFSET ?", (keep,)
        ).fetchone()
        gone = [
            row[0]
            for row in db.execute(
                "SELECT id FROM runs WHERE ended IS NOT NULL AND (ended < ? OR ended <= ?)",
                (oldest, oldest if last is None else last[0]),
            )
        ]
        gone += [
            row[0]
            for row in db.execute(
                "SELECT id, owner FROM runs WHERE ended IS NULL AND submitted < ?", (oldest,)
            )
            if not place.lives(row[1])
        ]
        for each in gone:
            db.execute("DELETE FROM steps WHERE run = ?", (each,))
            db.execute("DELETE FROM runs WHERE id = ?", (each,))


def _run(row: tuple[Any, ...], place: Place) -> Run:
    *facts, owner = row
    identity, kind, name, state, key, payload, version, result, error, submitted, started, end, node = facts
    if state in ("queued", "running") and not place.lives(owner):
        state = "lost"
    return Run(
        identity,
        kind,
        name,
        state,
        key,
        _value(payload, f"the payload of run {identity}", place),
        version,
        _value(result, f"the result of run {identity}", place),
        error,
        submitted,
        started,
        end,
        node,
    )


def _value(text: str | None, what: str, place: Place) -> JSON:
    return None if text is None else decode(text, what, place.where)
