"""``adapter:database`` ``sqlite``: an SQLite file, for asynchronous code."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import attrs
from attrs.validators import in_, instance_of, le, optional
from oneiric_hookspecs import Candidate, Health, Key, Queries, hookimpl

from oneiric.plugins import _sqlite
from oneiric.plugins._cache import a_count, some_seconds

T = TypeVar("T")
Parameters = Sequence[Any] | Mapping[str, Any]

#: How many instructions of SQLite's machine lie between two looks at the time.
INSTRUCTIONS = 10_000
#: Statements that are about transactions, or cannot be in one; they are run as they are.
BARE = frozenset(
    {"ATTACH", "BEGIN", "COMMIT", "DETACH", "END", "PRAGMA", "RELEASE", "ROLLBACK", "SAVEPOINT", "VACUUM"}
)
#: Longest time that may be asked for, in seconds.
MAX_SECONDS = 7 * 86_400


def _some_time(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is None:
        return
    some_seconds(_, attribute, value)
    if value > MAX_SECONDS:
        raise ValueError(f"{attribute.name} is at most {MAX_SECONDS} seconds, found {value!r}")


@attrs.frozen
class Settings:
    """Where it is, and how it is used.

    Args:
        path: The file; ``~`` is understood, folders that are missing are made.  None is a nameless temporary file that
            is gone when the database is closed, or the process ends, however it ends.
        read_only: Whether nothing can be changed; the file has to be there.
        foreign_keys: Whether references to rows that are not there are refused.
        synchronous: ``full`` for changes that survive a power cut once they are made; ``normal`` is much faster, and
            survives the end of the process, however it ends.
        timeout: Seconds for a statement, where the call does not say; None for as long as it takes.
        busy_timeout: Seconds to wait for another process that is writing.
        max_rows: How many rows a call may give; more are an error.
    """

    path: str | None = attrs.field(default=None, validator=optional(_sqlite.a_file))
    read_only: bool = attrs.field(default=False, validator=instance_of(bool))
    foreign_keys: bool = attrs.field(default=True, validator=instance_of(bool))
    synchronous: Literal["full", "normal"] = attrs.field(default="full", validator=in_(("full", "normal")))
    timeout: float | None = attrs.field(default=30.0, validator=_some_time)
    busy_timeout: float = attrs.field(default=5.0, validator=[some_seconds, le(3600)])
    max_rows: int = attrs.field(default=100_000, validator=a_count)

    def __attrs_post_init__(self) -> None:
        if self.read_only and self.path is None:
            raise ValueError("read_only is for a file that is there: set path, too")


class _Call:
    """A statement on its way: until when it may run, and whether anybody still waits for it.

    Args:
        timeout: Seconds from now; None for no limit.
        clock: Seconds that only grow.
    """

    def __init__(self, timeout: float | None, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = None if timeout is None else clock() + timeout
        self.abandoned = threading.Event()

    @property
    def left(self) -> float:
        """How many seconds there are left."""
        return math.inf if self._until is None else self._until - self._clock()

    def is_late(self) -> bool:
        return self.left <= 0

    @property
    def over(self) -> bool:
        return self.abandoned.is_set() or self.is_late()

    @contextlib.asynccontextmanager
    async def turn(self, lock: asyncio.Lock) -> AsyncIterator[None]:
        """Hold *lock*.  Raises: TimeoutError: not in time."""
        try:
            async with asyncio.timeout(None if self._until is None else max(self.left, 0.0)):
                await lock.acquire()
        except TimeoutError:
            raise TimeoutError("the statement did not begin in time: others are at it") from None
        try:
            yield
        finally:
            lock.release()


class SqliteDatabase:
    """A ``Database`` in an SQLite file; made by ``open``.

    *   Statements are SQLite's, with ``?`` or ``:name`` for values, one a call.  A value is None, a bool, an int, a
        float, a str, or bytes.
    *   One statement runs at a time, in a thread; while a transaction is open, the statements of other tasks wait for
        its end.  A task that is in one gives its statements to it: given to the database they would wait for ever, and
        are refused.
    *   A write-ahead log: processes that read do not wait, one that writes waits for another.
    *   Who is cancelled leaves the statement, which is stopped, and has changed nothing or all; a transaction is rolled
        back.

    Args:
        settings: Where it is, and how it is used.
        clock: Seconds that only grow, for timeouts.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        # Absolute: the working directory may change.
        self._path = None if settings.path is None else Path(settings.path).expanduser().absolute()
        self._database: _sqlite.Database | None = None
        self._turn = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None  # whose transaction is open
        # The thread's:
        self._running: _Call | None = None
        self._identity: tuple[int, int] | None = None

    @classmethod
    async def open(cls, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> SqliteDatabase:
        """Open the file, or make it.

        Raises:
            OSError: It cannot be opened, or made.
        """
        self = cls(settings, clock=clock)
        self._database = await _sqlite.Database.open(self._connect, "database")
        return self

    async def execute(
        self, statement: str, parameters: Parameters = (), *, timeout: float | None = None
    ) -> int:
        """Do it; how many rows were changed."""
        return await self._alone(statement, parameters, timeout, _changed)

    async def fetch(
        self, statement: str, parameters: Parameters = (), *, timeout: float | None = None
    ) -> Sequence[tuple[Any, ...]]:
        """Do it; its rows.  Raises: ValueError: there are more than ``max_rows``."""
        return await self._alone(statement, parameters, timeout, self._rows)

    async def fetch_dicts(
        self, statement: str, parameters: Parameters = (), *, timeout: float | None = None
    ) -> Sequence[dict[str, Any]]:
        """Do it; its rows by the names of their columns."""
        return await self._alone(statement, parameters, timeout, self._dicts)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Queries]:
        """All statements of the block, or none.

        It begins as one that writes, so that it waits for other processes at its begin, and not in its middle.
        """
        self._check_free()
        async with self._turn:
            self._owner = asyncio.current_task()
            transaction = _Transaction(self)
            try:
                await self._run(self._begin, self._call(None))
                yield transaction
                transaction.ended = True
                await self._run(self._commit, self._call(None))
            finally:
                transaction.ended = True
                self._owner = None
                # After what is under way, and whether anybody waits for it or not.  Nothing to do after a commit.
                with contextlib.suppress(RuntimeError):  # closed, which rolls back as well
                    self._opened.post(lambda: _roll_back(self._opened.connection))

    async def health(self) -> Health:
        """Ask the file; ``failed`` if it does not answer, or has been deleted or exchanged."""
        started = time.perf_counter()
        details: dict[str, object] = {"file": None if self._path is None else str(self._path)}

        def examine() -> str:
            db = self._opened.connection
            pages, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            details["bytes"] = pages * size
            if self._path is not None and _sqlite.identity(self._path) != self._identity:
                return f"the database file {self._path} was deleted, or is another one; reload the database"
            return ""

        try:
            # Not in turn: who asks for health does not wait for a transaction.
            reason = await self._run(examine, self._call(None))
        except (sqlite3.Error, OSError) as error:
            reason = f"{self._place}: {error}"
        latency = time.perf_counter() - started
        return Health("failed" if reason else "ok", reason, details, latency=latency)

    async def aclose(self) -> None:
        """Finish what was asked for, roll back what is open, close the file.

        A second time does nothing.  Bounded: see ``Database``.
        """
        if self._database is not None:
            await self._database.aclose()

    async def _alone(
        self,
        statement: str,
        parameters: Parameters,
        timeout: float | None,
        give: Callable[[sqlite3.Cursor], T],
    ) -> T:
        """A statement that is a transaction of its own."""
        _check(statement, parameters)
        call = self._call(timeout)
        self._check_free()
        async with call.turn(self._turn):
            return await self._do(statement, parameters, call, give, inside=False)

    async def _do(
        self,
        statement: str,
        parameters: Parameters,
        call: _Call,
        give: Callable[[sqlite3.Cursor], T],
        *,
        inside: bool,
    ) -> T:
        def do() -> T:
            db = self._opened.connection
            if not inside:
                return self._one(db, statement, parameters, give)
            if not db.in_transaction:  # SQLite does that where it stops one that writes
                raise RuntimeError("the transaction was rolled back when one of its statements was stopped")
            with contextlib.closing(db.execute(statement, parameters)) as cursor:
                answer = give(cursor)
            if not db.in_transaction:
                raise ValueError("a transaction is ended by the end of its block, not by a statement")
            return answer

        return await self._run(do, call)

    async def _run(self, work: Callable[[], T], call: _Call) -> T:
        """Call *work* in the thread, stopped where *call* is over."""

        def run() -> T:
            if call.is_late():
                raise TimeoutError("the statement did not begin in time: others are at it")
            hurried = call.left < self._settings.busy_timeout
            if hurried:
                self._wait_for_others(call.left)
            self._running = call
            try:
                return work()
            except sqlite3.OperationalError as error:
                locked = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if call.is_late() or (hurried and locked):
                    raise TimeoutError("the statement took too long, and was stopped") from None
                raise
            finally:
                self._running = None
                if hurried:
                    self._wait_for_others(self._settings.busy_timeout)

        try:
            return await self._opened.run(run)
        except asyncio.CancelledError:
            call.abandoned.set()
            raise

    def _call(self, timeout: float | None) -> _Call:
        if timeout is not None:
            if isinstance(timeout, bool) or not isinstance(timeout, int | float):
                raise TypeError(f"a timeout is a number of seconds, found {type(timeout).__name__}")
            if not 0 < timeout <= MAX_SECONDS:
                raise ValueError(
                    f"a timeout is more than 0 seconds and at most {MAX_SECONDS}, found {timeout!r}"
                )
        return _Call(self._settings.timeout if timeout is None else timeout, self._clock)

    def _check_free(self) -> None:
        if self._owner is not None and self._owner is asyncio.current_task():
            raise RuntimeError("this task is in a transaction: give the statement to that")

    @property
    def _opened(self) -> _sqlite.Database:
        if self._database is None:
            raise RuntimeError("the database is not open; make it by SqliteDatabase.open()")
        return self._database

    @property
    def _place(self) -> str:
        return f"the database file {self._path}" if self._path is not None else "the temporary database"

    # --- what follows runs in the thread ------------------------------------------------------------------------------

    def _one(
        self,
        db: sqlite3.Connection,
        statement: str,
        parameters: Parameters,
        give: Callable[[sqlite3.Cursor], T],
    ) -> T:
        words = statement.split(None, 1)
        bare = not words or words[0].upper().rstrip(";") in BARE
        try:
            if not bare:
                # So that what is stopped, or gives more rows than may be, has changed nothing.
                db.execute("BEGIN")
            with contextlib.closing(db.execute(statement, parameters)) as cursor:
                answer = give(cursor)
            if bare and db.in_transaction:
                raise ValueError("a transaction is begun by transaction(), not by a statement")
            if not bare:
                db.execute("COMMIT")
        finally:
            _roll_back(db)
        return answer

    def _wait_for_others(self, seconds: float) -> None:
        self._opened.connection.execute(f"PRAGMA busy_timeout = {max(int(seconds * 1000), 1)}")

    def _begin(self) -> None:
        self._opened.connection.execute("BEGIN" if self._settings.read_only else "BEGIN IMMEDIATE")

    def _commit(self) -> None:
        db = self._opened.connection
        if not db.in_transaction:
            raise RuntimeError("the transaction was rolled back when one of its statements was stopped")
        db.execute("COMMIT")

    def _rows(self, cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
        limit = self._settings.max_rows
        rows = cursor.fetchmany(limit)
        if len(rows) == limit and cursor.fetchone() is not None:
            raise ValueError(f"there are more than {limit} rows (max_rows): ask for fewer, by LIMIT")
        return rows

    def _dicts(self, cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
        names = [each[0] for each in cursor.description or ()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two columns are called {twice[0]!r}: name them by AS, or fetch tuples")
        return [dict(zip(names, row, strict=True)) for row in self._rows(cursor)]

    def _stop(self) -> bool:
        return self._running is not None and self._running.over

    def _connect(self) -> sqlite3.Connection:
        settings = self._settings
        try:
            if settings.read_only:
                place = f"file:{quote(str(self._path))}?mode=ro"
                db = sqlite3.connect(place, timeout=settings.busy_timeout, isolation_level=None, uri=True)
            else:
                db = _sqlite.connect(self._path or "", busy_timeout=settings.busy_timeout)
            try:
                if self._path is not None:
                    self._identity = _sqlite.identity(self._path)
                    if not settings.read_only:
                        _sqlite.use_wal(db, busy_timeout=settings.busy_timeout)
                db.execute("PRAGMA trusted_schema = OFF")
                db.execute(f"PRAGMA synchronous = {settings.synchronous}")
                db.execute(f"PRAGMA foreign_keys = {'ON' if settings.foreign_keys else 'OFF'}")
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
                db.set_progress_handler(self._stop, INSTRUCTIONS)
            except BaseException:
                db.close()
                raise
        except sqlite3.Error as error:
            raise OSError(f"cannot open {self._place}: {error}") from error
        return db


class _Transaction:
    """The ``Queries`` of a transaction."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._turn = asyncio.Lock()  # tasks of the block may share it
        self.ended = False

    async def execute(
        self, statement: str, parameters: Parameters = (), *, timeout: float | None = None
    ) -> int:
        return await self._do(statement, parameters, timeout, _changed)

    async def fetch(
        self, statement: str, parameters: Parameters = (), *, timeout: float | None = None
    ) -> Sequence[tuple[Any, ...]]:
        return await self._do(statement, parameters, timeout, self._database._rows)  # noqa: SLF001 - one thing

    async def fetch_dicts(
        self, statement: str, parameters: Parameters = (), *, timeout: float | None = None
    ) -> Sequence[dict[str, Any]]:
        return await self._do(statement, parameters, timeout, self._database._dicts)  # noqa: SLF001 - one thing

    async def _do(
        self,
        statement: str,
        parameters: Parameters,
        timeout: float | None,
        give: Callable[[sqlite3.Cursor], T],
    ) -> T:
        _check(statement, parameters)
        call = self._database._call(timeout)  # noqa: SLF001 - one thing
        async with call.turn(self._turn):
            if self.ended:
                raise RuntimeError("the transaction has ended")
            return await self._database._do(statement, parameters, call, give, inside=True)  # noqa: SLF001 - one thing


def _changed(cursor: sqlite3.Cursor) -> int:
    cursor.fetchall()  # RETURNING: it is done when all rows are read
    return max(cursor.rowcount, 0)


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")


def _check(statement: object, parameters: object) -> None:
    """Refuse what is no statement, and values that SQLite would make something else of.  Raises: TypeError."""
    if not isinstance(statement, str):
        raise TypeError(f"a statement is a text, found {type(statement).__name__}")
    if isinstance(parameters, Mapping):
        values = list(parameters.items())
    elif isinstance(parameters, Sequence) and not isinstance(parameters, str | bytes):
        values = list(enumerate(parameters, 1))
    else:
        raise TypeError(f"parameters are a sequence or a mapping, found {type(parameters).__name__}")
    for name, value in values:
        if value is not None and not isinstance(value, bool | int | float | str | bytes):
            raise TypeError(
                f"parameter {name} is a {type(value).__name__}; SQLite keeps None, bool, int, float, str and bytes"
            )
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(f"parameter {name} is not a number (nan), of which SQLite makes NULL")


async def create(settings: Settings) -> SqliteDatabase:
    """A database on its file, opened."""
    return await SqliteDatabase.open(settings)


@hookimpl
def oneiric_candidates() -> Iterable[Candidate]:
    """Declare ``sqlite``."""
    yield Candidate(
        Key.of("adapter", "database"),
        "sqlite",
        create,
        capabilities=frozenset({"transactions", "durable"}),
        settings_class=Settings,
        summary="an SQLite file",
    )
