"""Tells the demo as it goes: scenes, what the plugin logs, and progress where a terminal watches."""

from __future__ import annotations

import logging
import sys
import textwrap
from typing import Any

import click

from oneiric.cli.context import Context
from oneiric.cli.output import cut, plain, width

_COLORS = {
    "activated": "green",
    "swapped": "green",
    "rolled": "yellow",
    "failed": "red",
    "refused": "yellow",
    "retired": "cyan",
    "resolved": "cyan",
    "rejected": "yellow",
    "unreachable": "yellow",
    "killed": "red",
    "lost": "red",
    "handled": "green",
    "resumed": "green",
    "signed": "green",
    "synced": "green",
    "upgraded": "green",
    "believed": "green",
}


class Narrator(logging.Handler):
    """Prints what is told, or with ``--json`` keeps it.

    Attributes:
        scenes: What was told, by scene.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(logging.INFO)
        self._context = context
        self._silent, self._color = context.options.json, context.color
        self._progress = sys.stderr.isatty() and not self._silent and context.options.verbosity >= 0
        self._shown = False
        self._left: int | None = None
        self.scenes: list[dict[str, Any]] = []

    # --- what the plugin logs ----------------------------------------------------------------------------------

    def listen(self, plugin: str) -> None:
        """Tell what *plugin* logs."""
        self._logger = logging.getLogger(f"oneiric.plugin.{plugin}")
        self._before = self._logger.level, self._logger.propagate
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        self._logger.addHandler(self)

    def close(self) -> None:
        """Listen no more."""
        if hasattr(self, "_logger"):
            self._logger.removeHandler(self)
            self._logger.level, self._logger.propagate = self._before
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """One line of the plugin's."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                return
        self.say(record.getMessage())

    def at_most(self, lines: int | None) -> None:
        """From now on only so many lines of the plugin's; None takes that back."""
        self._left = lines

    # --- the story ---------------------------------------------------------------------------------------------

    def begin(self, title: str) -> None:
        """The first line."""
        for line in textwrap.wrap(title, width()):
            self._print(click.style(line, bold=True) if self._color else line)

    def scene(self, title: str) -> None:
        """A new scene."""
        self.scenes.append({"title": title, "said": []})
        self._print("")
        self.begin(f"{len(self.scenes)}. {title}")

    def say(self, text: str) -> None:
        """What happens: one line, its first word in the colour of what it says."""
        text = plain(text)
        if self.scenes:
            self.scenes[-1]["said"].append(text)
        # What goes on stands below what it goes on from: the first word and its gap take thirteen columns.
        first, *more = textwrap.wrap(
            text, width() - 3, subsequent_indent=" " * 13, break_on_hyphens=False
        ) or [""]
        word, space, rest = first.partition(" ")
        if self._color and word in _COLORS:
            first = click.style(word, fg=_COLORS[word]) + space + rest
        for line in (first, *more):
            self._print("   " + line)

    def show(self, block: str) -> None:
        """A block as it is, indented."""
        if self.scenes:
            self.scenes[-1]["said"] += [line.strip() for line in block.splitlines()]
        for line in block.splitlines():
            self._print("   " + line)

    def progress(self, text: str) -> None:
        """How far it is; gone when the next line is printed."""
        if self._progress:
            sys.stderr.write("\r\x1b[K   " + cut(text, width() - 4))
            sys.stderr.flush()
            self._shown = True

    def _print(self, text: str) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False
        if not self._silent:
            click.echo(text, color=self._color)
