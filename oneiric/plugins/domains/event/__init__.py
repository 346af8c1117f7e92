"""The domain ``event``: handlers of what has happened."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import attrs
from oneiric_hookspecs import (
    Candidate,
    Domain,
    EventHandler,
    Generation,
    Host,
    OneiricError,
    Operation,
    PluginContext,
    PluginError,
    Subscription,
    hookimpl,
)

from oneiric.plugins._filters import compiled
from oneiric.plugins._plain import plain

from .delivering import Events

log = logging.getLogger("oneiric.events")


@attrs.frozen
class Settings:
    """``[plugins.settings."domains.event"]``.

    Args:
        record: Whether every event is written into the log ``events`` of the state store, which ``oneiric event
            listen`` reads.
    """

    record: bool = False


class Plugin:
    """The domain, and what it does while the runtime runs."""

    Settings = Settings

    def __init__(self, context: PluginContext) -> None:
        self._host: Host = context.host
        self._events = Events(context.host, record=context.settings.record)

    @hookimpl
    def oneiric_domains(self) -> Iterable[Domain]:
        yield Domain(
            "event",
            "events",
            "handlers of what has happened",
            contract=EventHandler,
            call=self._call,
            face=self._face,
            entry=Subscription,
            check=_check,
        )

    def _face(self, host: Host) -> Events:
        return self._events

    async def _call(self, host: Host, name: str, payload: Any) -> Any:
        return plain(await self._events.emit(name, payload))

    @hookimpl
    def oneiric_started(self, host: Host) -> None:
        """Tell what was kept when the process before this one ended."""
        if self._events.keeps:
            host.spawn(self._flush(""), name="events: outbox")

    @hookimpl
    def oneiric_activated(self, new: Generation) -> None:
        """Tell a handler that serves again what was kept for it."""
        self._serves_again(new)

    @hookimpl
    def oneiric_swapped(self, operation: Operation, new: Generation) -> None:
        """As when it is activated."""
        self._serves_again(new)

    def _serves_again(self, new: Generation) -> None:
        key = new.candidate.key
        if key.domain == "event" and new.candidate.data.outbox:
            self._host.spawn(self._flush(key.name), name=f"events: outbox of {key.name}")

    async def _flush(self, handler: str) -> None:
        try:
            await self._events.flush(handler)
        except OneiricError as error:
            log.error("the outbox cannot be read: %s", error)


def _check(candidate: Candidate) -> None:
    """Every filter can be applied."""
    for number, condition in enumerate(candidate.data.filters, 1):
        try:
            compiled(condition)
        except ValueError as error:
            raise PluginError(f"its filter number {number}: {error}") from None
