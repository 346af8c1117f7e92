"""What operators want: which provider, and whether a part is held, paused or drained.

Any process may say it, and every node makes it so.  ``desired/pins/adapter:cache`` is a pin;
``desired/admin/adapter:cache`` is all else about a key, and ``desired/admin/adapter`` about a domain.  Hold, pause and
drain stand beside one another: who pauses a part does not end the drain that somebody else has begun meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, TypeAlias

import attrs
from oneiric_hookspecs import (
    JSON,
    MODES,
    Corrupt,
    Key,
    Mode,
    PluginError,
    StateError,
    StateStore,
    Stored,
    check_name,
)

from .values import K, Kept, change, plain, scanned, value_of

#: Where pins are.
PINS = "desired/pins/"
_ALL, _ADMIN = "desired/", "desired/admin/"
#: What was made of what is stored, by its name: the revision of that, and why it is damaged where it is.
_Known: TypeAlias = dict[str, tuple[int, Kept | str]]


@attrs.frozen
class Mark(Kept):
    """Who wants something, and for how long.

    Args:
        actor: Who.
        at: Since when, in seconds since 1970.
        until: When it ends by itself; None for never.
        note: Why, in the actor's words.
    """

    actor: str = ""
    at: float = 0.0
    until: float | None = None
    note: str = ""

    def holds(self, now: float) -> bool:
        """Whether it has not ended at *now*."""
        return self.until is None or now < self.until


@attrs.frozen
class Pin(Kept):
    """A provider that an operator chose, above the settings.

    Args:
        provider: Which.
        mark: By whom, and for how long.
        accept_unhealthy: Whether it is bound although its probes fail.
        override: Whether it passes a hold, a pause or a quarantine.
    """

    provider: str
    mark: Mark = attrs.field(factory=Mark)
    accept_unhealthy: bool = False
    override: bool = False


@attrs.frozen
class Note(Kept):
    """Something that operators should know about a part; it has no effect."""

    text: str
    actor: str = ""
    at: float = 0.0


@attrs.frozen
class Admin(Kept):
    """What is imposed on a part, or on a whole domain.

    Args:
        hold: No automatic changes.
        pause: No new users, either.
        drain: And it is closed when the last of its users has gone.
        note: What somebody has noted.
    """

    hold: Mark | None = None
    pause: Mark | None = None
    drain: Mark | None = None
    note: Note | None = None

    def mode(self, now: float) -> Mode | None:
        """The strongest that has not ended at *now*."""
        return next((mode for mode in reversed(MODES) if self.mark(mode, now) is not None), None)

    def mark(self, mode: Mode, now: float) -> Mark | None:
        """Who wants *mode*; None where nobody does at *now*."""
        mark: Mark | None = getattr(self, mode)
        return mark if mark is not None and mark.holds(now) else None

    def _without_past(self, now: float) -> Admin:
        marks: dict[str, Any] = {mode: self.mark(mode, now) for mode in MODES}
        return attrs.evolve(self, **marks)

    def _is_nothing(self) -> bool:
        return self == Admin()


@attrs.frozen
class Wanted:
    """All that operators want at one time.

    Args:
        revision: Of the store; equal to that of another time only if nothing was changed in between.
        pins: By key; those that have ended too.
        admins: By the text of a key, ``adapter:cache``, or by domain.
        damaged: What is stored and says nothing that could be understood, by where it is; and why.
    """

    revision: int
    pins: Mapping[Key, Pin]
    admins: Mapping[str, Admin]
    damaged: Mapping[str, str] = attrs.field(factory=dict)

    def after(self, before: Wanted) -> Wanted:
        """The same, with what is damaged as it was *before*: nobody has said anything else."""
        pins = {key: pin for key, pin in before.pins.items() if f"{PINS}{key}" in self.damaged}
        admins = {text: admin for text, admin in before.admins.items() if f"{_ADMIN}{text}" in self.damaged}
        return attrs.evolve(self, pins={**self.pins, **pins}, admins={**self.admins, **admins})

    def pin(self, key: Key, now: float) -> str | None:
        """The provider that is pinned to *key*; None where none is at *now*."""
        pin = self.pins.get(key)
        return pin.provider if pin is not None and pin.mark.holds(now) else None

    def mode(self, key: Key, now: float) -> Mode | None:
        """What is imposed on *key* at *now*: the stronger of its own and its domain's."""
        admins = [self.admins.get(str(key)), self.admins.get(key.domain)]
        modes = {admin.mode(now) for admin in admins if admin is not None}
        return next((mode for mode in reversed(MODES) if mode in modes), None)

    def next_end(self, now: float) -> float | None:
        """When the next of all this ends by itself, after *now*; None where nothing does."""
        marks = [pin.mark for pin in self.pins.values()]
        marks += [mark for admin in self.admins.values() for mode in MODES if (mark := admin.mark(mode, now))]
        return min(
            (mark.until for mark in marks if mark.until is not None and mark.until > now), default=None
        )


