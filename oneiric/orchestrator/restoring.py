"""What operators want, in force before anything is activated."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from oneiric_hookspecs import Key

from oneiric.state import Desired, Wanted
from oneiric.state.desired import mended_by

if TYPE_CHECKING:
    from oneiric.runtime import Runtime


log = logging.getLogger("oneiric.orchestrator")


def pins_of(wanted: Wanted, now: float) -> dict[Key, str]:
    """The provider that is pinned to each key at *now*."""
    return {key: pin.provider for key, pin in wanted.pins.items() if pin.mark.holds(now)}


def in_force(runtime: Runtime, wanted: Wanted, before: Mapping[Key, str], now: float) -> dict[Key, str]:
    """Have what is *wanted* in force in *runtime*, without activating or swapping anything.

    Args:
        runtime: Where; it runs.
        wanted: By operators.
        before: What was pinned the last time; what is not any more is unpinned.
        now: Seconds since 1970.
    Returns:
        What is pinned now, for the next time.
    """
    runtime.engine("orchestrate").administration.adopt(wanted.admins)
    after = pins_of(wanted, now)
    for key in [*before, *after]:
        if after.get(key) == before.get(key):
            continue
        if key in after:
            runtime.registry.pin(key, after[key])
        else:
            runtime.registry.unpin(key)
    return after


async def restore(runtime: Runtime, wall: Callable[[], float] = time.time) -> None:
    """Have what operators want in force in a process that does one thing and ends.

    Raises:
        StateError: The state store cannot be read.
    """
    wanted = await Desired(runtime.state).wanted()
    for name, why in wanted.damaged.items():
        log.warning("%s, and does not count; to take it back: %s", why, mended_by(name))
    in_force(runtime, wanted, {}, wall())
