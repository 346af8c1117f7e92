"""On which line of a TOML file something is written; ``tomllib`` does not say.

This reads text that ``tomllib`` has accepted, so it only has to find its way, not to judge.  Where it should lose
it all the same, the lines found so far still stand, and ``line_of`` falls back to the nearest enclosing table.
"""

from __future__ import annotations

import re

from .plain import Parts

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_TEXT = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
# A date and a time may have a space between them.
_WORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]*|[^\s,\]}#]+")
_REST = re.compile(r"[^\n]*")


def positions(text: str) -> dict[Parts, int]:
    """The line of every key, table and list item of *text*, by its path; lines count from 1."""
    scanner = _Scanner(text)
    try:
        scanner.document()
    except (_Lost, ValueError, RecursionError):
        pass  # the lines found so far still stand
    return scanner.lines


def line_of(lines: dict[Parts, int], path: Parts) -> int | None:
    """The line of *path*, else of the nearest that encloses it; None if not even that is written."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


class _Lost(Exception):
    """The text is not what was expected here."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Parts, int] = {}
        self.last: dict[Parts, int] = {}  # of each array of tables, the place of its newest table
        self._counted, self._line = 0, 1

    def document(self) -> None:
        table: Parts = ()
        self.skip(_BLANK)
        while self.at < len(self.text):
            if self.text.startswith("[[", self.at):
                table = self.array_header()
            elif self.text.startswith("[", self.at):
                table = self.table_header()
            else:
                self.pair(table)
            self.skip(_REST)
            self.skip(_BLANK)

    def table_header(self) -> Parts:
        line = self.line()
        path: Parts = ()
        self.take("[")
        for path in self.resolved(self.keys()):
            self.lines.setdefault(path, line)
        self.lines[path] = line  # what only lay on the way to another header before, is opened here
        return path

    def array_header(self) -> Parts:
        line = self.line()
        self.take("[[")
        *outer, name = self.keys()
        path: Parts = ()
        for path in self.resolved(outer):
            self.lines.setdefault(path, line)
        path = (*path, name)
        self.lines.setdefault(path, line)
        self.last[path] = self.last.get(path, -1) + 1
        path = (*path, self.last[path])
        self.lines[path] = line
        return path

    def resolved(self, keys: list[str]) -> list[Parts]:
        """The path of each of *keys*, where a name of an array of tables means its newest table."""
        path: Parts = ()
        paths = []
        for key in keys:
            path = (*path, key)
            if path in self.last:
                path = (*path, self.last[path])
            paths.append(path)
        return paths

    def pair(self, table: Parts) -> None:
        line, path = self.line(), table
        for key in self.keys():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self.take("=")
        self.skip(_SPACE)
        self.value(path)

    def keys(self) -> list[str]:
        import tomllib  # there has been a file

        keys = []
        while True:
            self.skip(_SPACE)
            word = self.skip(_KEY).group()
            keys.append(tomllib.loads(f"key = {word}")["key"] if word[0] in "\"'" else word)
            self.skip(_SPACE)
            if not self.text.startswith(".", self.at):
                return keys
            self.at += 1

    def value(self, path: Parts) -> None:
        first = self.text[self.at : self.at + 1]
        if first == "[":
            self.items(path)
        elif first == "{":
            self.inline(path)
        else:
            self.skip(_TEXT if first in ("'", '"') else _WORD)

    def items(self, path: Parts) -> None:
        self.at += 1
        place = 0
        while not self.closed("]"):
            self.lines[*path, place] = self.line()
            self.value((*path, place))
            place += 1

    def inline(self, path: Parts) -> None:
        self.at += 1
        while not self.closed("}"):
            self.pair(path)

    def closed(self, end: str) -> bool:
        """Whether the list or table ends here; what separates its items is passed over."""
        self.skip(_BLANK)
        if self.text.startswith(",", self.at):
            self.at += 1
            self.skip(_BLANK)
        if self.text.startswith(end, self.at):
            self.at += 1
            return True
        return False

    def skip(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _Lost
        self.at = match.end()
        return match

    def take(self, word: str) -> None:
        if not self.text.startswith(word, self.at):
            raise _Lost
        self.at += len(word)

    def line(self) -> int:
        # Counted on from where it was counted last: from the start each time would be quadratic.
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line
