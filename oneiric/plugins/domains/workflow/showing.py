"""How far a run has come, on a terminal: one line, rewritten as nodes start and end."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

from .running import Progress


class Shown:
    """A watcher that shows what it is told.

    Args:
        out: The terminal.
        width: Its columns.
    """

    def __init__(self, out: TextIO, width: int) -> None:
        self._out, self._width = out, width
        self._going: dict[str, None] = {}
        self._failed = 0

    def __call__(self, told: Progress) -> None:
        """Write the line anew."""
        if told.state == "started":
            self._going[told.node] = None
        else:
            self._going.pop(told.node, None)
            self._failed += told.state == "failed"
        text = f"{told.done}/{told.total} nodes"
        if self._failed:
            text += f", {self._failed} failed"
        if self._going:
            text += f": {', '.join(self._going)}"
        if len(text) >= self._width:
            text = text[: self._width - 2] + "…"
        self._write(f"\r\x1b[K{text}")

    def clear(self) -> None:
        """Leave nothing of it."""
        self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def shown(*, quiet: bool) -> Shown | None:
    """Who shows it on stderr; None where that is no terminal, or it is to be *quiet*."""
    if quiet or not getattr(sys.stderr, "isatty", lambda: False)():
        return None
    return Shown(sys.stderr, shutil.get_terminal_size().columns)
