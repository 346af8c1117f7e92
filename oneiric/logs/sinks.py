"""Streams and files as sinks; what goes wrong in one is told on stderr now and then, and nowhere else.

Telling it by logging would come back to the sink that has failed.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

from oneiric_hookspecs import Problem, SettingsError

#: Seconds between two complaints about one sink.
SELDOM = 60.0


class Trouble:
    """Counts what a sink has lost, and says so on stderr: at once, and then once a minute.

    Args:
        name: The sink's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._again = 0.0
        self._untold = 0
        self.lost = 0

    def tell(self, why: str, records: int = 1) -> None:
        """So many *records* were lost; raises nothing."""
        with self._lock:
            self.lost += records
            self._untold += records
            now = time.monotonic()
            if now < self._again:
                return
            self._again, count, self._untold = now + SELDOM, self._untold, 0
        line = " ".join(why.split())[:300]
        said = f"oneiric: logging.sinks.{self._name}: {line} ({count} record{'s' * (count != 1)} lost)\n"
        with contextlib.suppress(Exception):  # nobody is there to be told
            sys.stderr.write(said)


def _why() -> str:
    error = sys.exc_info()[1]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


class StreamSink(logging.StreamHandler[TextIO]):
    """stdout or stderr, as it is when something is logged.

    Args:
        name: The sink's.
        to: ``stdout`` or ``stderr``.
    """

    def __init__(self, name: str, to: str) -> None:
        super().__init__()
        self.trouble = Trouble(name)
        self._to = to

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        try:
            line = self.format(record) + "\n"
            stream = getattr(sys, self._to)
            encoding = getattr(stream, "encoding", None) or "utf-8"
            stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except Exception:
            self.trouble.tell(_why())

    def flush(self) -> None:
        """It is flushed with every record."""


class FileSink(RotatingFileHandler):
    """A file; when it has grown to its size it is renamed, and a new one is begun.

    Args:
        name: The sink's.
        path: Where; its folder is made.
        max_bytes: Its size.
        backups: How many are kept beside it.
    Raises:
        SettingsError: It cannot be written.
    """

    def __init__(self, name: str, path: Path, max_bytes: int, backups: int) -> None:
        self.trouble = Trouble(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            super().__init__(
                path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8", errors="backslashreplace"
            )
        except OSError as error:
            said = f"the file {path} cannot be written: {error.strerror}"
            raise SettingsError([Problem(f"logging.sinks.{name}.path", said)]) from None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Count it."""
        self.trouble.tell(_why())

    def close(self) -> None:
        """Close it; what a full disk has not taken is lost."""
        try:
            super().close()
        except (OSError, ValueError):
            self.trouble.tell(_why(), 0)