class Desired:
    """The view on what operators want.

    Args:
        store: Where it is kept.
        now: Gives seconds since 1970.
    """

    def __init__(self, store: StateStore, *, now: Callable[[], float] = time.time) -> None:
        self._store, self._now = store, now
        self._known: _Known = {}  # what was read last, with its revision

    # --- saying it ---------------------------------------------------------------------------------------------------

    async def pin(
        self,
        key: Key,
        provider: str,
        *,
        actor: str = "",
        note: str = "",
        until: float | None = None,
        accept_unhealthy: bool = False,
        override: bool = False,
        expect: int | None = None,
    ) -> int:
        """Choose *provider* for *key*; the revision of that.  What was pinned before counts no more.

        Raises:
            Conflict: The pin there is has another revision than *expect*, 0 for none.
        """
        mark = Mark(actor, self._now(), until, note)
        pin = Pin(check_name(provider, "provider"), mark, accept_unhealthy, override)
        return await self.put_back(key, pin, expect=expect)

    async def put_back(self, key: Key, pin: Pin | None, *, expect: int | None = None) -> int:
        """Have this very *pin*, or none, for *key*; the revision of that.  Raises: Conflict, as ``pin``."""
        name = f"{PINS}{_checked(key)}"
        if pin is not None:
            return await self._store.put(name, plain(pin), expect=expect)
        await self._store.delete(name, expect=expect)
        return await self.revision()

    async def unpin(self, key: Key) -> int:
        """Choose nobody for *key*; a revision that is not before that."""
        return await self.put_back(key, None)

    async def impose(
        self,
        target: Key | str,
        mode: Mode,
        *,
        actor: str = "",
        note: str = "",
        until: float | None = None,
    ) -> int:
        """Hold, pause or drain a key, or all of a domain; the revision of that."""
        if mode not in MODES:
            raise StateError(
                f"{mode!r} is nothing that can be imposed", hint=f"there are: {', '.join(MODES)}"
            )
        marks: dict[str, Any] = {mode: Mark(actor, self._now(), until, note)}
        return await self._change(target, lambda admin: attrs.evolve(admin, **marks))

    async def resume(self, target: Key | str, *modes: Mode) -> int:
        """Take back these *modes*, or all of them; what is imposed on the domain of a key stays.

        All of them takes back what is damaged, too, with the note.

        Returns:
            A revision that is not before that.
        """
        gone: dict[str, Any] = dict.fromkeys(modes or MODES)
        try:
            return await self._change(target, lambda admin: attrs.evolve(admin, **gone))
        except Corrupt:
            if modes:
                raise
            await self._store.delete(f"{_ADMIN}{_checked(target)}")  # nobody can tell what of it is to stay
            return await self.revision()

    async def note(self, target: Key | str, text: str, *, actor: str = "") -> int:
        """Note something about a key or a domain; an empty text removes the note."""
        note = Note(text, actor, self._now()) if text else None
        return await self._change(target, lambda admin: attrs.evolve(admin, note=note))

    async def _change(self, target: Key | str, make: Callable[[Admin], Admin]) -> int:
        name = f"{_ADMIN}{_checked(target)}"

        def changed(data: Any) -> Any:
            admin = Admin() if data is None else value_of(Admin, data, name)
            after = make(admin._without_past(self._now()))  # noqa: SLF001 - of this module
            return None if after._is_nothing() else plain(after)  # noqa: SLF001

        return await change(self._store, name, changed) or await self.revision()

    # --- reading it --------------------------------------------------------------------------------------------------

    async def pinned(self, key: Key) -> Pin | None:
        """What is pinned to *key*, although it may have ended."""
        return (await self.pinned_at(key))[0]

    async def pinned_at(self, key: Key) -> tuple[Pin | None, int]:
        """The same, and its revision: 0 where nothing is stored.  What is damaged pins nothing, and has a revision."""
        name = f"{PINS}{_checked(key)}"
        entries, damaged = await scanned(self._store, name)
        pins, more = _understood(Pin, entries, PINS)
        revision = next((stored.revision for found, stored in entries if found == name), 0)
        if name in {**damaged, **more}:
            return None, damaged.get(name, (revision,))[0]
        return pins.get(str(key)), revision

    async def admin(self, target: Key | str) -> Admin:
        """What is imposed on a key or a domain itself, although it may have ended."""
        name = f"{_ADMIN}{_checked(target)}"
        stored = await self._store.get(name)
        return Admin() if stored is None else value_of(Admin, stored.value, name)

    async def wanted(self) -> Wanted:
        """All of it."""
        # First: what is changed between the two is read, and seems changed once more.
        revision = await self._store.revision(_ALL)
        entries, unread = await scanned(self._store, _ALL)
        # Among thousands one is another than the last time: the others are not to be made sense of once more.
        known, self._known = self._known, {}
        pins, of_pins = pins_in(entries, known, self._known)
        admins, of_admins = _understood(Admin, entries, _ADMIN, known, self._known)
        damaged = {name: why for name, (_, why) in unread.items()} | of_pins | of_admins
        return Wanted(revision, pins, admins, damaged)

    async def revision(self) -> int:
        """Equal to that of a ``Wanted`` only if nothing was changed since."""
        return await self._store.revision(_ALL)

    def changes(self) -> AsyncIterator[str]:
        """Hints that something may have changed; see ``StateStore.changes``."""
        return self._store.changes(_ALL)


