"""Which plugin is being imported, for whoever wonders on a terminal why nothing happens."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from .output import cut, plain, width

if TYPE_CHECKING:
    from oneiric.hooks import PluginRecord

PATIENCE = 1.0  # seconds that may pass before anything is said
EVERY = 0.2  # seconds between two looks

Watch = Callable[["PluginRecord"], object]


@contextlib.contextmanager
def shown(stream: TextIO) -> Iterator[Watch]:
    """Say on *stream*, a terminal, which plugin is being imported, once importing them has taken a second."""
    line = _Line(stream)
    try:
        yield line.now
    finally:
        line.end()


class _Line:
    """One line that is written over again, by a thread of its own: the one that imports has other things to do."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._ended = stream, threading.Event()
        self._thread: threading.Thread | None = None
        self._what, self._since, self._shown = "", time.monotonic(), ""
        self._dumb = os.environ.get("TERM", "dumb") == "dumb"

    def now(self, record: PluginRecord) -> None:
        """It is *record*'s turn."""
        of = f" ({record.distribution} {record.version or ''}".rstrip() + ")" if record.distribution else ""
        self._what, self._since = plain(f"{record.name}{of}"), time.monotonic()
        if self._thread is None:
            self._thread = threading.Thread(target=self._tell, name="oneiric-importing", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """All are loaded."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._shown and not self._dumb:
            self._write("\r\x1b[K")

    def _tell(self) -> None:
        if self._ended.wait(PATIENCE):
            return
        while not self._ended.wait(EVERY):
            seconds = time.monotonic() - self._since
            text = cut(f"importing the plugin {self._what}, {seconds:.0f} s", width() - 1)
            if self._dumb:
                # Nothing can be written over: once for each.
                if self._what != self._shown:
                    self._write(f"importing the plugin {self._what}\n")
                    self._shown = self._what
            else:
                self._write(f"\r\x1b[K{text}")
                self._shown = text

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody is there any more
            self._stream.write(text)
            self._stream.flush()
