"""``file:``, a folder of this machine, or one file with all of a release in it.  Rules, each tested by its number:

D1  only plain files are read; a pipe, a device, a folder, a link are refused, and keep nobody waiting
D2  nothing outside of the folder is reached, whatever is exchanged for a link meanwhile
D3  what has not changed since it was last read is not opened
D4  a bundle is its first line, and the rest
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from oneiric_hookspecs import Fetched, Fetcher, FetchError, Fetching, PluginError, Sink, SourceSpec, hookimpl

_PIECE = 256 * 1024
#: The longest head, and a byte more, which the sink refuses.
_HEAD = 16 * 1024 + 1
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: The body of a release: called by its digest, as a rule, and no document beside the head, which are all ``.json``.
_BODY = re.compile(r"(?!artifacts/|keyrings/)(?:.*[0-9a-f]{64}.*|.*(?<!\.json))")


class Folder:
    """A stream whose files lie in a folder.

    Args:
        folder: An absolute path.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def get(self, path: str, sink: Sink, *, etag: str | None = None) -> Fetched:
        """Read a file of the folder."""
        *folders, name = path.split("/")
        if etag is not None and not folders and _known(f"{self._folder}/{name}", etag):  # D3
            return Fetched("unchanged", etag)
        with _handles() as handles:
            try:
                handles.append(os.open(self._folder, _FOLDER))
            except OSError as error:
                raise _refused(self._folder, error) from None
            try:
                for part in folders:  # D2
                    handles.append(os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=handles[-1]))
                handles.append(os.open(name, _FILE, dir_fd=handles[-1]))
            except FileNotFoundError:
                return Fetched("absent")
            except OSError as error:
                raise _refused(f"{self._folder}/{path}", error) from None
            found = _plain(handles[-1], f"{self._folder}/{path}")
            if etag == found:
                return Fetched("unchanged", etag)
            _copy(handles[-1], sink, f"{self._folder}/{path}")
            return Fetched("ok", found)

    def close(self) -> None:
        """Nothing is kept open."""


class Bundle:
    """A release in one file: its head on the first line, the body after that (D4).

    Args:
        file: An absolute path.
    """

    def __init__(self, file: str) -> None:
        self._file = file

    def get(self, path: str, sink: Sink, *, etag: str | None = None) -> Fetched:
        """Read the head, or the body; there is nothing else."""
        is_head = path == "head.json"
        if not is_head and _BODY.fullmatch(path) is None:
            return Fetched("absent")
        if is_head and etag is not None and _known(self._file, etag):  # D3
            return Fetched("unchanged", etag)
        with _handles() as handles:
            try:
                handles.append(os.open(self._file, _FILE))
            except OSError as error:
                raise _refused(self._file, error) from None
            found = _plain(handles[-1], self._file)
            try:
                head, line_feed, _ = os.pread(handles[-1], _HEAD, 0).partition(b"\n")
                if not is_head:
                    os.lseek(handles[-1], len(head) + len(line_feed), os.SEEK_SET)
            except OSError as error:
                raise _refused(self._file, error) from None
            if is_head:
                sink.write(head)
            else:
                _copy(handles[-1], sink, self._file)
            return Fetched("ok", found)

    def close(self) -> None:
        """Nothing is kept open."""


@contextmanager
def _handles() -> Iterator[list[int]]:
    handles: list[int] = []
    try:
        yield handles
    finally:
        for each in handles:
            os.close(each)


def _known(path: str, etag: str) -> bool:
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and _etag(found) == etag


def _etag(found: os.stat_result) -> str:
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _plain(handle: int, path: str) -> str:
    """D1; what the file is known by."""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise FetchError(f"{path} is no plain file", code="io", retryable=False)
    return _etag(found)


def _copy(handle: int, sink: Sink, path: str) -> None:
    while True:
        try:
            piece = os.read(handle, _PIECE)
        except OSError as error:
            raise _refused(path, error) from None
        if not piece:
            return
        sink.write(piece)


def _refused(path: str, error: OSError) -> FetchError:
    if error.errno == errno.ENOENT:
        return FetchError(f"there is no {path}")
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EISDIR}:
        return FetchError(f"{path} is no plain file, or is behind a link", code="io", retryable=False)
    return FetchError(f"{path} cannot be read: {(error.strerror or 'unknown').lower()}", code="io")


def open_file(spec: SourceSpec) -> Fetching:
    """The folder, or the bundle, that an address means.

    Raises:
        PluginError: It means none.
    """
    rest = spec.url.partition(":")[2]
    if rest.startswith("//"):
        host, _, path = rest[2:].partition("/")
        if host not in {"", "localhost"}:
            raise PluginError(
                f"file://{host[:60]} is another machine", hint="write file:/ and the path of a folder here"
            )
        rest = f"/{path}"
    path = unquote(rest)
    if path and not path.startswith("/") and spec.folder:
        path = os.path.normpath(os.path.join(spec.folder, path))  # noqa: PTH118 - texts from here on
    if not path.startswith("/") or "\0" in path or "?" in rest or "#" in rest:
        raise PluginError(
            "a file: address holds the path of a folder, and nothing else",
            hint="write file:/srv/streams/shop",
        )
    if path.endswith(".bundle"):
        return Bundle(path)
    return Folder(path.rstrip("/") or "/")


@hookimpl
def oneiric_fetchers() -> Iterable[Fetcher]:
    """Folders and bundles."""
    yield Fetcher("file", open_file, "a folder, or a .bundle file, of this machine")
