"""What went wrong in plugins: remembered, counted, and logged without flooding."""

from __future__ import annotations

import inspect
import logging
import reprlib
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import attrs
from oneiric_hookspecs import Clock

from .records import Impl, PluginRecord

Kind = Literal["raised", "timeout", "slow", "type", "cancelled"]

#: What counts as a fault of the plugin that raises it.  A synchronous call cannot be cancelled from outside, so
#: there a CancelledError is the plugin's own; KeyboardInterrupt and SystemExit are nobody's fault, and pass.
FAULTY = (Exception, CancelledError)

RECENT = 100  # faults remembered
QUIET = 60.0  # seconds between two log lines about the same thing
STRIKES = 5  # faults in a row after which an observer is skipped ...
SKIPPED = 60.0  # ... for so many seconds
LONGEST = 1000  # characters of what a plugin says that are kept
_LINES = 1000  # things about which the time of the last line is kept

log = logging.getLogger("oneiric.hooks")
log.addHandler(logging.NullHandler())


@attrs.frozen
class Fault:
    """Something a plugin did wrong.

    Args:
        hook: The hook that was called.
        plugin: The name of the plugin.
        error: What it raised, or what is to be said about it.
        kind: ``raised``; ``timeout``: it took longer than ``hook_timeout``; ``slow``: it held the loop for over
            100 ms; ``type``: it answered something the hook does not allow; ``cancelled``: it raised
            CancelledError though nobody had cancelled.
        at: When, by the manager's clock.
    """

    hook: str
    plugin: str
    error: BaseException
    kind: Kind
    at: float

    def __str__(self) -> str:
        return f"{self.plugin}: {self.hook}: {said(self.error)}"


class Misbehaved(Exception):
    """A fault that is no exception of the plugin's own: *error* says what it did."""

    def __init__(self, kind: Kind, error: BaseException) -> None:
        super().__init__(kind, error)
        self.kind: Kind = kind
        self.error = error


def said(error: BaseException) -> str:
    """*error* with its kind, even if its own ``__str__`` raises, and not at any length."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be shown)"
    return short(f"{name}: {text}" if text else name)


def short(text: str) -> str:
    """*text*, of which nobody reads more than the beginning."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def mistyped(value: Any, wanted: str) -> Misbehaved:
    """*value* is not *wanted*."""
    if inspect.iscoroutine(value):
        value.close()  # nobody will await it; this says so more clearly than Python's own warning
    return Misbehaved(
        "type", TypeError(f"answered {reprlib.repr(value)} ({type(value).__name__}), not {wanted}")
    )


class Faults:
    """The faults of one manager's plugins.

    Args:
        clock: Gives the time of each fault, and the minute between two log lines.
        tell: Called with each fault; what it raises is logged.
    """

    def __init__(self, clock: Clock, tell: Callable[[Fault], object] | None) -> None:
        self.recent: deque[Fault] = deque(maxlen=RECENT)
        self._clock, self._tell = clock, tell
        self._lines: dict[tuple[str, str, type], tuple[float, int]] = {}

    def note(self, impl: Impl, error: BaseException) -> Fault:
        """Remember what *impl* did, and say so."""
        kind: Kind = "raised"
        if isinstance(error, Misbehaved):
            kind, error = error.kind, error.error
        elif isinstance(error, CancelledError):
            kind = "cancelled"
        impl.record.faults += 1
        return self.add(Fault(impl.hook, impl.plugin, error, kind, self._clock.time()))

    def strike(self, impl: Impl, error: BaseException) -> Fault:
        """``note``, and after five in a row *impl* is skipped for a minute."""
        fault = self.note(impl, error)
        impl.strikes += 1
        if impl.strikes >= STRIKES:
            impl.until = fault.at + SKIPPED
        return fault

    def note_close(self, record: PluginRecord, error: BaseException) -> Fault:
        """Remember that a plugin could not be closed."""
        record.faults += 1
        return self.add(Fault("close", record.name, error, "raised", self._clock.time()))

    def add(self, fault: Fault) -> Fault:
        """Remember *fault*, log it unless the same was logged within the minute, and tell whoever listens."""
        self.recent.append(fault)
        key = (fault.plugin, fault.hook, type(fault.error))
        last, hidden = self._lines.get(key, (None, 0))
        if last is not None and fault.at - last < QUIET:
            self._lines[key] = (last, hidden + 1)
        else:
            if len(self._lines) >= _LINES:
                self._lines.clear()
            self._lines[key] = (fault.at, 0)
            more = f" (and {hidden} more like it before)" if hidden else ""
            log.warning("plugin %s%s", fault, more, exc_info=fault.error)
        if self._tell is not None:
            try:
                self._tell(fault)
            except Exception:
                log.exception("on_fault raised")
        return fault
