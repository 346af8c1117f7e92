"""Who owns what factories made.

A factory may hand out one object twice: to two generations of a slot, or to two slots.  It is closed when its last
owner is gone; counted by identity, never by truth or equality, which belong to the object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs

from .threads import Resident

CLOSE_METHODS = ("aclose", "close", "cleanup", "shutdown", "stop")


@attrs.define(eq=False)
class Holding:
    """One object a factory made, and how it was started.

    Args:
        product: What the factory returned.
        ready: Done when it has been started; what it raised is the reason it was not.
        instance: What users get: the product, or what entering it gave.
        entered: How it has to be left: in its host task, in a thread, or not at all.
        host: The task that entered it and will leave it.
        leave: Set to make the host end.
        exits: Whether the host leaves the context at its end.
        around: What it lives in besides, entered by the host and left by it before everything else; None for nothing.
        resident: The thread in which it was entered, and will be left; None where it was not entered in one.
        owners: How many generations have it.
    """

    product: Any
    ready: asyncio.Future[None]
    instance: Any = None
    entered: str = ""
    host: asyncio.Task[None] | None = None
    leave: asyncio.Event = attrs.field(factory=asyncio.Event)
    exits: bool = True
    around: AbstractAsyncContextManager[Any] | None = None
    resident: Resident | None = None
    owners: int = 1


class Owners:
    """The objects of one runtime, by identity."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._held: dict[int, Holding] = {}

    def __len__(self) -> int:
        return len(self._held)

    def take(self, product: Any) -> tuple[Holding, bool]:
        """Become an owner of *product*; its holding, and whether this is the first owner, who has to start it."""
        holding = self._held.get(id(product))
        if holding is not None:
            holding.owners += 1
            return holding, False
        holding = self._held[id(product)] = Holding(product, self._loop.create_future())
        return holding, True

    def leave(self, holding: Holding) -> bool:
        """Stop being an owner; whether this was the last one, who has to close it."""
        holding.owners -= 1
        if holding.owners:
            return False
        del self._held[id(holding.product)]
        return True


def method(thing: Any, names: Iterable[str]) -> Callable[..., Any] | None:
    """The first of *names* that *thing*, or its class, really has and that can be called.

    Objects that answer to every name (proxies, remote stubs) are not asked: their ``close`` may be anything.
    """
    own: Any = getattr(thing, "__dict__", ())
    for name in names:
        if hasattr(type(thing), name) or name in own:
            found = getattr(thing, name, None)
            if callable(found):
                return found  # type: ignore[no-any-return]
    return None
