"""SQLite for asynchronous code: one connection in one daemon thread, and what to do about a file that is broken.

Not the loop's default executor: a disk that hangs would starve DNS look-ups there, and keep the process from ending.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar

import attrs

T = TypeVar("T")

#: How many files that were set aside are kept of one database; the oldest goes.
KEPT_ASIDE = 3
#: How a database begins, and how many bytes its header has.
_MAGIC, _HEADER = b"SQLite format 3\0", 100


class _Thread(threading.Thread):
    """A thread that knows whether it has anything to do.

    Attributes:
        given: How many calls it was given; changed under the database's lock.
        done: How many of them have ended, and said so to their loop; changed by the thread only.
    """

    given = 0
    done = 0

    @property
    def idle(self) -> bool:
        return self.given == self.done


class Database:
    """One SQLite connection, used from a daemon thread of its own, call by call in their order.

    Args:
        connect: Opens the connection; called in the thread, by ``open`` and by ``reconnect``.
        what: What it is for, in the thread's name and in errors: ``cache``.
        at_end: Called in the thread with the connection, before that is closed; its ``sqlite3.Error`` is passed over.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        what: str,
        at_end: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        self._connect = connect
        self._what = what
        self._at_end = at_end
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._closing = self._given_up = False
        self._calls: queue.SimpleQueue[tuple[concurrent.futures.Future[None], Callable[[], None]] | None]
        self._calls = queue.SimpleQueue()
        self._waiting: set[concurrent.futures.Future[None]] = set()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._ended.set_running_or_notify_cancel()  # it cannot be cancelled by those who wait for it
        self._thread = _Thread(target=self._work, name=f"oneiric-sqlite-{what}", daemon=True)

    @classmethod
    def start(
        cls,
        connect: Callable[[], sqlite3.Connection],
        what: str,
        at_end: Callable[[sqlite3.Connection], None] | None = None,
    ) -> Self:
        """Start the thread, and connect when ``connection`` is first asked for."""
        self = cls(connect, what, at_end)
        self._thread.start()
        return self

    @classmethod
    async def open(
        cls,
        connect: Callable[[], sqlite3.Connection],
        what: str,
        at_end: Callable[[sqlite3.Connection], None] | None = None,
    ) -> Self:
        """Start the thread, and connect.

        Raises:
            BaseException: What *connect* raised; nothing is left then.
        """
        self = cls.start(connect, what, at_end)
        try:
            await self.run(self.reconnect)
        except Exception:
            await self.aclose()
            raise
        except BaseException:
            # Cancelled, so without waiting: the thread closes what it opens after all, and ends.
            self._stop()
            raise
        return self

    async def run(self, work: Callable[[], T]) -> T:
        """Call *work* in the thread; its result.

        A caller that is cancelled leaves: *work* is not begun any more, or goes on unseen.

        Raises:
            RuntimeError: It is closed, or closing took too long for *work* to end.
            BaseException: What *work* raised.
        """
        answer: list[T] = []
        await asyncio.wrap_future(self.post(lambda: answer.append(work())))
        return answer[0]

    def post(self, work: Callable[[], None]) -> concurrent.futures.Future[None]:
        """Have *work* called in the thread, whether anybody waits for it or not.

        Raises:
            RuntimeError: It is closed.
        """
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        with self._lock:
            if self._closing:
                raise self._closed()
            self._waiting.add(future)
            self._thread.given += 1
            self._calls.put((future, work))
        return future

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for a *work* of ``run`` only.  Raises: what *connect* raises, where ``reconnect`` failed."""
        return self._connection if self._connection is not None else self.reconnect()

    def reconnect(self) -> sqlite3.Connection:
        """Close the connection and open a new one.  To be called in the thread, by a *work* of ``run``."""
        self.disconnect()
        self._connection = self._connect()
        return self._connection

    def disconnect(self) -> None:
        """Close the connection, if there is one.  To be called in the thread, by a *work* of ``run``."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(sqlite3.Error):  # it is given up because it is broken
                connection.close()

    async def aclose(self, timeout: float = 5.0) -> None:
        """Take no new calls, end those that were taken, close the connection, end the thread.

        A second time does nothing.

        Args:
            timeout: Seconds for all that.  Then the statement that runs is interrupted and the calls that wait
                fail; a second later, so does the one that runs.
        Raises:
            TimeoutError: The thread hangs.  It is left alone, and closes the connection if it wakes up.
            sqlite3.Error: The connection cannot be closed.
        """
        if self._given_up:
            return
        self._stop()
        ended = asyncio.wrap_future(self._ended)
        await asyncio.wait({ended}, timeout=timeout)
        if not ended.done():
            if self._connection is not None:
                with contextlib.suppress(sqlite3.Error):  # closed in this very moment
                    self._connection.interrupt()
            self._fail(keep_running=True)
            await asyncio.wait({ended}, timeout=1.0)
        if not ended.done():
            self._given_up = True
            self._fail(keep_running=False)
            ended.cancel()
            raise TimeoutError(
                f"the {self._what} does not close: its file does not answer; its thread is left alone"
            )
        self._thread.join(1.0)  # it has nothing left to do
        ended.result()

    def _stop(self) -> None:
        with self._lock:
            if not self._closing:
                self._closing = True
                self._thread.given += 1
                self._calls.put(None)

    def _fail(self, *, keep_running: bool) -> None:
        with self._lock:
            for future in self._waiting:
                if not (keep_running and future.running()):
                    with contextlib.suppress(concurrent.futures.InvalidStateError):
                        future.set_exception(self._closed())

    def _closed(self) -> RuntimeError:
        return RuntimeError(f"the {self._what} is closed")

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, work = call
            error: BaseException | None = None
            with self._lock:
                wanted = not future.done() and future.set_running_or_notify_cancel()
            if wanted:
                try:
                    work()
                except BaseException as raised:
                    error = raised
                with contextlib.suppress(concurrent.futures.InvalidStateError):  # nobody waits any more
                    future.set_exception(error) if error is not None else future.set_result(None)
            with self._lock:
                self._waiting.discard(future)
            del call, future, work, error  # what they hold is not to live until the next call
            self._thread.done += 1
        try:
            if self._connection is not None:
                with contextlib.closing(self._connection), contextlib.suppress(sqlite3.Error):
                    if self._at_end is not None:
                        self._at_end(self._connection)
        except BaseException as raised:
            self._ended.set_exception(raised)
        else:
            self._ended.set_result(None)
        self._thread.done += 1


