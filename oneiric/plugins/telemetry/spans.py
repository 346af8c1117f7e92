"""An operation as a span, and as what is measured of it.

A span begins where the operation does, as a root: operations run in a context of the runtime's own, and what they
bring about outlives whoever asked.  It is a child of the operation inside which it was asked for, and has a link to the
span of whoever asked otherwise.  In its attributes stand names of the registry and words of the contract, never a text.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import Course, Operation, RolledBack
from oneiric_hookspecs.lifecycle import Cause

from oneiric.plugins._metrics import Instruments, Listening

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext, Tracer

API = "opentelemetry.trace"

tracer: Listening[Tracer] = Listening(
    API, "get_tracer_provider", lambda provider: provider.get_tracer("oneiric")
)

#: The names of spans, and what each is; generated into the reference.
SPANS = {
    "oneiric.activate": "an operation that somebody who uses a part, or a part that needs it, waits for",
    "oneiric.swap": "any other operation, whatever comes of it",
    "oneiric.rollback": "a part that was taken back after its operation had ended; as long as it had been bound",
    "oneiric.remote.sync": "a sync of a stream, with the figures of its report as attributes `oneiric.*`",
}
#: The attributes of the spans of operations.
ATTRIBUTES = {
    "oneiric.domain": "of the part",
    "oneiric.key": "its name in the domain",
    "oneiric.provider": "whom the operation was to bind; absent where that was not decided",
    "oneiric.cause": "what set it off: `operator`, `use`, `need`, `settings`, `stream` and so on",
    "oneiric.outcome": "`activated`, `swapped`, `reconfigured`, `unchanged`, `rolled_back`, `failed`, `cancelled`",
    "error.type": "the name of the error's class, where it failed; its status is an error then",
}
_ACTIVATES: tuple[Cause, ...] = ("use", "need")
_REMEMBERED = 512  # spans of operations that may still be rolled back


class Spans:
    """The spans of one runtime's operations, by the operation's id: those under way, and the latest that ended."""

    def __init__(self) -> None:
        self._contexts: dict[str, SpanContext] = {}
        self._ended: deque[str] = deque()

    def begin(self, tracer: Tracer, operation: Operation) -> Span:
        """The span of an operation that begins."""
        from opentelemetry import trace

        parent = self._contexts.get(operation.parent)
        context = _empty()
        if parent is not None:
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent), context)
        span = tracer.start_span(
            "oneiric.activate" if operation.cause in _ACTIVATES else "oneiric.swap",
            context=context,
            attributes={
                "oneiric.domain": operation.key.domain,
                "oneiric.key": operation.key.name,
                "oneiric.cause": operation.cause,
            },
            links=list(self._links(operation, parent)),
        )
        self._contexts[operation.id] = span.get_span_context()
        return span

    def _links(self, operation: Operation, parent: SpanContext | None) -> Iterator[Link]:
        from opentelemetry import trace

        if operation.caller is None:
            return
        calling = operation.caller.run(trace.get_current_span).get_span_context()
        if calling.is_valid and calling != parent:
            yield trace.Link(calling)

    def end(self, span: Span, operation: Operation, course: Course, error: BaseException | None) -> None:
        """The operation has ended."""
        if span.is_recording():
            now = time.time_ns()
            for step, began in course.steps:
                span.add_event(step, timestamp=now - int((course.now - began) * 1e9))
            span.set_attribute("oneiric.outcome", outcome(course, error))
            if course.provider:
                span.set_attribute("oneiric.provider", course.provider)
            if error is not None:
                _fails(span, type(error).__name__)
        span.end()
        self._ended.append(operation.id)
        if len(self._ended) > _REMEMBERED:
            self._contexts.pop(self._ended.popleft(), None)

    def taken_back(self, tracer: Tracer, operation: Operation, provider: str, seconds: float) -> None:
        """What an operation bound was taken back after it had ended."""
        from opentelemetry import trace

        before = self._contexts.get(operation.id)
        ended = time.time_ns()
        span = tracer.start_span(
            "oneiric.rollback",
            context=_empty(),
            start_time=ended - int(seconds * 1e9),
            attributes={
                "oneiric.domain": operation.key.domain,
                "oneiric.key": operation.key.name,
                "oneiric.provider": provider,
                "oneiric.cause": operation.cause,
                "oneiric.outcome": "rolled_back",
            },
            links=[] if before is None else [trace.Link(before)],
        )
        _fails(span, RolledBack.__name__)
        span.end(ended)


class Around:
    """What goes around one operation."""

    def __init__(
        self, operation: Operation, told: Instruments | None, tracer: Tracer | None, spans: Spans
    ) -> None:
        self._operation, self._told, self._tracer, self._spans = operation, told, tracer, spans
        self._span: Span | None = None
        self._token: Any = None

    def __enter__(self) -> None:
        if self._tracer is not None:
            from opentelemetry import context, trace

            self._span = self._spans.begin(self._tracer, self._operation)
            # What a factory calls is a part of it.
            self._token = context.attach(trace.set_span_in_context(self._span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        course = self._operation.course()
        if self._span is not None:
            from opentelemetry import context

            context.detach(self._token)
            self._spans.end(self._span, self._operation, course, error)
        if self._told is not None:
            measure(self._told, self._operation.key.domain, course, error)


def measure(told: Instruments, domain: str, course: Course, error: BaseException | None) -> None:
    """Record how long each phase of an operation took, and all of it."""
    came = outcome(course, error)
    name = "oneiric_lifecycle_swap_duration_ms"
    ended = course.now
    spent: dict[str, float] = {}
    for step, began in reversed(course.steps):  # a step may be gone through twice
        spent[step] = spent.get(step, 0.0) + (ended - began) * 1000
        ended = began
    for step, milliseconds in spent.items():
        told.measure(name, milliseconds, domain=domain, phase=step, outcome=came)
    told.measure(name, (course.now - ended) * 1000, domain=domain, phase="total", outcome=came)
    if came == "swapped" or course.gap_ms:
        told.measure("oneiric_lifecycle_swap_gap_ms", course.gap_ms, domain=domain)


def outcome(course: Course, error: BaseException | None) -> str:
    """What came of an operation, in a word."""
    if error is None:
        return course.outcome or "unchanged"
    if isinstance(error, RolledBack):
        return "rolled_back"
    return "failed" if isinstance(error, Exception) else "cancelled"


def _fails(span: Span, name: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", name)
    span.set_status(Status(StatusCode.ERROR, name))


def _empty() -> Context:
    """A context without what was current where the runtime was entered."""
    from opentelemetry.context import Context

    return Context()
