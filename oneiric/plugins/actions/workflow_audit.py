"""``action:workflow.audit``: write down what has happened, for those who look later.

It goes to the log of the state store in which operations are written down, too.  What cannot be written down is an
error: who asks for a record must know whether there is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import attrs
from attrs.validators import ge, le, matches_re
from oneiric_hookspecs import Action, PluginContext, hookimpl

from oneiric.plugins._requests import unfit
from oneiric.plugins._walk import MAX_DEPTH, SECRET_NAMES, Hiding, Names, Unwalkable, measure, one_line

KEY = "workflow.audit"
#: Characters of an event, and of other short texts.
_EVENT, _SHORT = 500, 200


def _patterns(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    Names(value)


@attrs.frozen(eq=False, repr=False)
class Settings:
    """Where it is written down, and what of it.

    Args:
        log: The log of the state store.
        mask: Names of details that are written down as ``***``, at any depth: patterns with ``*``, in any case.
        max_bytes: Bytes that the details of one record may have, as JSON.
        max_depth: How many tables and lists may stand in one another in them.
    """

    log: str = attrs.field(default="history", validator=matches_re(r"[a-z0-9][a-z0-9._-]{0,99}"))
    mask: tuple[str, ...] = attrs.field(default=SECRET_NAMES, validator=_patterns)
    max_bytes: int = attrs.field(default=16 * 1024, validator=[ge(2), le(1024 * 1024)])
    max_depth: int = attrs.field(default=16, validator=[ge(1), le(MAX_DEPTH)])


@attrs.frozen(eq=False, repr=False)
class Request:
    """What has happened.

    Args:
        event: What, in a few words.
        actor: Who did it.
        key: To which part, such as ``adapter:cache``.
        outcome: What came of it.
        correlation: What it belongs to, such as the id of a request.
        details: Plain data.
    """

    event: str
    actor: str = ""
    key: str | None = None
    outcome: str = ""
    correlation: str | None = None
    details: dict[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if not self.event.strip():
            raise ValueError("event is empty")
        for name, longest in (("event", _EVENT), *((name, _SHORT) for name in _SHORT_FIELDS)):
            text = getattr(self, name)
            if text is not None and len(text) > longest:
                raise ValueError(f"{name} has at most {longest} characters, found {len(text):,}")


_SHORT_FIELDS = ("actor", "key", "outcome", "correlation")


@attrs.frozen(eq=False, repr=False)
class Result:
    """What was written down.

    Args:
        log: In which log.
        number: Its number there.
        details: The details, as they were written down.
        masked: How many of them are hidden.
    """

    log: str
    number: int
    details: dict[str, Any]
    masked: int


class Plugin:
    """The plugin.

    Args:
        context: What every plugin is given; its host has the state store.
    """

    def __init__(self, context: PluginContext) -> None:
        self._host = context.host

    @hookimpl
    def oneiric_actions(self) -> Iterable[Action]:
        yield Action(
            KEY,
            "Write down what has happened",
            takes=Request,
            returns=Result,
            settings=Settings,
            run=self.run,
        )

    async def run(self, request: Request, settings: Settings) -> Result:
        """Write it down.

        Raises:
            ActionError: The details are too large, too deep, or no plain data.
            StateError: The store did not take it.
        """
        most = settings.max_bytes  # a value takes a byte at least
        try:
            measure(request.details, depth=settings.max_depth, values=most, at="details")
        except Unwalkable as error:
            raise unfit(KEY, error.path, str(error)) from None
        hiding = Hiding(Names(settings.mask), depth=settings.max_depth, values=most)
        details = hiding.copy(request.details)
        if (size := len(json.dumps(details, separators=(",", ":")))) > settings.max_bytes:
            message = f"are {size:,} bytes long, and {settings.max_bytes:,} are allowed"
            raise unfit(KEY, "details", message, setting="max_bytes")
        texts = {name: getattr(request, name) for name in _SHORT_FIELDS}
        record = {
            "kind": "audit",
            "cause": "action",
            "reason": one_line(request.event, _EVENT),
            "details": details,
        } | {name: one_line(text, _SHORT) for name, text in texts.items() if text}
        number = await self._host.state.append(settings.log, record)
        return Result(settings.log, number, details, hiding.masked)
