"""What is kept in the state store: events for handlers that must not miss one, and those that nobody could handle."""

from __future__ import annotations

from typing import Any, NamedTuple

import attrs
from oneiric_hookspecs import Conflict, Envelope, Host, PluginError, StateError, Stored

from oneiric.plugins._cloudevents import from_cloudevent, to_cloudevent
from oneiric.plugins._plain import plain

_OUTBOX, _DEAD, LOG = "outbox/", "dead-letters/", "events"


class Kept(NamedTuple):
    """An event that is kept for a handler, and under which key."""

    key: str
    handler: str
    envelope: Envelope


@attrs.frozen
class DeadLetter:
    """An event that a handler could not handle.

    Args:
        id: What it is asked for by.
        handler: Who could not.
        envelope: The event.
        error: Why, the last time.
        attempts: How often it was tried.
    """

    id: str
    handler: str
    envelope: Envelope
    error: str
    attempts: int


class Keeping:
    """Puts into, and takes out of, the state store of *host*, which is opened when the first one is kept."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def put(self, handler: str, envelope: Envelope) -> str:
        """Keep *envelope* for *handler*; gives the key, which sorts by the event's time."""
        key = f"{_OUTBOX}{handler}/{_place(envelope)}"
        await self._host.state.put(key, _written(envelope))
        return key

    async def remove(self, key: str) -> None:
        """It is handled; a second time does nothing."""
        await self._host.state.delete(key)

    async def kept(self, handler: str = "") -> list[Kept]:
        """What is kept for *handler*, or for all, oldest first."""
        found = []
        for key, stored in await self._host.state.scan(f"{_OUTBOX}{handler}/" if handler else _OUTBOX):
            name = key.removeprefix(_OUTBOX).partition("/")[0]
            found.append(Kept(key, name, _read(key, stored.value)))
        return found

    async def bury(self, handler: str, envelope: Envelope, error: str, attempts: int) -> None:
        """Keep what *handler* could not handle."""
        value = {"event": _written(envelope), "error": error, "attempts": attempts}
        await self._host.state.put(f"{_DEAD}{handler}/{_place(envelope)}", value)

    async def dead(self) -> list[DeadLetter]:
        """Everything that could not be handled, by handler, oldest first."""
        return [_letter(key, stored) for key, stored in await self._host.state.scan(_DEAD)]

    async def letter(self, id_: str) -> DeadLetter | None:
        """The dead letter of that id; None where there is none."""
        stored = await self._host.state.get(f"{_DEAD}{id_}")
        return None if stored is None else _letter(f"{_DEAD}{id_}", stored)

    async def forget(self, id_: str) -> bool:
        """Remove a dead letter, whatever it says; False where there is none, or somebody else was faster."""
        key = f"{_DEAD}{id_}"
        stored = await self._host.state.get(key)
        if stored is None:
            return False
        try:
            await self._host.state.delete(key, expect=stored.revision)
        except Conflict:
            return False
        return True

    async def record(self, envelope: Envelope) -> None:
        """Write *envelope* into the log of all events."""
        await self._host.state.append(LOG, _written(envelope))


def _letter(key: str, stored: Stored) -> DeadLetter:
    id_, value = key.removeprefix(_DEAD), stored.value
    if not isinstance(value, dict):
        raise StateError(f"{key} is no dead letter", hint=f"oneiric event dead drop {id_}")
    return DeadLetter(
        id_,
        id_.partition("/")[0],
        _read(key, value.get("event")),
        str(value.get("error", "")),
        int(value.get("attempts", 1)),
    )


def _place(envelope: Envelope) -> str:
    import hashlib  # with openssl in its train

    digest = hashlib.sha256(f"{envelope.source}\n{envelope.id}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{int(envelope.time.timestamp() * 1e6):020d}-{digest[:16]}"


def _written(envelope: Envelope) -> Any:
    try:
        return plain(to_cloudevent(envelope))
    except TypeError as error:
        raise PluginError(f"the payload of {envelope.topic} cannot be kept: {error}") from error


def _read(key: str, value: Any) -> Envelope:
    try:
        return from_cloudevent(value)
    except (AttributeError, PluginError) as error:
        raise StateError(f"what is stored under {key} is no event: {error}") from error
