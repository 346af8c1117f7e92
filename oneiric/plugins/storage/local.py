"""``adapter:storage`` ``local``: files in a folder, shared by the processes of one machine."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
import zlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from pathlib import Path
from typing import TypeVar

import attrs
from attrs.validators import instance_of, le, optional
from oneiric_hookspecs import Candidate, Health, Key, hookimpl

from oneiric.plugins._cache import a_count
from oneiric.plugins._tree import Partial, Tree, parse
from oneiric.plugins._worker import Worker

T = TypeVar("T")

#: How many bytes are read, or gathered before they are written, at a time.
CHUNK = 256 * 1024


def _a_folder(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{attribute.name} is the name of a folder, found {value!r}")


@attrs.frozen
class Settings:
    """Where it is kept, and how much of it.

    Args:
        root: The folder; ``~`` is understood, and it is made if it is not there.  None is a temporary one that is
            deleted when the storage is closed.
        max_object_bytes: How many bytes may be under one name.
        sync: Whether what was written survives a power cut; False is faster, and survives the end of the process.
        threads: How many names can be worked on at once, 1 to 64.
    """

    root: str | None = attrs.field(default=None, validator=optional(_a_folder))
    max_object_bytes: int = attrs.field(default=1024**3, validator=a_count)
    sync: bool = attrs.field(default=True, validator=instance_of(bool))
    threads: int = attrs.field(default=4, validator=[a_count, le(64)])


class LocalStorage:
    """A ``Storage`` in a folder; made by ``open``.

    *   A name is the path of its file.  Links are never followed: a file that is reached through one is not there.
    *   Files are for their owner only.
    *   A file comes into sight whole.  What a process that was killed had begun is deleted when the folder is next
        opened.
    *   All calls about one name are made by one thread, in their order, so that a call whose caller has gone does not
        overtake a later one.

    Args:
        settings: Where, and how much.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Absolute: the working directory may change.
        self._root = None if settings.root is None else Path(settings.root).expanduser().absolute()
        self._tree: Tree | None = None
        self._temporary: str | None = None
        self._workers = [Worker("storage") for _ in range(settings.threads)]
        self._looking = Worker("storage")  # what takes long is not in the way of names
        self._streams: dict[object, tuple[Worker, Callable[[], None]]] = {}

    @classmethod
    async def open(cls, settings: Settings) -> LocalStorage:
        """Open the folder, or make it.

        Raises:
            OSError: It cannot be opened, or made.
        """
        self = cls(settings)
        try:
            await self._looking.run(self._begin)
        except Exception:
            await self.aclose()
            raise
        except BaseException:
            # Cancelled, so without waiting: the threads let go of what there is, and end.
            self._looking.post(self._end)
            for worker in (*self._workers, self._looking):
                worker.stop()
            raise
        return self

    async def put(self, name: str, data: bytes) -> None:
        """Keep *data* under *name*, in place of what was there."""
        parse(name)
        _check_bytes(data)

        def put() -> None:
            partial = self._partial()
            try:
                partial.write(data)
                partial.finish(name)
            finally:
                partial.discard()

        await self._worker(name).run(put)

    async def get(self, name: str) -> bytes:
        """All bytes under *name*."""
        parse(name)
        return await self._worker(name).run(lambda: self._get(name))

    async def delete(self, name: str) -> bool:
        """Delete what is under *name*; whether there was anything."""
        parse(name)
        return await self._worker(name).run(lambda: self._opened.delete(name))

    async def exists(self, name: str) -> bool:
        """Whether there is anything under *name*."""
        with contextlib.suppress(FileNotFoundError):
            await self.size(name)
            return True
        return False

    async def size(self, name: str) -> int:
        """How many bytes are under *name*."""
        parse(name)
        return await self._worker(name).run(lambda: self._opened.size(name))

    async def write(self, name: str, chunks: AsyncIterable[bytes]) -> int:
        """As ``put``, for what need not fit into memory."""
        parse(name)
        worker, partial = self._worker(name), self._partial()
        with self._streaming(worker, partial.discard):
            gathered: list[bytes] = []
            room = CHUNK
            async for chunk in chunks:
                _check_bytes(chunk)
                gathered.append(chunk)
                room -= len(chunk)
                if room <= 0:
                    data, gathered, room = b"".join(gathered), [], CHUNK
                    await worker.run(lambda data=data: partial.write(data))  # type: ignore[misc]
            data = b"".join(gathered)

            def finish() -> int:
                partial.write(data)
                return partial.finish(name)

            return await worker.run(finish)

    @contextlib.asynccontextmanager
    async def read(self, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """As ``get``, for what need not fit into memory."""
        parse(name)
        worker, opened = self._worker(name), _Reading()
        with self._streaming(worker, opened.close):
            await worker.run(lambda: opened.open(self._opened, name))

            async def chunks() -> AsyncGenerator[bytes, None]:
                while chunk := await worker.run(opened.read):
                    yield chunk

            async with contextlib.aclosing(chunks()) as reading:
                yield reading

    async def list(self, prefix: str = "") -> Sequence[str]:
        """All names that begin with *prefix*, in the order of their code points."""
        if not isinstance(prefix, str):
            raise TypeError(f"a prefix is a text, found {type(prefix).__name__}")
        return await self._looking.run(lambda: self._opened.names(prefix))

    async def health(self) -> Health:
        """Look for the folder; ``failed`` where it has gone, or another one stands there."""
        started = time.perf_counter()
        details, reason = await self._looking.run(self._examine)
        return Health("failed" if reason else "ok", reason, details, latency=time.perf_counter() - started)

    async def aclose(self) -> None:
        """Finish what was asked for, end what is read and written in pieces, let go of the folder.

        A second time does nothing.  Bounded: threads that hang are left alone.

        Raises:
            TimeoutError: One hangs.
        """
        with contextlib.suppress(RuntimeError):  # a second time
            for worker, end in self._streams.values():
                worker.post(end)
        try:
            ended = await asyncio.gather(*(each.aclose() for each in self._workers), return_exceptions=True)
        finally:
            with contextlib.suppress(RuntimeError):
                self._looking.post(self._end)
            self._looking.stop()
        await self._looking.aclose()
        for error in ended:
            if error is not None:
                raise error

    def _worker(self, name: str) -> Worker:
        return self._workers[zlib.crc32(name.encode()) % len(self._workers)]

    def _partial(self) -> Partial:
        return Partial(self._opened, self._settings.max_object_bytes)

    @property
    def _opened(self) -> Tree:
        if self._tree is None:
            raise RuntimeError("the storage is not open; make it by LocalStorage.open()")
        return self._tree

    @contextlib.contextmanager
    def _streaming(self, worker: Worker, end: Callable[[], None]) -> Iterator[None]:
        """*end* is called in the thread when the block ends, however it does, or the storage is closed before."""
        mark = object()
        self._streams[mark] = (worker, end)
        try:
            yield
        finally:
            del self._streams[mark]
            with contextlib.suppress(RuntimeError):  # closed, and *end* was called for that
                worker.post(end)

    # --- what follows runs in a thread --------------------------------------------------------------------------------

    def _begin(self) -> None:
        root = self._root
        if root is None:
            import tempfile

            self._temporary = tempfile.mkdtemp(prefix="oneiric-storage-")
            root = Path(self._temporary)
        try:
            self._tree = Tree(root, sync=self._settings.sync)
        except (FileExistsError, NotADirectoryError):
            raise NotADirectoryError(
                errno.ENOTDIR, "this, or a folder above it, is a file; name a folder", str(root)
            ) from None

    def _end(self) -> None:
        if self._tree is not None:
            self._tree.close()
        if self._temporary is not None:
            import shutil

            shutil.rmtree(self._temporary, ignore_errors=True)

    def _get(self, name: str) -> bytes:
        limit = self._settings.max_object_bytes
        fd, size = self._opened.open(name)
        with open(fd, "rb", buffering=0) as file:  # noqa: PTH123 - it is open already
            data = file.read(limit + 1) if size <= limit else b""
        if size > limit or len(data) > limit:
            raise OSError(errno.EFBIG, f"it is larger than the {limit} bytes that one may have", name)
        return data or b""

    def _examine(self) -> tuple[dict[str, object], str]:
        tree = self._opened
        details: dict[str, object] = {"folder": str(tree.root)}
        try:
            there, held = os.stat(tree.root), os.fstat(tree.fd)  # noqa: PTH116 - as fstat
            free = os.fstatvfs(tree.fd)
        except OSError as error:
            return details, f"the folder {tree.root}: {(error.strerror or str(error)).lower()}"
        details["free_bytes"] = free.f_bavail * free.f_frsize
        if not os.path.samestat(there, held):
            return details, f"the folder {tree.root} is another one than it was; reload the storage"
        return details, ""


class _Reading:
    """A file that is read in pieces; its methods block."""

    def __init__(self) -> None:
        self._fd = -1

    def open(self, tree: Tree, name: str) -> None:
        self._fd, _ = tree.open(name)

    def read(self) -> bytes:
        if self._fd < 0:
            raise RuntimeError("the reading has ended")
        return os.read(self._fd, CHUNK)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _check_bytes(data: object) -> None:
    if not isinstance(data, bytes):
        raise TypeError(f"what is kept is bytes, found {type(data).__name__}")


async def create(settings: Settings) -> LocalStorage:
    """A storage on its folder, opened."""
    return await LocalStorage.open(settings)


@hookimpl
def oneiric_candidates() -> Iterable[Candidate]:
    """Declare ``local``."""
    yield Candidate(
        Key.of("adapter", "storage"),
        "local",
        create,
        capabilities=frozenset({"durable", "streaming"}),
        settings_class=Settings,
        summary="files in a folder, shared by the processes of one machine",
    )