def mended_by(name: str) -> str:
    """What removes the wish that is stored under *name*, although it is damaged."""
    text = name.removeprefix(PINS).removeprefix(_ADMIN).replace(":", " ")
    return f"oneiric {'unpin' if name.startswith(PINS) else 'resume'} {text}"


def pins_in(
    entries: Iterable[tuple[str, Stored]], known: _Known | None = None, now: _Known | None = None
) -> tuple[dict[Key, Pin], dict[str, str]]:
    """The pins among what was scanned, by key, those that have ended too; and what is damaged, with why."""
    found, damaged = _understood(Pin, entries, PINS, known, now)
    return {Key.parse(text): pin for text, pin in found.items()}, damaged


def _understood(
    cls: type[K],
    entries: Iterable[tuple[str, Stored]],
    start: str,
    known: _Known | None = None,
    now: _Known | None = None,
) -> tuple[dict[str, K], dict[str, str]]:
    """What stands below *start*, by the text of its key or domain; and what is damaged, with why.

    Args:
        cls: What it is.
        entries: What was scanned.
        start: Where.
        known: What came of it the last time; what has the same revision is the same.
        now: Where that is noted for the next time.
    """
    found: dict[str, K] = {}
    damaged: dict[str, str] = {}
    for name, stored in entries:
        if not name.startswith(start):
            continue
        revision, value = (known or {}).get(name, (0, ""))
        if revision != stored.revision:
            value = _value(cls, name, name.removeprefix(start), stored.value)
        if now is not None:
            now[name] = stored.revision, value
        if isinstance(value, cls):
            found[name.removeprefix(start)] = value
        else:
            damaged[name] = str(value)
    return found, damaged


def _value(cls: type[K], name: str, text: str, data: JSON) -> K | str:
    """What is stored under *name*; or why that is damaged."""
    try:
        if cls is Pin or ":" in text:
            _key(text, name)
        return value_of(cls, data, name)
    except StateError as error:
        return error.message


def _checked(target: Key | str) -> str:
    if isinstance(target, Key):
        return str(Key.of(*target))
    domain, colon, name = target.partition(":")
    return str(Key.of(domain, name)) if colon else check_name(target, "domain")


def _key(text: str, where: str) -> Key:
    try:
        return Key.parse(text)
    except PluginError as error:
        raise StateError(f"{where} names no key: {error.message}", hint="delete it") from None
