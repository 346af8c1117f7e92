"""Choosing who fills a part, in every process that lives, or in none: ``swap``, ``rollback``, ``pin``, ``unpin``.

The choice is written, and every process that lived then is waited for.  Where one refuses it, what was pinned before
is pinned again, unless somebody else has chosen meanwhile, and that is waited for, too: nothing is half done.  Where
one does not answer in time the choice stands, since that process will follow it as soon as it can.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
from oneiric_hookspecs import Conflict, Key

from oneiric.state import Event, Mark, Pin, Seen

from .parts import seen_by, short
from .waiting import Waited, converged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oneiric.state import Living

    from .desk import Desk

#: What a process says of a choice that did not come about.
FAILED = frozenset({"failed", "rolled_back", "held"})
#: How often a pin is written while others write the same one.
_TRIES = 100
#: Seconds after which a process that has a choice in force, and serves what was chosen, need not say that it acted: a
#: choice that was taken back before it looked leaves it nothing to act on.
_QUIET = 1.0


@attrs.frozen(kw_only=True)
class Choice:
    """Who is to fill a part.

    Args:
        key: Which part.
        provider: Who; None for whoever wins without a pin.
        note: Why.
        until: Until when, in seconds since 1970.
        accept_unhealthy: Although its probes fail.
        override: Past a hold, a pause or a quarantine.
    """

    key: Key
    provider: str | None
    note: str = ""
    until: float | None = None
    accept_unhealthy: bool = False
    override: bool = False


@attrs.frozen(kw_only=True)
class Chosen:
    """What came of a choice.

    Args:
        choice: What was asked for.
        outcome: ``done``; ``stored`` where nobody runs; ``nothing`` where there was no pin to drop; ``late``;
            ``taken_back``; ``superseded`` where somebody else has chosen meanwhile.
        before: What was pinned before.
        pin: What is pinned now.
        was: How the part was in each process, before.
        did: What each process made of the choice.
        now: How the part is in each process now, where that is something else.
        late: Processes that have not answered.
        gone: Those that ended meanwhile.
    """

    choice: Choice
    outcome: str
    before: Pin | None = None
    pin: Pin | None = None
    was: Mapping[str, Seen] = attrs.field(factory=dict)
    did: Mapping[str, Seen] = attrs.field(factory=dict)
    now: Mapping[str, Seen] = attrs.field(factory=dict)
    late: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def serving(self, node: str) -> str | None:
        """Who serves in *node* now."""
        seen = self.now.get(node) or self.did.get(node)
        return None if seen is None else seen.provider


@attrs.frozen
class _Written:
    """A pin that was written, or dropped.

    Args:
        pin: It.
        own: Its revision; 0 where it was dropped.
        revision: Of all that operators want, not before it.
        floor: A revision before it: who has acted on a later one has acted on it.
    """

    pin: Pin | None
    own: int
    revision: int
    floor: int


async def choose(desk: Desk, choice: Choice, seconds: float) -> Chosen:
    """Have *choice* in every process that lives; where one refuses it, in none.

    Args:
        desk: The command's.
        choice: What is wanted; its key and provider are known to be there.
        seconds: How long to wait for the processes.
    """
    key = choice.key
    living = await desk.living()
    was = await seen_by(desk, living, key)
    before, written = await _write(desk, choice)
    if written is None:
        return Chosen(choice=choice, outcome="nothing", was=was)
    desk.written = _stands(choice)
    await desk.tell(_event(desk, choice, before))
    waited = await _acted(desk, key, written, living, seconds)
    chosen = Chosen(
        choice=choice,
        outcome="late" if waited.late else "done" if waited.done else "stored",
        before=before,
        pin=written.pin,
        was=was,
        did=waited.done,
        late=waited.late,
        gone=waited.gone,
    )
    outcomes = {seen.outcome for seen in waited.done.values()}
    if outcomes & FAILED:
        chosen = await _taken_back(desk, chosen, written, living, seconds)
    elif "superseded" in outcomes:
        chosen = attrs.evolve(chosen, outcome="superseded", pin=await desk.desired.pinned(key))
    desk.written = None
    return chosen


async def _write(desk: Desk, choice: Choice) -> tuple[Pin | None, _Written | None]:
    """Write the pin, or drop it; what was pinned before, and None where there was nothing to drop."""
    desired, key = desk.desired, choice.key
    for _ in range(_TRIES):
        before, at = await desired.pinned_at(key)
        if choice.provider is None and not at:
            return None, None
        try:
            return before, await _put(desk, key, _pin(desk, choice), at)
        except Conflict:
            continue  # somebody was faster: what he has written is what was pinned before
    raise Conflict(f"the pin of {key} is changed by others all the time")


def _pin(desk: Desk, choice: Choice) -> Pin | None:
    if choice.provider is None:
        return None
    mark = Mark(desk.actor, time.time(), choice.until, choice.note)
    return Pin(choice.provider, mark, choice.accept_unhealthy, choice.override)


async def _put(desk: Desk, key: Key, pin: Pin | None, expect: int) -> _Written:
    """Have *pin* instead of the one of revision *expect*.  Raises: Conflict."""
    floor = await desk.desired.revision()
    revision = await desk.desired.put_back(key, pin, expect=expect)
    return _Written(pin, 0 if pin is None else revision, revision, floor if pin is None else revision - 1)


async def _acted(
    desk: Desk, key: Key, written: _Written, living: Mapping[str, Living], seconds: float
) -> Waited[Seen]:
    """Wait until every process has acted on what was written."""
    doing: dict[str, str] = {}
    look = _look(desk, key, written, doing)
    return await converged(desk, living, look, seconds, lambda name: doing.get(name, name))


def _look(
    desk: Desk, key: Key, written: _Written, doing: dict[str, str]
) -> Callable[[Living], Awaitable[Seen | None]]:
    since: dict[str, float] = {}
    wins = _wins(desk, key, written)

    async def look(living: Living) -> Seen | None:
        name, seen = living.name, await desk.observed.seen(living.name, key)
        if living.node.desired < written.revision:
            doing[name] = f"{name} (has not heard of it)"
            return None
        found = seen or Seen("empty")
        acted = (found.desired or 0) > written.floor
        if acted and (found.outcome in FAILED or found.provider == wins):
            return found
        doing[name] = f"{name} ({_does(seen)})"
        if not acted and time.monotonic() - since.setdefault(name, time.monotonic()) < _QUIET:
            return None
        if (await desk.desired.pinned_at(key))[1] != written.own:
            return attrs.evolve(found, outcome="superseded")  # what it has acted on is somebody else's
        if acted:
            return found
        serves = wins if found.provider is not None or written.pin is not None else None
        return attrs.evolve(found, outcome="unchanged", ms=None) if found.provider == serves else None

    return look


def _wins(desk: Desk, key: Key, written: _Written) -> str | None:
    """Who is to serve."""
    if written.pin is not None:
        return written.pin.provider
    winner = desk.runtime.explain(*key).winner
    return None if winner is None else winner.provider


def _does(seen: Seen | None) -> str:
    return "begins" if seen is None else f"{seen.phase}, {seen.pending}" if seen.pending else seen.phase


async def _taken_back(
    desk: Desk, chosen: Chosen, written: _Written, living: Mapping[str, Living], seconds: float
) -> Chosen:
    """Have what was pinned before again, unless somebody has chosen otherwise meanwhile."""
    key, before = chosen.choice.key, chosen.before
    told = next(seen.told for seen in chosen.did.values() if seen.outcome in FAILED)
    try:
        again = await _put(desk, key, before, written.own)
    except Conflict:
        return attrs.evolve(chosen, outcome="superseded", pin=await desk.desired.pinned(key))
    desk.written = (f"what was pinned to {key} before is pinned again", f"see: oneiric explain {short(key)}")
    kind, provider = ("unpin", None) if before is None else ("pin", before.provider)
    await desk.tell(
        Event(kind, str(key), desk.actor, "operator", "taken_back", chosen.choice.provider, provider, told)
    )
    waited = await _acted(desk, key, again, living, seconds)
    return attrs.evolve(
        chosen, outcome="taken_back", pin=before, now=waited.done, late=waited.late, gone=waited.gone
    )


def _stands(choice: Choice) -> tuple[str, str]:
    """What stands once it is written, and how to take it back."""
    key = choice.key
    if choice.provider is None:
        return f"{key} is pinned no more, and that stands", f"see: oneiric explain {short(key)}"
    return (
        f"{key} is pinned to {choice.provider}, and that stands",
        f"to take it back: oneiric unpin {short(key)}",
    )


def _event(desk: Desk, choice: Choice, before: Pin | None) -> Event:
    return Event(
        "unpin" if choice.provider is None else "pin",
        str(choice.key),
        desk.actor,
        "operator",
        "done",
        None if before is None else before.provider,
        choice.provider,
        choice.note,
    )
