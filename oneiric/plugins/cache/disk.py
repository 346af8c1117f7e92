"""``adapter:cache`` ``disk``: a cache in an SQLite file, shared by processes, and there again after a restart."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import attrs
from attrs.validators import optional
from oneiric_hookspecs import Candidate, Health, Key, hookimpl

from oneiric.plugins import _sqlite
from oneiric.plugins._cache import a_count, check, encoded, some_seconds, weight

T = TypeVar("T")

log = logging.getLogger("oneiric.plugin.cache.disk")

#: Marks a file as ours, in SQLite's header ("OnCa"); and the version of the schema below.
APPLICATION, SCHEMA = 0x4F6E4361, 1
#: SQLite's own limit for one value, less a name.
MAX_VALUE = 999_000_000
#: How many reads are remembered until something is evicted.
MAX_TOUCHED = 10_000
#: How many names whose entries are out of date, and could not be deleted, are remembered.
MAX_STALE = 100_000

_CREATE = (
    """CREATE TABLE entries (
           name BLOB PRIMARY KEY, value BLOB NOT NULL, size INTEGER NOT NULL, expires REAL, used INTEGER NOT NULL
       )""",
    "CREATE INDEX by_use ON entries (used)",
    "CREATE INDEX by_expiry ON entries (expires) WHERE expires IS NOT NULL",
    "CREATE TABLE total (bytes INTEGER NOT NULL)",
    "INSERT INTO total VALUES (0)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)
_READ = "SELECT value, expires FROM entries WHERE name = ?"


def _a_file(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{attribute.name} is the name of a file, found {value!r}")
    if value == ":memory:":
        raise ValueError("path is the name of a file; a cache in memory is provider 'memory'")


@attrs.frozen
class Settings:
    """Where it is kept, and how much.

    Args:
        path: The file; ``~`` is understood, folders that are missing are made.  None is a nameless temporary file that
            is gone when the cache is closed, or the process ends, however it ends.
        max_bytes: How many bytes of names and values together; the entry that was used longest ago makes room.  The
            file is somewhat larger.
        ttl: Seconds for which a value is kept that was set without a time to live; None for as long as there is room.
        busy_timeout: Seconds to wait for another process that is writing; after that the value is dropped.
    """

    path: str | None = attrs.field(default=None, validator=optional(_a_file))
    max_bytes: int = attrs.field(default=256 * 1024 * 1024, validator=a_count)
    ttl: float | None = attrs.field(default=None, validator=optional(some_seconds))
    busy_timeout: float = attrs.field(default=5.0, validator=some_seconds)


class DiskCache:
    """A ``Cache`` in an SQLite file.

    *   Times to live are kept in wall time, so that they hold over a restart: a clock that is set forward lets values
        expire early, one that is set back late.
    *   A disk that is full, a file that stays locked, or input and output errors cost values and not callers: ``set``
        drops the value, ``get`` finds nothing, health is ``degraded``, and the log says so once.  ``delete`` and
        ``clear`` raise ``OSError``, as what they promise has not been done.
    *   A file that is deleted is made again, empty.
    *   A file that is broken is renamed to ``NAME.corrupt-N``, the cache starts empty, and health is ``degraded`` for
        as long as that file is there.
    *   Which entries were read is written down when something has to make room, and at the end; so processes that
        share a file see each other's reads late, and may evict in another order than a single one.

    Args:
        settings: Where, and how much.
        clock: Wall time, in seconds.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        # Absolute: the working directory may change.
        self._path = None if settings.path is None else Path(settings.path).expanduser().absolute()
        self._database: _sqlite.Database | None = None
        # All below is the thread's.
        self._identity: tuple[int, int] | None = None
        self._aside: Path | None = None
        self._touched: dict[
            bytes, None
        ] = {}  # names in the order of their last use, since it was last written down
        self._stale: set[bytes] = set()  # names whose entries in the file are not to be seen any more
        self._all_stale = False
        self._troubles: dict[str, str] = {}

    @classmethod
    async def open(cls, settings: Settings, *, clock: Callable[[], float] = time.time) -> DiskCache:
        """Open the file, or make it.

        Raises:
            OSError: It cannot be opened, or made.
            ValueError: It is a database of something else, or of a later version.
        """
        self = cls(settings, clock=clock)
        self._database = await _sqlite.Database.open(self._connect, "cache", at_end=self._at_end)
        return self

    async def get(self, name: str) -> bytes | None:
        """The value under *name*; None where there is none, it has expired, or it cannot be read."""
        check(name)
        return await self._run(lambda: self._get(encoded(name)))

    async def set(self, name: str, value: bytes, ttl: float | None = None) -> None:
        """Keep *value* under *name*; what is too large, or cannot be written, is dropped with what was there."""
        check(name, value, ttl)
        size = weight(name, value)
        ttl = self._settings.ttl if ttl is None else ttl
        expires = None if ttl is None else self._clock() + ttl
        await self._run(lambda: self._set(encoded(name), value, size, expires))

    async def delete(self, name: str) -> bool:
        """Forget *name*; whether it was there.

        Raises:
            OSError: It cannot be forgotten now.
        """
        check(name)
        return await self._run(lambda: self._delete(encoded(name)))

    async def clear(self) -> None:
        """Forget everything, and give the room back to the disk.

        Raises:
            OSError: It cannot be forgotten now.
        """
        await self._run(self._clear)

    async def health(self) -> Health:
        """Ask the file, with one small read; ``failed`` if it does not answer."""
        started = time.perf_counter()
        details: dict[str, object] = {"file": None if self._path is None else str(self._path)}
        try:
            details["bytes"], reasons = await self._run(self._examine)
        except (sqlite3.Error, OSError) as error:
            return Health("failed", f"{self._place}: {error}", details, latency=time.perf_counter() - started)
        return Health(
            "degraded" if reasons else "ok",
            "; ".join(reasons),
            details,
            latency=time.perf_counter() - started,
        )

    async def aclose(self) -> None:
        """Finish what was asked for, and close the file; a second time does nothing.  Bounded: see ``Database``."""
        if self._database is not None:
            await self._database.aclose()

    @property
    def _place(self) -> str:
        return f"the cache file {self._path}" if self._path is not None else "the cache's temporary file"

    @property
    def _opened(self) -> _sqlite.Database:
        if self._database is None:
            raise RuntimeError("the cache is not open; make it by DiskCache.open()")
        return self._database

    async def _run(self, work: Callable[[], T]) -> T:
        return await self._opened.run(work)

    # --- what follows runs in the thread ----------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._open_file()
        except sqlite3.Error as error:
            if self._path is None or not _sqlite.is_broken(error):
                raise OSError(f"cannot open {self._place}: {error}") from error
            self._set_aside(error)
        try:
            return self._open_file()
        except sqlite3.Error as error:
            raise OSError(f"cannot open {self._place}: {error}") from error

    def _open_file(self) -> sqlite3.Connection:
        self._identity = None
        busy_timeout = self._settings.busy_timeout
        db = _sqlite.connect(self._path or "", busy_timeout=busy_timeout)
        try:
            if self._path is not None:
                self._identity = _sqlite.identity(self._path)
            self._check_ours(db)
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            if self._path is not None:
                _sqlite.use_wal(db, busy_timeout=busy_timeout)
            with _sqlite.transaction(db):
                if not self._check_ours(db):
                    for statement in _CREATE:
                        db.execute(statement)
            db.execute("SELECT bytes FROM total").fetchone()[0]
        except BaseException:
            db.close()
            raise
        return db

    def _check_ours(self, db: sqlite3.Connection) -> bool:
        """Whether it is a cache already; False where it is empty."""
        return _sqlite.is_ours(db, self._path, APPLICATION, SCHEMA, "cache")

    def _set_aside(self, error: sqlite3.Error) -> None:
        if self._path is None:
            return
        aside = _sqlite.set_aside(self._path, self._identity)
        self._touched.clear()
        self._stale.clear()
        self._all_stale = False
        if aside is not None:
            self._aside = aside
            log.warning(
                "%s is broken (%s): set aside as %s, and started empty", self._place, error, aside.name
            )

    def _sound(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do *work*; where the file turns out to be broken, or gone, do it on a new one."""
        try:
            db = self._opened.connection
            # SQLite goes on with a file that was deleted, or that another process has set aside.
            if self._path is not None and _sqlite.identity(self._path) != self._identity:
                db = self._opened.reconnect()
            try:
                return work(db)
            except sqlite3.Error as error:
                if not _sqlite.is_broken(error):
                    raise
                self._set_aside(error)
            return work(self._opened.reconnect())
        except (OSError, ValueError) as error:  # there is no connection, and there will be none
            raise sqlite3.OperationalError(str(error)) from error

    def _get(self, name: bytes) -> bytes | None:
        if self._all_stale or name in self._stale:
            return None
        try:
            row = self._sound(lambda db: db.execute(_READ, (name,)).fetchone())
        except sqlite3.Error as error:
            self._trouble("reading", error)
            return None
        self._no_trouble("reading")
        if row is None or (row[1] is not None and row[1] <= self._clock()):
            return None
        self._touch(name)
        value: bytes = row[0]
        return value

    def _set(self, name: bytes, value: bytes, size: int, expires: float | None) -> None:
        def write(db: sqlite3.Connection) -> None:
            with _sqlite.transaction(db):
                total = self._without_stale(db) - self._take_out(db, "name = ?", name)
                total -= self._take_out(
                    db,
                    "rowid IN (SELECT rowid FROM entries WHERE expires IS NOT NULL AND expires <= ? LIMIT 8)",
                    self._clock(),
                )
                if size <= min(self._settings.max_bytes, MAX_VALUE):
                    if total + size > self._settings.max_bytes:
                        total = self._evict(db, total, self._settings.max_bytes - size)
                    db.execute(
                        "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
                        (name, value, size, expires, self._next_use(db)),
                    )
                    total += size
                db.execute("UPDATE total SET bytes = ?", (total,))

        try:
            self._sound(write)
        except sqlite3.Error as error:
            # What was there is not what the caller has set: it must not be seen again.
            self._touched.pop(name, None)
            self._stale.add(name)
            self._all_stale = self._all_stale or len(self._stale) > MAX_STALE
            self._trouble("writing", error)
            return
        self._wrote()
        if self._touched:
            self._touch(name)  # it was used after those that wait to be written down

    def _delete(self, name: bytes) -> bool:
        def delete(db: sqlite3.Connection) -> bool:
            with _sqlite.transaction(db):
                total = self._without_stale(db)
                row = db.execute("SELECT expires FROM entries WHERE name = ?", (name,)).fetchone()
                total -= self._take_out(db, "name = ?", name)
                db.execute("UPDATE total SET bytes = ?", (total,))
            return row is not None and (row[0] is None or row[0] > self._clock())

        try:
            there = self._sound(delete)
        except sqlite3.Error as error:
            self._trouble("writing", error)
            raise OSError(f"{self._place}: cannot forget the value: {error}") from error
        self._wrote()
        self._touched.pop(name, None)
        return there

    def _clear(self) -> None:
        def clear(db: sqlite3.Connection) -> None:
            with _sqlite.transaction(db):
                db.execute("DELETE FROM entries")
                db.execute("UPDATE total SET bytes = 0")

        try:
            self._sound(clear)
        except sqlite3.Error as error:
            self._trouble("writing", error)
            raise OSError(f"{self._place}: cannot forget the values: {error}") from error
        self._wrote()
        self._touched.clear()
        with contextlib.suppress(sqlite3.Error):  # all is forgotten; the room may follow later
            # A script: it gives back a page a step, and ``execute`` takes one step only where no rows come.
            self._opened.connection.executescript(
                "PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)"
            )

    def _examine(self) -> tuple[int, list[str]]:
        total: int = self._sound(lambda db: db.execute("SELECT bytes FROM total").fetchone()[0])
        reasons = [f"{self._place}: {doing}: {what}" for doing, what in sorted(self._troubles.items())]
        if self._aside is not None:
            if self._aside.exists():
                reasons.append(
                    f"{self._place} was broken, and is set aside as {self._aside.name}; delete that to be well"
                )
            else:
                self._aside = None
        return total, reasons

    def _without_stale(self, db: sqlite3.Connection) -> int:
        """Delete what is out of date; how many bytes there are then."""
        total: int = db.execute("SELECT bytes FROM total").fetchone()[0]
        if self._all_stale:
            db.execute("DELETE FROM entries")
            return 0
        return total - sum(self._take_out(db, "name = ?", name) for name in self._stale)

    def _take_out(self, db: sqlite3.Connection, where: str, value: object) -> int:
        """Delete entries; how many bytes they were."""
        # The condition is one of the literals of this module.
        rows = db.execute(f"DELETE FROM entries WHERE {where} RETURNING size", (value,)).fetchall()  # noqa: S608
        return sum(size for (size,) in rows)

    def _evict(self, db: sqlite3.Connection, total: int, limit: int) -> int:
        """Delete what was used longest ago until *total* is at most *limit*; what it is then."""
        self._write_uses(db)
        while total > limit:
            rows = db.execute("SELECT rowid, size FROM entries ORDER BY used LIMIT 64").fetchall()
            if not rows:
                return 0  # the total was wrong, and is right now
            for row, size in rows:
                if total <= limit:
                    break
                db.execute("DELETE FROM entries WHERE rowid = ?", (row,))
                total -= size
        return total

    def _at_end(self, db: sqlite3.Connection) -> None:
        if self._path is not None and self._touched:
            with _sqlite.transaction(db):
                self._write_uses(db)

    def _write_uses(self, db: sqlite3.Connection) -> None:
        use = self._next_use(db)
        for number, name in enumerate(self._touched, use):
            db.execute("UPDATE entries SET used = ? WHERE name = ?", (number, name))
        self._touched.clear()

    def _next_use(self, db: sqlite3.Connection) -> int:
        # Counted, not timed: wall time may go back.
        last: int = db.execute("SELECT coalesce(max(used), 0) FROM entries").fetchone()[0]
        return last + 1

    def _touch(self, name: bytes) -> None:
        self._touched.pop(name, None)
        self._touched[name] = None
        if len(self._touched) > MAX_TOUCHED:
            del self._touched[next(iter(self._touched))]

    def _wrote(self) -> None:
        self._stale.clear()
        self._all_stale = False
        self._no_trouble("writing")

    def _trouble(self, doing: str, error: sqlite3.Error) -> None:
        if doing not in self._troubles:
            log.warning("%s: %s fails: %s; values are dropped", self._place, doing, error)
        self._troubles[doing] = f"fails: {error}"

    def _no_trouble(self, doing: str) -> None:
        if self._troubles.pop(doing, None) is not None:
            log.info("%s: %s works again", self._place, doing)


async def create(settings: Settings) -> DiskCache:
    """A cache on its file, opened."""
    return await DiskCache.open(settings)


@hookimpl
def oneiric_candidates() -> Iterable[Candidate]:
    """Declare ``disk``."""
    yield Candidate(
        Key.of("adapter", "cache"),
        "disk",
        create,
        priority=-10,  # below memory: it is for those who ask for it
        capabilities=frozenset({"ttl", "durable"}),
        settings_class=Settings,
        summary="in an SQLite file, shared by processes, there again after a restart",
    )
