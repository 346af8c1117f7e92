"""Where stores are opened for a test, and what makes a coroutine function one."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

from oneiric_hookspecs import Retention, StateError, StateStore


def promise(body: Callable[..., Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """A test that takes only ``self``, of a coroutine function that also takes a store."""

    def test(self: Places) -> None:
        async def main() -> None:
            async with self.opened() as store:
                await body(self, store)

        self.run(main())

    # Not ``functools.wraps``: runners would look through it, and ask where the store comes from.
    test.__name__, test.__qualname__, test.__doc__ = body.__name__, body.__qualname__, body.__doc__
    return test


@contextlib.contextmanager
def refused(what: object, kind: type[StateError] = StateError) -> Iterator[list[StateError]]:
    refusals: list[StateError] = []
    try:
        yield refusals
    except kind as error:
        refusals.append(error)
        return
    raise AssertionError(f"{what!r} was taken; expected a {kind.__name__}")


class Places:
    """What every part of the suite stands on.

    Attributes:
        durable: Whether what is stored is there again when nobody had it open meanwhile.
        patience: Seconds in which a change of another store is hinted at.
        workers: How many tasks are at it at once where many are.
    """

    durable = True
    patience = 10.0
    workers = 20

    async def open(self, place: str, retention: Retention) -> StateStore:
        """Open a store at *place*, a short name of lower-case letters and digits, the first time or again."""
        raise NotImplementedError("override open(place, retention)")

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run a test; override it to bring another loop."""
        asyncio.run(main)

    @contextlib.asynccontextmanager
    async def opened(
        self, place: str | None = None, retention: Retention | None = None
    ) -> AsyncIterator[StateStore]:
        """A store, closed at the end; at a place of its own where none is named."""
        store = await self.open(place or f"p{uuid.uuid4().hex}", retention or Retention())
        try:
            yield store
        finally:
            await store.close()

    @contextlib.asynccontextmanager
    async def pair(self) -> AsyncIterator[tuple[StateStore, StateStore]]:
        """Two stores at one place."""
        place = f"p{uuid.uuid4().hex}"
        async with self.opened(place) as one, self.opened(place) as other:
            yield one, other
