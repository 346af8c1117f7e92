"""Events: what has happened, and who wants to know."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import attrs

from .attempts import Retry
from .errors import PluginError

FanOut = Literal["broadcast", "exclusive"]
Op = Literal["equals", "not_equals", "any_of", "exists", "gt", "gte", "lt", "lte", "matches", "contains"]

_SEGMENT = r"[A-Za-z0-9_-]+"
_TOPIC = re.compile(rf"{_SEGMENT}(\.{_SEGMENT})*", re.ASCII)
_PATTERN = re.compile(rf"({_SEGMENT}|\*\*?)(\.({_SEGMENT}|\*\*?))*", re.ASCII)
#: Names of extension attributes, as CloudEvents 1.0 (3.1) has them.
_HEADER = re.compile(r"[a-z0-9]{1,20}", re.ASCII)
#: What CloudEvents and the envelope call by these names already.
_TAKEN = {
    *("specversion", "id", "source", "type", "time", "data", "datacontenttype", "dataschema", "subject"),
    *("correlationid", "causationid"),
}


def _new_id() -> str:
    return os.urandom(
        16
    ).hex()  # what uuid4 holds, without the import of it and of all it asks of the platform


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@attrs.frozen
class Envelope:
    """One event, with what is known about it.

    Args:
        topic: What has happened, from the general to the special: ``order.paid``.
        payload: Plain data.
        source: Who tells; a URI reference.
        id: Unique in its source.
        time: When, with its zone; kept in UTC.
        headers: Further attributes, texts by names of 1 to 20 lower-case letters and digits.
        correlation: What all events of one story share; the id of the first one where None.
        causation: The id of the event that led to this one; None for the first.
    Raises:
        PluginError: A field is not well formed.
    """

    topic: str
    payload: Any = None
    source: str = attrs.field(default="oneiric", kw_only=True)
    id: str = attrs.field(factory=_new_id, kw_only=True)
    time: dt.datetime = attrs.field(factory=_now, kw_only=True)
    headers: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    correlation: str | None = attrs.field(default=None, kw_only=True)
    causation: str | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        given: dict[str, Any] = {"topic": self.topic, "source": self.source, "id": self.id, "time": self.time}
        if (
            not isinstance(given["topic"], str)
            or len(self.topic) > 255
            or _TOPIC.fullmatch(self.topic) is None
        ):
            raise PluginError(
                f"{self.topic!r} is not a topic",
                hint="a topic is made of segments of letters, digits, _ and -, with dots between them: order.paid",
            )
        for what in ("source", "id"):
            if not isinstance(given[what], str) or not given[what]:
                raise PluginError(f"the {what} of an event is a text, found {given[what]!r}")
        if not isinstance(given["time"], dt.datetime) or self.time.tzinfo is None:
            raise PluginError(f"the time of an event has a zone, found {self.time!r}")
        object.__setattr__(self, "time", self.time.astimezone(dt.UTC))
        headers: Mapping[Any, Any] = self.headers
        for name, value in headers.items():
            if not isinstance(name, str) or _HEADER.fullmatch(name) is None or name in _TAKEN:
                raise PluginError(
                    f"{name!r} is not a header of an event",
                    hint="1 to 20 lower-case letters and digits, not taken",
                )
            if not isinstance(value, str):
                raise PluginError(f"the header {name} is a text, found {value!r}")
        if self.correlation is None:
            object.__setattr__(self, "correlation", self.id)


@attrs.frozen
class Filter:
    """One condition on the payload of an event, or on any plain data.

    Args:
        path: Where to look: names with dots between them, numbers in lists; names with dots stand in quotes.
        op: ``equals``, ``not_equals``: the value; what is not there equals nothing.  ``any_of``: one of a list.
            ``exists``: there is something, even null; with the value false: there is nothing.  ``gt gte lt lte``: a
            number or a text, compared to one of the same kind.  ``matches``: a text, all of which the regular
            expression describes.  ``contains``: a text with this part, a list with this item, a table with this name.
        value: What it is compared to.
    """

    path: str
    op: Op
    value: Any = None

    def __attrs_post_init__(self) -> None:
        if self.op not in get_args(Op):
            raise PluginError(f"there is no op {self.op!r}", hint=f"there are: {', '.join(get_args(Op))}")


# Functions, since mypy takes ``converter=tuple`` for one that no tuple satisfies.
def _topics(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(given)


def _filters(given: Iterable[Filter]) -> tuple[Filter, ...]:
    return tuple(given)


@attrs.frozen
class Subscription:
    """What a handler wants to know, and how it is to be told: the ``data`` of a candidate of the domain ``event``.

    Args:
        topics: Patterns: a topic, with ``*`` for one segment and ``**`` for any number of them, none too.
        filters: All of them hold of the payload.
        priority: Handlers are told, and their results listed, the highest first; those of one priority by name.
        fanout: ``broadcast``: it is told whoever else is.  ``exclusive``: of the exclusive handlers that an event
            matches, only the first is told.
        concurrency: How many events it handles at once; more wait.
        timeout: Seconds for each attempt; None for as long as it takes.
        retry: How often it is tried again; None tries once.
        dead_letter: Whether what it could not handle is kept, to be looked at and sent again.
        outbox: Whether events are kept for it before it is told, so that none is lost when the process ends, or
            while it is not serving.
    """

    topics: tuple[str, ...] = attrs.field(converter=_topics)
    filters: tuple[Filter, ...] = attrs.field(default=(), converter=_filters)
    priority: int = 0
    fanout: FanOut = "broadcast"
    concurrency: int = 10
    timeout: float | None = 30.0
    retry: Retry | None = None
    dead_letter: bool = True
    outbox: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.topics:
            raise PluginError("a subscription names at least one topic")
        topics: tuple[Any, ...] = self.topics
        for topic in topics:
            if not isinstance(topic, str) or _PATTERN.fullmatch(topic) is None:
                raise PluginError(
                    f"{topic!r} is not a pattern of topics", hint="write order.paid, order.* or order.**"
                )
        filters: tuple[Any, ...] = self.filters
        for condition in filters:
            if not isinstance(condition, Filter):
                raise PluginError(f"filters are Filters, found {condition!r}")
        if self.fanout not in get_args(FanOut):
            raise PluginError(f"there is no fan-out {self.fanout!r}", hint="there are: broadcast, exclusive")
        if self.priority.__class__ is not int:
            raise PluginError(f"the priority is a whole number, found {self.priority!r}")
        if self.concurrency.__class__ is not int or self.concurrency < 1:
            raise PluginError(f"the concurrency is a whole number, 1 or more, found {self.concurrency!r}")
        if self.timeout is not None and not 0 < self.timeout < float("inf"):
            raise PluginError(f"the timeout is a number of seconds above 0, found {self.timeout!r}")


@runtime_checkable
class EventHandler(Protocol):
    """What fills a key of the domain ``event``."""

    async def handle(self, envelope: Envelope) -> Any:
        """Do what is to be done about it; what is returned goes into the delivery, plain data or nothing."""
