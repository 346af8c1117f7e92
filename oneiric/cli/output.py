"""What commands print: tables that fit, colours where they are wanted, and JSON that nothing gets in between."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unicodedata import east_asian_width

import click

#: A terminal's width where there is no terminal.
WIDTH = 100
#: Columns are not cut below this.
LEAST = 3

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

#: Each state's colour; the word itself says the same.
COLORS = {
    "on": "green",
    "selected": "green",
    "->": "green",
    "kept": "green",
    "failed": "red",
    "broken": "red",
    "x": "red",
    "off": "yellow",
    "blocked": "yellow",
}


def wants_color(choice: str, stream: Any) -> bool:
    """Whether to write colours to *stream*: ``--color``, then NO_COLOR, FORCE_COLOR, and what the stream is."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and bool(getattr(stream, "isatty", lambda: False)())


def width() -> int:
    """Columns there are."""
    return max(20, shutil.get_terminal_size((WIDTH, 24)).columns)


def plain(text: object) -> str:
    """*text* on one line, whatever a plugin wrote into it: no control character reaches a terminal."""
    return _CONTROL.sub(" ", str(text)).strip()


def cells(text: str) -> int:
    """How many columns *text* takes."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(each) in "WF" else 1 for each in text)


def cut(text: str, room: int) -> str:
    """*text* in at most *room* columns, with an ellipsis where something is missing."""
    if cells(text) <= room:
        return text
    while text and cells(text) > room - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def cut_left(text: str, room: int) -> str:
    """The same for places: their end says more than their beginning."""
    if cells(text) <= room:
        return text
    while text and cells(text) > room - 1:
        text = text[1:]
    return "…" + text


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    color: bool = False,
    room: int | None = None,
    whole: bool = False,
) -> str:
    """*rows* under *head*, in columns that fit into *room*; a column in which nothing stands is left out.

    Args:
        head: Names of the columns; ``SUMMARY`` is the first to give way, and ``WHERE`` is cut at its beginning.
        rows: Their cells.
        color: Whether states get their colour.
        room: Columns of the terminal; None takes what there is.
        whole: Whether a cell without room goes on below itself, instead of being cut.
    """
    texts = [[plain(cell) for cell in row] for row in rows]
    used = [i for i, name in enumerate(head) if not name or any(row[i] for row in texts)]
    texts = [[row[i] for i in used] for row in texts]
    head = [head[i] for i in used]
    widths = [max(cells(name), *(cells(row[i]) for row in texts), 0) for i, name in enumerate(head)]
    _fit(head, widths, width() if room is None else room)
    lines = _lines(
        head, widths, [cut] * len(head), lambda text: click.style(text, bold=True) if color else text
    )
    cuts = [cut_left if name == "WHERE" else cut for name in head]
    for row in texts:
        for part in _folded(row, widths) if whole else [row]:
            lines += _lines(part, widths, cuts, paint if color else str)
    return "\n".join(lines)


def _fit(head: Sequence[str], widths: list[int], room: int) -> None:
    """Make the widest narrower until all fit, or none can give any more."""
    too_much = sum(widths) + 2 * (len(widths) - 1) - room
    if "SUMMARY" in head and too_much > 0:
        given = min(too_much, max(0, widths[head.index("SUMMARY")] - 4 * LEAST))
        widths[head.index("SUMMARY")] -= given
        too_much -= given
    while too_much > 0 and max(widths, default=0) > LEAST:
        widths[max(range(len(widths)), key=widths.__getitem__)] -= 1
        too_much -= 1


def _folded(row: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    import textwrap

    columns = [
        # A column of marks may have neither a head nor a mark, and no width.
        textwrap.wrap(text, max(size, 1), break_on_hyphens=False)
        for text, size in zip(row, widths, strict=True)
    ]
    return [[c[n] if n < len(c) else "" for c in columns] for n in range(max(map(len, columns)))]


def _lines(row: Sequence[str], widths: Sequence[int], cuts: Sequence[Any], style: Any) -> list[str]:
    parts = []
    for text, size, short_of in zip(row, widths, cuts, strict=True):
        short = short_of(text, size)
        parts.append(style(short) + " " * (size - cells(short)))
    return ["  ".join(parts).rstrip()]


def paint(text: str) -> str:
    """A state's word in its colour, anything else as it is."""
    return click.style(text, fg=COLORS[text]) if text in COLORS else text


def facts(pairs: Mapping[str, object], *, color: bool = False) -> str:
    """Names and values, one a line; what is empty is left out, and what is long goes on below itself."""
    import textwrap

    shown = {name: plain(value) for name, value in pairs.items() if plain(value)}
    longest = max(map(len, shown), default=0)
    lines = []
    for name, value in shown.items():
        first, *rest = textwrap.wrap(value, max(20, width() - longest - 2), break_on_hyphens=False) or [""]
        lines.append(f"{name:<{longest}}  {paint(first) if color else first}")
        lines += [" " * (longest + 2) + each for each in rest]
    return "\n".join(lines)


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """What anybody prints to stdout in this block goes to stderr: print, logging, C code, and child processes too."""
    out = sys.stdout
    kept: int | None = None
    with contextlib.suppress(OSError, ValueError, AttributeError):  # not a file, or stderr is closed
        if out.fileno() == 1:
            out.flush()
            kept = os.dup(1)
            os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = out
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


def seal() -> None:
    """From now to the end of the process nothing more comes out of stdout."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # not a file, or stderr is closed
        if sys.stdout.fileno() == 1:
            sys.stdout.flush()
            os.dup2(2, 1)