def a_file(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    """Validate a setting: the name of a file."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{attribute.name} is the name of a file, found {value!r}")
    if value == ":memory:":
        raise ValueError(f"{attribute.name} is the name of a file; leave it out for one that goes at the end")


def connect(path: str | Path, *, busy_timeout: float) -> sqlite3.Connection:
    """Open *path*, with transactions left to the caller; ``""`` is a nameless file that goes with the connection.

    Args:
        path: The file; it is created, for its owner only, with the folders above it.
        busy_timeout: Seconds to wait for other connections.
    Raises:
        OSError: It cannot be created there, or is a folder.
        sqlite3.Error: It cannot be opened.
    """
    if path:
        path = Path(path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise NotADirectoryError(
                f"{path} cannot be made: one of the folders above it is a file"
            ) from error
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder; name a file in it")
        # Only ever one that is new: closing a file lets go of all locks this process has on it, those of other
        # connections among them (sqlite.org/howtocorrupt.html, 2.2).
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def use_wal(connection: sqlite3.Connection, *, busy_timeout: float) -> None:
    """Switch to write-ahead logging, which stays with the file: readers and one writer do not wait for each other."""
    until = time.monotonic() + busy_timeout
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself here: two who switch at once could wait for each other.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last moments, nothing breaks
    connection.execute(f"PRAGMA journal_size_limit = {4 * 1024 * 1024}")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, as the only writer."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors have rolled back already; where rolling back fails too, the first error says why.
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Several reads of one moment, whatever others commit meanwhile; inside a transaction that is so anyway."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        with contextlib.suppress(sqlite3.Error):  # nothing was written
            connection.execute("ROLLBACK")


def is_ours(
    connection: sqlite3.Connection, path: str | Path | None, application: int, schema: int, what: str
) -> bool:
    """Whether *path* is a *what* already, by its application id and version; False where it is empty.

    Raises:
        ValueError: It is one of another version, or something else.
    """
    with snapshot(connection):  # another process may be making it
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if found == application:
        if version != schema:
            raise ValueError(f"{path} is a {what} of version {version}, and this is version {schema}")
        return True
    if found or version or tables:
        raise ValueError(f"{path} is a database of something else; name another file")
    return False


def was_ours(path: Path, application: int) -> bool:
    """Whether a file that is no sound database was one of *application*: as its header says, or where it is all zeros.

    Zeros are what some file systems leave of a page after a power cut, and nothing that anybody would miss.  For broken
    files only: closing the file lets go of all locks that this process has on it.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError:
        return False
    if len(header) < _HEADER:
        return False
    marked = int.from_bytes(header[68:72], "big") == application
    return (header.startswith(_MAGIC) and marked) or not any(header)


def is_broken(error: sqlite3.Error) -> bool:
    """Whether *error* says that the file is no sound database."""
    code = getattr(error, "sqlite_errorcode", 0)  # errors of the Python module have none
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def broken(what: str) -> sqlite3.DatabaseError:
    """An error for which ``is_broken`` is true, for what a check of the file has found."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def identity(path: Path) -> tuple[int, int] | None:
    """Which file stands under *path* now; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def set_aside(path: Path, which: tuple[int, int] | None) -> Path | None:
    """Rename a broken database to ``NAME.corrupt-N``, so that a new one can take its place.

    Args:
        path: Where it stands.
        which: Its ``identity``.
    Returns:
        Its new name; None where somebody else has done it before.
    """
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # Processes that find it broken at once must not set aside each other's new one.
        fcntl.flock(folder, fcntl.LOCK_EX)
        if which is None or identity(path) != which:
            return None
        start = f"{path.name}.corrupt-"
        numbers = sorted(
            int(each.name.removeprefix(start))
            for each in path.parent.iterdir()
            if each.name.startswith(start) and each.name.removeprefix(start).isdecimal()
        )
        aside = path.with_name(f"{start}{numbers[-1] + 1 if numbers else 1}")
        # The log first: a log beside a new, empty database would be played back into it.
        for suffix in ("-shm", "-wal", ""):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
        for number in numbers[: len(numbers) + 1 - KEPT_ASIDE]:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(f"{start}{number}{suffix}").unlink(missing_ok=True)
        return aside
    finally:
        os.close(folder)
