"""What commands print: tables that fit, colours where they are wanted, and JSON that nothing gets in between."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    "fail": "red",
    "warn": "yellow",
    "ok": "green",
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


def longer_than_terminal(text: str) -> bool:
    """Whether *text* would scroll away: it goes to a terminal, with somebody at its keys, and has more lines."""
    if not all(getattr(stream, "isatty", lambda: False)() for stream in (sys.stdin, sys.stdout)):
        return False
    return text.count("\n") + 2 > shutil.get_terminal_size((WIDTH, 24)).lines


def paged(text: str, *, color: bool) -> None:
    """Write *text* through PAGER, or ``less``; at once where PAGER is empty or ``cat``."""
    import shlex

    try:
        command = shlex.split(os.environ.get("PAGER", "less"))
    except ValueError:  # a quote that does not end
        command = []
    if command in ([], ["cat"]):
        click.echo(text, color=color)
        return
    # As git has it: colours are shown, and the text stays when the pager ends.
    unset = "LESS" not in os.environ
    os.environ.setdefault("LESS", "FRX")
    try:
        # Where colours were not wanted none were written, and there is nothing to be taken out.
        click.echo_via_pager(text, color=True)
    finally:
        if unset:
            del os.environ["LESS"]


def plain(text: object) -> str:
    """*text* on one line, whatever a plugin wrote into it: no control character reaches a terminal."""
    return _CONTROL.sub(" ", str(text)).strip()


def mask(value: Any, masked: Callable[[str], str]) -> Any:
    """Plain data with *masked* applied to every text in it; names of fields stay."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {name: mask(item, masked) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask(item, masked) for item in value]
    return value


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
        head: Names of the columns; ``SUMMARY`` and ``HOOKS`` give way first, ``KEY`` last, and ``WHERE`` is cut at its
            beginning.
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
    for name, least in (("SUMMARY", 4 * LEAST), ("HOOKS", 2 * LEAST)):
        if name in head and too_much > 0:
            given = min(too_much, max(0, widths[head.index(name)] - least))
            widths[head.index(name)] -= given
            too_much -= given
    # What a line is about is typed into the next command, and is read whole as long as the others can give.
    others = [place for place, name in enumerate(head) if name not in {"ID", "KEY", "RUN"}]
    everyone = range(len(head))
    for giving, least in ((others, 3 * LEAST), (everyone, LEAST)):
        while too_much > 0 and max((widths[i] for i in giving), default=0) > least:
            widths[max(giving, key=widths.__getitem__)] -= 1
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
def aside() -> Iterator[Callable[[str], None]]:
    """What anybody prints to stdout in this block goes to stderr: print, logging, C code, and child processes too.

    Yields:
        What writes a text to stdout all the same, at once.
    """
    out = sys.stdout
    kept: int | None = None
    with contextlib.suppress(OSError, ValueError, AttributeError):  # not a file, or stderr is closed
        if out.fileno() == 1:
            out.flush()
            kept = os.dup(1)
            os.dup2(2, 1)
    sys.stdout = sys.stderr

    def write(text: str) -> None:
        if kept is None:
            out.write(text)
            out.flush()
            return
        data = text.encode(out.encoding, "backslashreplace")
        while data:
            data = data[os.write(kept, data) :]

    try:
        yield write
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
