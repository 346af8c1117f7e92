"""How python-tuf reads a stream: by the kernel's hands, and so inside its limits and its time."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import IO

from oneiric_hookspecs import RemoteIO
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient.fetcher import FetcherInterface

from .files import LIMIT


class Fetcher(FetcherInterface):
    """A fetcher of python-tuf's over a ``RemoteIO``.

    What the kernel raises passes through python-tuf as it is; that there is no such file is the 404 it looks for.

    Args:
        io: Reads the stream; what it is asked for is relative to the stream's address.
    """

    def __init__(self, io: RemoteIO) -> None:
        self._io = io
        #: The paths that were asked for, in order.
        self.asked: list[str] = []
        #: What was given out.
        self.given: set[bytes] = set()

    @contextlib.contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """The file at a path, whole; *max_length* is what python-tuf would take, and nothing is longer than is kept."""
        yield io.BytesIO(self._get(url, max_length))

    def _fetch(self, url: str) -> Iterator[bytes]:
        yield self._get(url, LIMIT)

    def _get(self, path: str, limit: int) -> bytes:
        self.asked.append(path)
        got = self._io.get(path, limit=min(limit, LIMIT))
        if got is None:
            raise DownloadHTTPError(f"there is no {path}", 404)
        self.given.add(got.data)
        return got.data
