"""What is known of a record beside its message: the operation in which it was logged, the node, the trace."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

#: The name of threads that send records: what they log, or what is logged for them, is not sent in its turn.
THREAD = "oneiric-log-http"
#: Where the facts are kept on a record.
FACTS = "oneiric_facts"

#: What every record has; the rest was given by who logged it, as ``extra``.
_USUAL = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
    FACTS,
}


class Context(logging.Filter):
    """Writes the facts on each record, in the context of who logs it.

    It lets everything pass but what threads log that send records: two sinks would feed each other for ever.

    Args:
        read: Gives what is known where it is called: ``domain``, ``key``, ``provider``, ``operation``.

    Attributes:
        node: What this process is called; empty where it has no name.
    """

    def __init__(self, read: Callable[[], Mapping[str, str]] | None = None) -> None:
        super().__init__()
        self._read = read
        self.node = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Write them, unless another sink has."""
        if record.threadName == THREAD:
            return False
        if FACTS not in record.__dict__:
            facts: dict[str, str] = {}
            try:
                facts.update(self._read() if self._read is not None else {})
                facts.update(traced())
            except Exception:
                pass  # a record without them is better than none
            if self.node:
                facts["node"] = self.node
            record.__dict__[FACTS] = facts
        return True


def traced() -> dict[str, str]:
    """The trace and the span that are current; nothing where nobody traces, for which nothing is imported."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": format(context.trace_id, "032x"), "span_id": format(context.span_id, "016x")}


def facts_of(record: logging.LogRecord) -> Mapping[str, str]:
    """What was written on it."""
    found: Mapping[str, str] = record.__dict__.get(FACTS) or {}
    return found


def extras_of(record: logging.LogRecord) -> dict[str, Any]:
    """What whoever logged it gave as ``extra``."""
    return {name: value for name, value in record.__dict__.items() if name not in _USUAL}
