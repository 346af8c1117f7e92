"""Keeping state in the SQLite store: what a change costs, and that it does not grow with what is there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import Pace, Sample, race, repeat, repeat_async
from lines import Line, Row, above

from oneiric import Runtime, assemble

_VALUE = {"provider": "redis", "mark": {"actor": "ann", "at": 1_700_000_000.5, "note": "moving"}}


def _bare(db: sqlite3.Connection) -> Sample:
    """A record is appended to a table with a write-ahead log, by hand, in this thread."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE records (number INTEGER PRIMARY KEY, value TEXT)")
    text = '{"provider":"redis","mark":{"actor":"ann","at":1700000000.5,"note":"moving"}}'

    def append() -> None:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO records (value) VALUES (?)", (text,))
        db.execute("COMMIT")

    return repeat("append()", append=append)


async def _opened(folder: Path, keys: int) -> Runtime:
    runtime = assemble({"app": {"state_dir": os.fspath(folder)}}, environment=False)
    await runtime.start()
    for number in range(keys):
        await runtime.state.put(f"desired/pins/adapter:name{number}", _VALUE)
    return runtime


def state(pace: Pace) -> Iterator[Line]:
    """A value is put, a record appended, a value read, and a folder asked whether anything in it has changed; awaited
    one by one, each in the store's thread and back.  Plain: one append to a table with a write-ahead log, by hand, in
    the caller's thread; what it takes longer is the way to the other thread and back.  Flat: seconds among
    10,000 keys and among 100, divided.
    """
    large = 1_000 if pace.short else 10_000
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner() as runner,
        contextlib.closing(sqlite3.connect(Path(folder, "bare.db"), isolation_level=None)) as bare,
    ):
        few, many = (runner.run(_opened(Path(folder, str(keys)), keys)) for keys in (100, large))
        try:
            plain = _bare(bare)
            turns = {
                "put": ("await put(next(keys), value)", lambda store: {"put": store.put, "value": _VALUE}),
                "append": (
                    "await append('history', value)",
                    lambda store: {"append": store.append, "value": _VALUE},
                ),
                "get": ("await get(next(keys))", lambda store: {"get": store.get}),
                "unchanged": ("await revision('desired/')", lambda store: {"revision": store.revision}),
            }
            for name, (statement, names) in turns.items():
                times = race(
                    {
                        "plain": plain,
                        "ours": repeat_async(runner, statement, keys=_keys(100), **names(few.state)),
                        "many": repeat_async(runner, statement, keys=_keys(large), **names(many.state)),
                    },
                    pace,
                )
                grown = times.pop("many").best / times["ours"].best
                yield above(f"{name}, above the append", times, 200e-6)
                yield Line(f"{name}, flat: {large:,} keys to 100", grown, "×", 1.5)
        finally:
            runner.run(few.close())
            runner.run(many.close())


def _keys(count: int) -> Iterator[str]:
    return itertools.cycle([f"desired/pins/adapter:name{number}" for number in range(0, count, 7)])


ROWS = (Row("state", state),)
