"""What goes on while a command waits, on a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from oneiric.cli.output import cut, plain, width

if TYPE_CHECKING:
    from oneiric.cli.context import Context

#: Seconds that may pass before anything is said.
PATIENCE = 1.0


class Progress:
    """One line on stderr that is written over again; none where nobody would see it.

    Args:
        shown: Whether there is a terminal, and somebody who wants to know.
    """

    def __init__(self, *, shown: bool) -> None:
        self._shown, self._since, self._last = shown, time.monotonic(), ""
        self._dumb = os.environ.get("TERM", "dumb") == "dumb"

    def now(self, text: str) -> None:
        """This is what goes on."""
        waited = time.monotonic() - self._since
        if not self._shown or waited < PATIENCE:
            return
        line = plain(text) if self._dumb else cut(f"{plain(text)}, {waited:.0f} s", width() - 1)
        if line != self._last:
            self._write(f"{line}\n" if self._dumb else f"\r\x1b[K{line}")
            self._last = line

    def end(self) -> None:
        """Nothing goes on any more."""
        if self._last and not self._dumb:
            self._write("\r\x1b[K")
        self._last = ""

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody is there any more
            sys.stderr.write(text)
            sys.stderr.flush()


@contextlib.contextmanager
def progress(context: Context) -> Iterator[Progress]:
    """Show what goes on in the block, once it has taken a second."""
    terminal = bool(getattr(sys.stderr, "isatty", lambda: False)())
    line = Progress(shown=terminal and not context.json and context.options.verbosity >= 0)
    try:
        yield line
    finally:
        line.end()
