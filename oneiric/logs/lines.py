"""A record as one line, whatever is in it: nobody who logs can forge another one, or break it in two."""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import os
import re
from collections.abc import Callable
from typing import Any

from .facts import extras_of, facts_of

#: Characters of a message, and of a traceback; what is more is cut, and counted.
LONGEST = 64 * 1024
#: Fields of ``extra`` that are shown, and characters of each.
EXTRAS, EXTRA = 32, 1000

_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ORDER = ("domain", "key", "provider", "operation", "node", "trace_id", "span_id")

Masked = Callable[[str], str]


class _Lines(logging.Formatter):
    """What both formats need.

    Args:
        masked: Takes the secrets out of a text.
    """

    def __init__(self, masked: Masked = str) -> None:
        super().__init__()
        self._masked = masked

    def said(self, record: logging.LogRecord) -> str:
        """The message; one that cannot be made says so."""
        try:
            text = record.getMessage()
        except Exception as error:
            text = f"{_text(record.msg)} (could not be formatted: {type(error).__name__})"
        return self.safe(text)

    def safe(self, text: str, longest: int = LONGEST) -> str:
        """*text* masked, then cut: half a secret would not be found."""
        try:
            text = self._masked(text)
        except Exception:
            return "(could not be masked)"
        return (
            text if len(text) <= longest else f"{text[:longest]}... ({len(text) - longest} more characters)"
        )

    def trace(self, record: logging.LogRecord) -> str:
        """The traceback of its exception, and the stack it asked for."""
        parts = []
        try:
            if record.exc_info and record.exc_info[0] is not None:
                parts.append(self.formatException(record.exc_info))
            elif record.exc_text:
                parts.append(record.exc_text)
            if record.stack_info:
                parts.append(record.stack_info)
        except Exception as error:
            parts.append(f"(a traceback that could not be shown: {type(error).__name__})")
        text = "\n".join(parts)
        if len(text) > 4 * LONGEST:
            text = text[-4 * LONGEST :]  # what a traceback says stands at its end
        text = self.safe(text, 4 * LONGEST)
        return text if len(text) <= LONGEST else f"(...)\n{text[-LONGEST:]}"


class JsonLines(_Lines):
    """One JSON object a line, in ASCII.

    ``time level logger message process thread`` are always there; ``domain key provider operation node trace_id
    span_id``, ``error`` (``type message traceback``) and ``extra`` where there are any.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        when = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": str(record.levelname).lower(),
            "logger": record.name,
            "message": self.said(record),
        }
        facts = facts_of(record)
        line |= {name: self.safe(facts[name], EXTRA) for name in _ORDER if facts.get(name)}
        line |= {"process": record.process or os.getpid(), "thread": record.threadName}
        trace = self.trace(record)
        if record.exc_info and record.exc_info[0] is not None:
            kind, error, _ = record.exc_info
            said = self.safe(_text(error), LONGEST)
            line["error"] = {
                "type": f"{kind.__module__}.{kind.__qualname__}",
                "message": said,
                "traceback": trace,
            }
        elif trace:
            line["error"] = {"traceback": trace}
        extras = extras_of(record)
        if extras:
            shown = list(extras.items())[:EXTRAS]
            line["extra"] = {self.safe(_text(name), EXTRA): self._plain(value) for name, value in shown}
        return json.dumps(_whole(line))

    def _plain(self, value: Any) -> Any:
        if value is None or value.__class__ is bool:
            return value
        if value.__class__ is int and abs(value) < 2**63:
            return value
        if value.__class__ is float and math.isfinite(value):
            return value
        return self.safe(_text(value), EXTRA)


class TextLines(_Lines):
    """A line for people; a traceback follows on lines of its own, each of them indented."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines, without the last one's end."""
        when = dt.datetime.fromtimestamp(record.created).astimezone()
        head = f"{when.isoformat(' ', 'milliseconds')} {record.levelname:<8}{_plain_line(record.name)}: "
        facts = facts_of(record)
        known = [facts[name] for name in ("key", "provider", "operation") if facts.get(name)]
        known += [f"{name}={facts[name]}" for name in ("node", "trace_id", "span_id") if facts.get(name)]
        tail = f" [{self.safe(' '.join(known), EXTRA)}]" if known else ""
        lines = [f"{head}{_plain_line(self.said(record) + tail)}"]
        lines += [f"    {_plain_line(line)}" for line in self.trace(record).split("\n") if line.strip()]
        return "\n".join(lines)


def _plain_line(text: str) -> str:
    """*text* on one line, with nothing that a terminal would obey."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def _whole(value: Any) -> Any:
    """*value* without halves of surrogate pairs, which no parser has to take."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return value


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<a {type(value).__name__} that cannot be shown>"
