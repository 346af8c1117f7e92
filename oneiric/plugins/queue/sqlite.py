"""``adapter:queue`` ``sqlite``: a queue in a file, shared by the processes of one machine, and durable."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import attrs
from attrs.validators import in_, le, optional
from oneiric_hookspecs import Candidate, Delivery, Health, Key, QueueCounts, hookimpl

from oneiric.plugins import _sqlite
from oneiric.plugins._cache import some_seconds
from oneiric.plugins._queue import Bounds, Waiting, check_limit, check_seconds, check_text

from . import _messages

T = TypeVar("T")

log = logging.getLogger("oneiric.plugin.queue.sqlite")


@attrs.frozen
class Settings(Bounds):
    """Where it is kept, how much of it, and for how long somebody may hold a message.

    Args:
        path: The file; ``~`` is understood, folders that are missing are made.  None is a nameless temporary file that
            is gone when the queue is closed, or the process ends, however it ends.
        synchronous: ``full`` for messages that survive a power cut once they are sent; ``normal`` is much faster, and
            survives the end of the process, however it ends.
        busy_timeout: Seconds to wait for another process that is writing.
        look_every: Seconds between two looks for what other processes have sent, while somebody waits.
    """

    path: str | None = attrs.field(default=None, validator=optional(_sqlite.a_file))
    synchronous: Literal["full", "normal"] = attrs.field(default="full", validator=in_(("full", "normal")))
    busy_timeout: float = attrs.field(default=5.0, validator=[some_seconds, le(3600)])
    look_every: float = attrs.field(default=0.25, validator=[some_seconds, le(60)])


class SqliteQueue:
    """A ``Queue`` in an SQLite file; made by ``open``.

    *   A message that was sent, and not acknowledged, is there after ``kill -9``.  What a killed process held comes
        back when its time has passed.
    *   Times are wall time, which all processes share, and which goes on while none runs.  A clock that is set forward
        lets messages come back early.  One that is set back, by more than two seconds, is noticed: nobody then waits
        longer than was asked for, counted from that moment.
    *   Messages come in the order in which they were sent, but for those that were delayed or given back.
    *   What other processes have sent is seen within ``look_every``, by one small read; what this one has, at once.
    *   A file that is deleted is made again, empty.  One that is broken, or full, raises ``OSError``, and is left as
        it is.

    Args:
        settings: Where, how much, how long.
        clock: Wall time, in seconds.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._clock = settings, clock
        # Absolute: the working directory may change.
        self._path = None if settings.path is None else Path(settings.path).expanduser().absolute()
        self._database: _sqlite.Database | None = None
        self._waiting = Waiting()
        self._identity: tuple[int, int] | None = None  # the thread's: which file it has open

    @classmethod
    async def open(cls, settings: Settings, *, clock: Callable[[], float] = time.time) -> SqliteQueue:
        """Open the file, or make it.

        Raises:
            OSError: It cannot be opened, or made.
            ValueError: It is a database of something else, or of a later version.
        """
        self = cls(settings, clock=clock)
        self._database = await _sqlite.Database.open(self._connect, "queue")
        return self

    async def send(self, body: bytes, *, delay: float = 0.0) -> str:
        """Put a message at the end; its id."""
        self._settings.check_body(body)
        check_seconds(delay, "a delay")
        now = self._clock()

        def send(db: sqlite3.Connection) -> str:
            self._settings.check_room(*_messages.total(db), body)
            return _messages.add(db, body, delay, now)

        sent = await self._write(send)
        self._waiting.wake()
        return sent

    async def receive(
        self, limit: int = 1, *, visibility: float | None = None, wait: float = 0.0
    ) -> Sequence[Delivery]:
        """Up to *limit* messages, which are the caller's for a time."""
        check_limit(limit)
        visibility = self._settings.visibility if visibility is None else visibility
        check_seconds(visibility, "a visibility", zero=False)
        check_seconds(wait, "a time to wait")
        next_in = [self._settings.look_every]

        async def take() -> Sequence[Delivery]:
            found, due = await self._take(limit, visibility)
            next_in[0] = min(self._settings.look_every, due - self._clock())
            return found

        return await self._waiting.until_some(take, lambda: next_in[0], wait)

    async def ack(self, receipt: str) -> bool:
        """The message is handled: delete it."""
        check_text(receipt, "a receipt")
        return await self._write(lambda db: _messages.delete(db, receipt))

    async def extend(self, receipt: str, visibility: float) -> bool:
        """Hold it for *visibility* from now on."""
        check_text(receipt, "a receipt")
        check_seconds(visibility, "a visibility", zero=False)
        return await self._settled(lambda db, now: _messages.hold(db, receipt, visibility, now))

    async def nack(self, receipt: str, *, delay: float = 0.0, dead: bool = False) -> bool:
        """Give it back, or give it up."""
        check_text(receipt, "a receipt")
        check_seconds(delay, "a delay")
        most = 0 if dead else self._settings.max_attempts
        found = await self._settled(lambda db, now: _messages.give_back(db, receipt, delay, most, now))
        self._waiting.wake()
        return found

    async def counts(self) -> QueueCounts:
        """How many messages there are."""
        return await self._settled(lambda db, now: _messages.counts(db))

    async def dead(self, limit: int = 100) -> Sequence[Delivery]:
        """Dead letters."""
        check_limit(limit)
        return await self._settled(lambda db, now: _messages.dead(db, limit))

    async def revive(self, id: str) -> bool:
        """Put a dead letter back, with no attempts counted."""
        check_text(id, "an id")
        found = await self._settled(lambda db, now: _messages.revive(db, id))
        self._waiting.wake()
        return found

    async def purge(self, *, dead: bool = False) -> int:
        """Delete every message, or the dead letters only; how many it was."""
        return await self._settled(lambda db, now: _messages.purge(db, dead=dead))

    async def health(self) -> Health:
        """Ask the file; ``failed`` if it does not answer, ``degraded`` when it is full; the details count."""
        started = time.perf_counter()
        details: dict[str, object] = {"file": None if self._path is None else str(self._path)}

        def examine() -> tuple[QueueCounts, tuple[int, int]]:
            with _sqlite.snapshot(db := self._db()):
                return _messages.counts(db), _messages.total(db)

        try:
            counts, (messages, size) = await self._run(examine)
        except OSError as error:
            return Health("failed", str(error), details, latency=time.perf_counter() - started)
        reason = self._settings.full(messages, size)
        details |= attrs.asdict(counts) | {"bytes": size}
        latency = time.perf_counter() - started
        return Health("degraded" if reason else "ok", reason, details, latency=latency)

    async def aclose(self) -> None:
        """Finish what was asked for, send those away who wait, close the file.

        A second time does nothing.  Bounded: see ``Database``.
        """
        if self._database is not None:
            closing = asyncio.ensure_future(self._database.aclose())
            try:
                await asyncio.sleep(0)  # it takes no calls any more
                self._waiting.wake()
            finally:
                await closing

    async def _take(self, limit: int, visibility: float) -> tuple[Sequence[Delivery], float]:
        """What there is, and when to look again."""
        taken: list[Delivery] = []

        def take() -> float:
            db = self._db()
            # Most looks find nothing: they need not be the only writer.
            ready, due = _messages.look(db, self._clock())
            if not ready:
                return due
            with _sqlite.transaction(db):
                now = self._clock()
                _messages.settle(db, self._settings.max_attempts, now)
                taking = _messages.take(db, limit, visibility, now)
            taken.extend(taking)
            return now

        try:
            return taken, await self._run(take)
        except asyncio.CancelledError:
            # Nobody hears of what was taken.  In the thread's order, so after it.
            with contextlib.suppress(RuntimeError):
                self._opened.post(lambda: self._untake(taken))
            raise

    def _untake(self, taken: Sequence[Delivery]) -> None:
        if taken:
            with _sqlite.transaction(db := self._db()):
                for delivery in taken:
                    _messages.untake(db, delivery.receipt)

    async def _settled(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        def settled(db: sqlite3.Connection) -> T:
            now = self._clock()
            _messages.settle(db, self._settings.max_attempts, now)
            return work(db, now)

        return await self._write(settled)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def write() -> T:
            with _sqlite.transaction(db := self._db()):
                return work(db)

        return await self._run(write)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self._opened.run(work)
        except sqlite3.Error as error:
            raise OSError(f"{self._place}: {error}") from error

    @property
    def _opened(self) -> _sqlite.Database:
        if self._database is None:
            raise RuntimeError("the queue is not open; make it by SqliteQueue.open()")
        return self._database

    @property
    def _place(self) -> str:
        return f"the queue file {self._path}" if self._path is not None else "the queue's temporary file"

    # --- what follows runs in the thread ------------------------------------------------------------------------------

    def _db(self) -> sqlite3.Connection:
        # SQLite goes on with a file that was deleted, and nobody would ever receive what is sent there.
        if self._path is not None and _sqlite.identity(self._path) != self._identity:
            log.warning("%s was deleted, or is another one: opened again", self._place)
            return self._opened.reconnect()
        return self._opened.connection

    def _connect(self) -> sqlite3.Connection:
        try:
            db = _sqlite.connect(self._path or "", busy_timeout=self._settings.busy_timeout)
            try:
                if self._path is not None:
                    self._identity = _sqlite.identity(self._path)
                    _messages.is_ours(db, self._path)
                    _sqlite.use_wal(db, busy_timeout=self._settings.busy_timeout)
                db.execute(f"PRAGMA synchronous = {self._settings.synchronous}")
                with _sqlite.transaction(db):
                    if not _messages.is_ours(db, self._path):
                        _messages.create(db, self._clock())
            except BaseException:
                db.close()
                raise
        except sqlite3.Error as error:
            raise OSError(f"cannot open {self._place}: {error}") from error
        return db


async def create(settings: Settings) -> SqliteQueue:
    """A queue on its file, opened."""
    return await SqliteQueue.open(settings)


@hookimpl
def oneiric_candidates() -> Iterable[Candidate]:
    """Declare ``sqlite``."""
    yield Candidate(
        Key.of("adapter", "queue"),
        "sqlite",
        create,
        priority=-10,  # below memory: it is for those who ask for it
        capabilities=frozenset({"delay", "dead-letters", "durable"}),
        settings_class=Settings,
        summary="in an SQLite file, shared by processes, there again after a restart",
    )
