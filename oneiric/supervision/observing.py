"""How supervision hears of operations: as any other plugin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from oneiric_hookspecs import Key, Operation, hookimpl


class Observing:
    """Tells of each operation that has come about.

    Args:
        bound: Told of the key and the cause.
        stop: Called when the runtime begins to close.
    """

    def __init__(self, bound: Callable[[Key, str], None], stop: Callable[[], Awaitable[None]]) -> None:
        self._bound, self._stop = bound, stop

    @hookimpl
    async def oneiric_activated(self, operation: Operation) -> None:
        self._bound(operation.key, operation.cause)

    @hookimpl
    async def oneiric_swapped(self, operation: Operation, new: object) -> None:
        self._bound(operation.key, operation.cause)

    @hookimpl
    async def oneiric_rolled_back(self, operation: Operation) -> None:
        # Whose doing it was does not matter here: what serves is what served before.
        self._bound(operation.key, "probation")

    @hookimpl
    async def oneiric_stopping(self) -> None:
        await self._stop()
