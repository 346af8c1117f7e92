"""The journal of runs in an SQLite file, shared by the processes of one machine.

A write-ahead log: what was written down is there after ``kill -9``; a power cut may take the last moments, and breaks
nothing.  Nothing is made before something is written.  A file that turns out to be damaged is set aside, and another
one begun; a file that is not ours is never touched.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from oneiric_hookspecs import Corrupt, Run, RunState, StateError, StepRun

from oneiric.plugins import _sqlite
from oneiric.plugins._telling import choose, explained

from . import _tables
from ._memory import Gone
from ._owners import Owner

T = TypeVar("T")

log = logging.getLogger("oneiric.plugin.executors.local")

#: After how many runs that have ended here the oldest are forgotten.
PRUNE_EVERY = 100
_SETTING = '[plugins.settings."executors.local"] path'


class FileJournal:
    """A ``Journal`` in a file.

    Args:
        path: The file; beside it is a folder ``NAME.owners`` with a lock for each process.
        keep: How many runs that have ended are kept.
        keep_seconds: For how long.
        busy_timeout: Seconds to wait for another process that writes.
        wall: Seconds since 1970.
    """

    keeps = True

    def __init__(
        self,
        path: Path,
        *,
        keep: int,
        keep_seconds: float,
        busy_timeout: float = 5.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path = path.absolute()  # the working directory may change
        self._keep, self._keep_seconds, self._busy_timeout, self._wall = (
            keep,
            keep_seconds,
            busy_timeout,
            wall,
        )
        self._owner = Owner(self.path.with_name(f"{self.path.name}.owners"))
        self._place = _tables.Place(str(self.path), self._owner.lives, self._owner.token)
        self._closed = False
        self._database = _sqlite.Database.start(self._connect, "runs")
        # The thread's: which file it has open, and how many runs are to end before the next look for old ones.
        self._identity: tuple[int, int] | None = None
        self._until_pruned = 1

    # --- runs ------------------------------------------------------------------------------------------------------

    async def take(self, run: Run, payload: str | None) -> Run | None:
        """As of ``Journal``, like all below."""

        def take(db: sqlite3.Connection) -> Run | None:
            self._owner.hold()
            return _tables.take(db, self._place, run, payload)

        try:
            return await self._write(take)
        except asyncio.CancelledError:
            # Nobody will ever know its id.  In the thread this comes behind the other.
            self._post(lambda db: _tables.drop(db, self._place, run.id))
            raise

    async def drop(self, run: str) -> None:
        await self._write(lambda db: _tables.drop(db, self._place, run))

    async def began(self, run: str, at: float) -> None:
        self._found(await self._write(lambda db: _tables.began(db, self._place, run, at)), run)

    async def ended(self, run: Run, result: str | None) -> None:
        def ended(db: sqlite3.Connection) -> int:
            found = _tables.ended(db, self._place, run, result)
            self._until_pruned -= 1
            if self._until_pruned <= 0:
                _tables.prune(db, self._place, self._keep, self._wall() - self._keep_seconds)
                self._until_pruned = PRUNE_EVERY
            return found

        self._found(await self._write(ended), run.id)

    async def let_go(self, runs: Iterable[str]) -> None:
        if runs := list(runs):
            await self._write(lambda db: _tables.let_go(db, self._place, runs))

    async def claim(self, found: Run, again: Run) -> bool:
        def claim(db: sqlite3.Connection) -> bool:
            self._owner.hold()
            return _tables.claim(db, self._place, found, again)

        try:
            return await self._write(claim)
        except asyncio.CancelledError:
            self._post(lambda db: _tables.let_go(db, self._place, [found.id]))
            raise

    async def ask(self, run: str, at: float) -> bool:
        return await self._read(lambda db: _tables.ask(db, self._place, run, at), False)

    async def asked(self) -> list[str]:
        return await self._read(lambda db: _tables.asked(db, self._place), [])

    async def get(self, run: str) -> Run | None:
        return await self._read(lambda db: _tables.get(db, self._place, run), None)

    async def runs(self, kind: str, name: str, states: frozenset[RunState], limit: int) -> list[Run]:
        return await self._read(lambda db: _tables.runs(db, self._place, kind, name, states, limit), [])

    async def step(self, run: str, step: StepRun, result: str | None) -> None:
        self._found(await self._write(lambda db: _tables.step(db, self._place, run, step, result)), run)

    async def steps(self, run: str) -> list[StepRun]:
        return await self._read(lambda db: _tables.steps(db, self._place, run), [])

    async def close(self, *, stuck: bool) -> None:
        """Bounded: see ``Database``."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._database.aclose()
        except (TimeoutError, sqlite3.Error) as error:
            raise StateError(f"the journal of runs did not close: {error}", where=str(self.path)) from error
        finally:
            if not stuck:  # a run that goes on is not to be resumed elsewhere; the lock goes with the process
                self._owner.release()

    def _found(self, rows: int, run: str) -> None:
        if not rows:
            raise Gone(f"run {run} is no longer in the journal", where=str(self.path))

    # --- the thread ------------------------------------------------------------------------------------------------

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do *work*, to its end, whoever goes away meanwhile."""
        answer: list[T] = []
        posted = asyncio.wrap_future(self._post(lambda db: answer.append(work(db))))
        posted.add_done_callback(_looked_at)
        await asyncio.wait({posted})
        posted.result()
        return answer[0]

    def _post(self, work: Callable[[sqlite3.Connection], None]) -> concurrent.futures.Future[None]:
        if self._closed:
            raise self._is_closed()
        return self._database.post(lambda: self._do(work))

    async def _read(self, work: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        if self._closed:
            raise self._is_closed()
        try:
            return await self._database.run(lambda: self._do(work, nothing))
        except RuntimeError as error:  # closed meanwhile
            if not self._closed:
                raise
            raise self._is_closed() from error

    def _is_closed(self) -> StateError:
        return StateError("the journal of runs is closed", where=str(self.path))

    # --- what follows runs in the thread -----------------------------------------------------------------------------

    def _do(self, work: Callable[[sqlite3.Connection], T], *nothing: T) -> T:
        """Do *work*; *nothing* is the answer where there is no file, without it the file is made.

        Raises:
            StateError: It cannot be done; what was written down is as it was.
        """
        try:
            there = _sqlite.identity(self.path)
            if there is None and nothing:
                self._database.disconnect()
                return nothing[0]
            # SQLite goes on with a file that was deleted, or that another process has set aside.
            if there is None or there != self._identity:
                self._database.reconnect()
            return work(self._database.connection)
        except (sqlite3.Error, OSError) as error:
            if not isinstance(error, sqlite3.Error) or not _sqlite.is_broken(error):
                raise explained(error, self.path, self._busy_timeout, _SETTING) from error
            self._database.disconnect()
            told = self._set_aside(error)
            log.warning("%s", told)
            raise told from error

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._open_file()
        except sqlite3.DatabaseError as error:
            if not _sqlite.is_broken(error):
                raise
            log.warning("%s", self._set_aside(error))
        return self._open_file()

    def _open_file(self) -> sqlite3.Connection:
        db = self._known_file()
        try:
            if self._is_ours(db):
                if (said := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                    raise _sqlite.broken(str(said).splitlines()[-1])
                _sqlite.use_wal(db, busy_timeout=self._busy_timeout)
            else:
                _sqlite.use_wal(db, busy_timeout=self._busy_timeout)
                with _sqlite.transaction(db):
                    if not self._is_ours(db):  # another process may have made it meanwhile
                        for statement in _tables.CREATE:
                            db.execute(statement)
        except BaseException:
            db.close()
            raise
        return db

    def _is_ours(self, db: sqlite3.Connection) -> bool:
        try:
            return _sqlite.is_ours(db, self.path, _tables.APPLICATION, _tables.SCHEMA, "journal of runs")
        except ValueError as error:
            raise StateError(str(error), hint=choose(_SETTING)) from None

    def _known_file(self) -> sqlite3.Connection:
        """Open what stands there, and know which file that is, although others may set it aside meanwhile."""
        before = _sqlite.identity(self.path)
        while True:
            db = _sqlite.connect(self.path, busy_timeout=self._busy_timeout)
            self._identity = _sqlite.identity(self.path)
            if before is not None and before == self._identity:
                return db
            before = self._identity
            db.close()

    def _set_aside(self, error: sqlite3.Error) -> Corrupt:
        """Rename the file; what to tell.  Raises: StateError, it is not ours."""
        where = str(self.path)
        if not _sqlite.was_ours(self.path, _tables.APPLICATION):
            raise StateError(
                "it is no journal of runs, but something else", where=where, hint=choose(_SETTING)
            ) from error
        aside = _sqlite.set_aside(self.path, self._identity)
        name = "set aside by another process" if aside is None else f"set aside as {aside.name}"
        return Corrupt(
            f"it was damaged ({error}), and is {name}; the journal of runs begins anew",
            where=where,
            hint="what ran when it was damaged has to be begun again",
        )


def _looked_at(future: asyncio.Future[None]) -> None:
    """Nobody may wait any more for what it raised; then it is nobody's to report."""
    if not future.cancelled():
        future.exception()
