"""What operators have pinned, for commands that only look: read in a few milliseconds, and nothing is made."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import Corrupt, Key, OneiricError, SettingsError, specs

if TYPE_CHECKING:
    from oneiric.cli.context import Context
    from oneiric.runtime import Runtime
    from oneiric.state import Pin

#: Seconds that a store may take which has to be opened for it.
PATIENCE = 2.0


def pinned(context: Context, runtime: Runtime) -> dict[Key, Pin]:
    """What is pinned now, and in force in *runtime*, which is not started, from here on.

    A store that cannot be read is warned of, and nothing counts as pinned.
    """
    from oneiric.state.desired import mended_by

    try:
        pins, damaged = _read(runtime)
    except SettingsError:
        return {}  # no plugin brings that store: nobody can have pinned anything
    except (OneiricError, TimeoutError) as error:
        first = str(error).splitlines()[0] if isinstance(error, OneiricError) else "it takes too long"
        context.warn(f"what operators have pinned is not known: {first}")
        return {}
    for name, why in damaged.items():
        context.warn(f"{why}; processes that run go on as before", f"to take it back: {mended_by(name)}")
    now = time.time()
    pins = {key: pin for key, pin in pins.items() if pin.mark.holds(now)}
    for key, pin in pins.items():
        runtime.registry.pin(key, pin.provider, reason=by(pin))
    return pins


def by(pin: Pin) -> str:
    """Whose pin it is, and why."""
    return ": ".join(each for each in (pin.mark.actor, pin.mark.note) if each)


def _read(runtime: Runtime) -> tuple[dict[Key, Pin], dict[str, str]]:
    """What is pinned; and what is damaged, with why."""
    from oneiric.state import choose
    from oneiric.state.desired import PINS, pins_in

    settings = runtime.settings
    store, rest, _ = choose(settings, runtime.hooks[specs.oneiric_stores].answers())
    if store.peek is None:
        return asyncio.run(_asked(runtime))
    from oneiric.settings.places import state_folder

    unread: dict[str, str] = {}
    try:
        entries = list(store.peek(rest, state_folder(settings), PINS))
    except Corrupt as error:
        if not error.damaged:
            raise
        entries, unread = error.sound, {name: why for name, (_, why) in error.damaged.items()}
    pins, damaged = pins_in(entries)
    return pins, unread | damaged


async def _asked(runtime: Runtime) -> tuple[dict[Key, Pin], dict[str, str]]:
    from oneiric.state import Desired
    from oneiric.state.desired import PINS

    from .desk import store_of

    store = store_of(runtime)
    try:
        async with asyncio.timeout(PATIENCE):
            wanted = await Desired(store).wanted()
            return dict(wanted.pins), {
                name: why for name, why in wanted.damaged.items() if name.startswith(PINS)
            }
    finally:
        await store.close()


def in_processes(runtime: Runtime, key: Key) -> dict[str, str | None]:
    """Who serves *key* in each process that lives."""

    async def look() -> dict[str, str | None]:
        from oneiric.state import Observed, living

        from .desk import store_of

        store = store_of(runtime)
        try:
            async with asyncio.timeout(PATIENCE):
                observed = Observed(store)
                found = {each.name: await observed.seen(each.name, key) for each in await living(store)}
                return {name: None if seen is None else seen.provider for name, seen in found.items()}
        finally:
            await store.close()

    try:
        return asyncio.run(look())
    except (OneiricError, TimeoutError):
        return {}  # it was said that the store cannot be read, or the next command will


def pin_facts(runtime: Runtime, key: Key, pin: Pin | None) -> dict[str, Any] | None:
    """The pin of *key* as plain data, with who serves where."""
    from .answering import pin_json

    facts = pin_json(pin)
    return None if facts is None else facts | {"processes": in_processes(runtime, key)}


def sentence(facts: dict[str, Any]) -> str:
    """The same for people."""
    from .desk import NOBODY
    from .moments import today

    who = f" by {facts['actor']}" if facts["actor"] else ""
    end = f", until {today(facts['until'])}" if facts["until"] else ""
    why = f": {facts['note']}" if facts["note"] else ""
    there = facts["processes"]
    if not there:
        now = f"{NOBODY}: it counts from the next start"
    else:
        have = [name for name, provider in there.items() if provider == facts["provider"]]
        unused = [name for name, provider in there.items() if provider is None]
        now = f"it serves in {len(have)} of {_many(len(there))}"
        if unused:
            now += f", and is not in use in {len(unused)}"
    return f"pinned to {facts['provider']}{who} since {today(facts['at'])}{end}{why}; {now}"


def _many(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"
