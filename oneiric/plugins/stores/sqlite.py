"""Store ``sqlite``: in a file, shared by the processes of one machine.

``"sqlite:"`` is ``state.db`` in the application's state directory, ``"sqlite:PATH"`` another file (``~`` is understood;
what is relative is relative to the state directory).  Nothing is made before something is written.

A write-ahead log, so that readers never wait, and a writer only for another one.  What was put is there after ``kill
-9``; a power cut may take the last moments, and breaks nothing.  A file that turns out to be damaged is set aside, and
another one begun; a file that is not ours is never touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from oneiric_hookspecs import (
    JSON,
    Corrupt,
    NodeSeen,
    Record,
    Retention,
    StateError,
    Store,
    Stored,
    StoreFinding,
    hookimpl,
)

from oneiric.plugins import _sqlite
from oneiric.plugins._state import (
    Clocks,
    Hints,
    Listeners,
    check_count,
    check_expect,
    check_key,
    check_ttl,
    conflict,
    decode,
    encode,
    log,
)
from oneiric.plugins._telling import explained

from . import _tables
from ._looking import findings, is_ours, peeked
from ._telling import of_something_else, too_new

T = TypeVar("T")

#: Seconds to wait for another process that writes.
BUSY_TIMEOUT = 5.0
#: Seconds between two looks for what other processes have changed, while somebody waits for hints.
LOOK_EVERY = 0.5


class SqliteStore:
    """A state store in one file; made by ``open``.

    Args:
        path: The file.
        keep: How much to keep of logs.
        clocks: Where its times come from.
        busy_timeout: Seconds to wait for another process that writes.
        look_every: Seconds between two looks for what other processes have changed.
        steps: The schema; see ``_tables.STEPS``.
    """

    def __init__(
        self,
        path: Path,
        keep: Retention | None = None,
        *,
        clocks: Clocks | None = None,
        busy_timeout: float = BUSY_TIMEOUT,
        look_every: float = LOOK_EVERY,
        steps: Sequence[Sequence[str]] = _tables.STEPS,
    ) -> None:
        self.path = path
        self._keep, self._clocks = keep or Retention(), clocks or Clocks()
        self._busy_timeout, self._look_every, self._steps = busy_timeout, look_every, steps
        self._loop = asyncio.get_running_loop()
        self._listeners = Listeners()
        self._closed = False
        self._database = _sqlite.Database.start(self._connect, "state")
        self._identity: tuple[int, int] | None = None  # the thread's: which file it has open

    @classmethod
    async def open(cls, path: Path, keep: Retention | None = None, **more: object) -> Self:
        """Open the file, if there is one.

        Raises:
            StateError: It cannot be opened, is not ours, or of a later version.
        """
        self = cls(path, keep, **more)  # type: ignore[arg-type]  # as of the class
        try:
            await self._run(lambda: self._do(lambda _: None, None))
        except BaseException:
            await self.close()
            raise
        return self

    # --- values --------------------------------------------------------------------------------------------------

    async def get(self, key: str) -> Stored | None:
        """As of the contract, like all below."""
        check_key(key)
        row = await self._run(lambda: self._do(lambda db: _tables.get(db, key), None))
        return None if row is None else self._stored(key, *row)

    async def put(self, key: str, value: JSON, *, expect: int | None = None) -> int:
        check_key(key)
        check_expect(expect)
        text = encode(value, f"the value of {key}")

        def put(db: sqlite3.Connection) -> int:
            revision = _tables.put(db, key, text, expect, self._clocks)
            self._told(key, revision)
            return revision

        return await self._run(lambda: self._do(put))

    async def scan(self, prefix: str) -> list[tuple[str, Stored]]:
        check_key(prefix, "prefix", empty=True)

        def scan(db: sqlite3.Connection) -> list[tuple[str, Stored]]:
            # In the thread, as there may be many.
            return as_stored(_tables.scan(db, prefix), self.path)

        return await self._run(lambda: self._do(scan, []))

    async def delete(self, key: str, *, expect: int | None = None) -> None:
        check_key(key)
        check_expect(expect)

        def delete(db: sqlite3.Connection) -> bool:
            there = _tables.delete(db, key, expect, self._clocks)
            if there:
                self._told(key, 0)
            return True

        if not await self._run(lambda: self._do(delete, False)) and expect:  # there is no file
            raise conflict(key, expect, 0)

    async def revision(self, prefix: str) -> int:
        check_key(prefix, "prefix", empty=True)
        return await self._run(lambda: self._do(lambda db: _tables.revision(db, prefix), 0))

    def changes(self, prefix: str) -> Hints:
        """As of the contract.

        What this store changes is told at once; what others do, within ``look_every`` seconds while somebody waits.
        """
        check_key(prefix, "prefix", empty=True)
        if self._closed:
            raise self._is_closed()
        return self._listeners.add(Hints(prefix, self._look, self._look_every))

    async def _look(self, prefix: str, revision: int) -> tuple[int, dict[str, int]] | None:
        nothing: tuple[int, dict[str, int]] | None = 0, {}

        def look(db: sqlite3.Connection) -> tuple[int, dict[str, int]] | None:
            now = _tables.revision(db, prefix)
            return None if now == revision else (now, _tables.numbers(db, prefix))

        return await self._run(lambda: self._do(look, nothing))

    # --- nodes and logs --------------------------------------------------------------------------------------------

    async def beat(self, node: str, info: JSON, ttl: float) -> None:
        check_key(node, "name of a node")
        check_ttl(ttl)
        text = encode(info, f"what {node} says")
        await self._run(lambda: self._do(lambda db: _tables.beat(db, node, text, ttl, self._clocks)))

    async def nodes(self) -> list[NodeSeen]:
        def nodes(db: sqlite3.Connection) -> list[NodeSeen]:
            found = []
            for node, text, age in _tables.nodes(db, self._clocks):
                # What is damaged of one that lives is written again within seconds, and says nothing till then.
                with contextlib.suppress(Corrupt):
                    found.append(NodeSeen(node, decode(text, f"what {node} says", str(self.path)), age))
            return found

        return await self._run(lambda: self._do(nodes, []))

    async def append(self, log: str, record: JSON) -> int:
        check_key(log, "name of a log")
        text, at = encode(record, f"the record for {log}"), self._clocks.wall()
        return await self._run(lambda: self._do(lambda db: _tables.append(db, log, text, at, self._keep)))

    async def read(self, log: str, after: int = 0, limit: int = 1000) -> list[Record]:
        check_key(log, "name of a log")
        check_count(after, "the number to read after")
        check_count(limit, "how many to read", 1)

        def read(db: sqlite3.Connection) -> list[Record]:
            return _tables.as_records(_tables.read(db, log, after, limit, self._keep), log, str(self.path))

        return await self._run(lambda: self._do(read, []))

    # --- the end ---------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Finish what was asked for, and close the file; a second time does nothing.  Bounded: see ``Database``."""
        self._closed = True
        self._listeners.end()
        try:
            await self._database.aclose()
        except (TimeoutError, sqlite3.Error) as error:
            raise StateError(f"the state store did not close: {error}", where=str(self.path)) from error

    def _is_closed(self) -> StateError:
        return StateError("the state store is closed", where=str(self.path))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise self._is_closed()
        try:
            return await self._database.run(work)
        except RuntimeError as error:  # closed meanwhile
            if not self._closed:
                raise
            raise self._is_closed() from error

    def _stored(self, key: str, text: str, revision: int) -> Stored:
        return Stored(decode(text, f"the value of {key}", str(self.path)), revision)

    # --- what follows runs in the thread -----------------------------------------------------------------------------

    def _told(self, key: str, revision: int) -> None:
        # From here, so that it is told although the caller may have gone.
        if self._listeners:
            with contextlib.suppress(RuntimeError):  # the loop is closed, with all who listened
                self._loop.call_soon_threadsafe(self._listeners.tell, key, revision)

    def _do(self, work: Callable[[sqlite3.Connection], T], *nothing: T) -> T:
        """Do *work*; *nothing* is the answer where there is no file, without it the file is made.

        Raises:
            StateError: It cannot be done; what was stored is as it was.
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
                raise explained(error, self.path, self._busy_timeout) from error
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
            version = self._check_ours(db)
            if version and (said := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise _sqlite.broken(str(said).splitlines()[-1])
            _sqlite.use_wal(db, busy_timeout=self._busy_timeout)
            if version < len(self._steps):
                with _sqlite.transaction(db):
                    self._check_ours(db)  # another process may have done it meanwhile, or more than that
                    _tables.migrate(db, self._steps)
        except BaseException:
            db.close()
            raise
        return db

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

    def _check_ours(self, db: sqlite3.Connection) -> int:
        """The version of its schema; 0 where it is empty."""
        version = _tables.version_of(db)
        if version is None:
            raise of_something_else(self.path)
        if version > len(self._steps):
            raise too_new(self.path, version, len(self._steps))
        return version

    def _set_aside(self, error: sqlite3.Error) -> Corrupt:
        """Rename the file; what to tell.  Raises: StateError, it is not ours."""
        if not is_ours(self.path):
            raise of_something_else(self.path) from error
        aside = _sqlite.set_aside(self.path, self._identity)
        name = "set aside by another process" if aside is None else f"set aside as {aside.name}"
        return Corrupt(
            f"it was damaged ({error}), and is {name}; state begins anew",
            where=str(self.path),
            hint="what operators had pinned, held or paused is to be said again",
        )


def as_stored(rows: Iterable[tuple[str, str, int]], path: Path) -> list[tuple[str, Stored]]:
    """Rows as values.  Raises: Corrupt, with those that are damaged, and with the others."""
    sound: list[tuple[str, Stored]] = []
    damaged: dict[str, tuple[int, str]] = {}
    first: Corrupt | None = None
    for key, text, number in rows:
        try:
            sound.append((key, Stored(decode(text, f"the value of {key}", str(path)), number)))
        except Corrupt as error:
            first = first or error
            damaged[key] = number, error.message
    if first is not None:
        raise Corrupt(first.message, where=first.where, hint=first.hint, sound=sound, damaged=damaged)
    return sound


# --- the plugin ----------------------------------------------------------------------------------------------------


def place(rest: str, folder: Path) -> Path:
    """The file that ``sqlite:REST`` means."""
    return folder / (Path(rest).expanduser() if rest else "state.db")


async def open_store(rest: str, folder: Path, keep: Retention) -> SqliteStore:
    """Open the file that ``sqlite:REST`` means.  Raises: StateError."""
    return await SqliteStore.open(_checked(rest, folder), keep)


def check_store(rest: str, folder: Path) -> Iterable[StoreFinding]:
    """Say what is at that place; makes and changes nothing."""
    return findings(_checked(rest, folder), len(_tables.STEPS))


def peek_store(rest: str, folder: Path, prefix: str) -> Iterable[tuple[str, Stored]]:
    """Read what begins with *prefix*; makes and changes nothing.  Raises: StateError."""
    path = _checked(rest, folder)
    return as_stored(peeked(path, prefix, len(_tables.STEPS)), path)


def _checked(rest: str, folder: Path) -> Path:
    if "\0" in rest or rest.startswith(":") or rest.endswith("/"):
        hint = 'a store in memory is "memory:"' if rest.startswith(":") else None
        raise StateError(f"{rest!r} is not the name of a file", hint=hint)
    try:
        return place(rest, folder)
    except RuntimeError as error:  # no home to expand
        raise StateError(f"{rest!r} cannot be found: {error}") from error


@hookimpl
def oneiric_stores() -> Iterable[Store]:
    """Declare ``sqlite``."""
    yield Store(
        "sqlite", open_store, "in a file, shared by the processes of one machine", check_store, peek_store
    )
