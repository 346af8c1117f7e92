"""Where adapters are opened for a test, and what makes a coroutine function one."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any


def promise(body: Callable[..., Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """A test that takes only ``self``, of a coroutine function that also takes an adapter."""

    def test(self: Places) -> None:
        async def main() -> None:
            async with self.opened() as adapter:
                await body(self, adapter)

        self.run(main())

    # Not ``functools.wraps``: runners would look through it, and ask where the adapter comes from.
    test.__name__, test.__qualname__, test.__doc__ = body.__name__, body.__qualname__, body.__doc__
    return test


async def refused(
    call: Awaitable[Any], kind: type[Exception] | tuple[type[Exception], ...], what: str
) -> Exception:
    """Hold a call against the error that it has to raise; the error."""
    try:
        found = await call
    except kind as error:
        return error
    names = kind.__name__ if isinstance(kind, type) else " or ".join(each.__name__ for each in kind)
    raise AssertionError(f"{what} was taken, with {found!r}; expected {names}")


async def cancelled_at_every_step(call: Callable[[], Coroutine[Any, Any, Any]]) -> int:
    """Make a call again and again, cancelled after one step of the loop more each time, until it ends by itself.

    Returns:
        How many times it was cancelled.
    """
    for steps in range(1_000):
        task = asyncio.ensure_future(call())
        for _ in range(steps):
            await asyncio.sleep(0)
        if task.done():
            await task
            return steps
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    raise AssertionError("it does not end within 1,000 steps of the loop")


class Places:
    """What every suite stands on: override ``open``.

    Attributes:
        durable: Whether what is kept is there again when nobody had it open meanwhile.
    """

    durable = True
    usual: Mapping[str, Any] = MappingProxyType({})  # settings that every test asks for

    async def open(self, place: str, **settings: Any) -> Any:
        """Open an adapter at *place*, a short name of lower-case letters and digits, the first time or again."""
        raise NotImplementedError("override open(place, **settings)")

    async def close(self, adapter: Any) -> None:
        """Close it: its ``aclose``, else its ``close``."""
        await (adapter.aclose() if hasattr(adapter, "aclose") else adapter.close())

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run a test; override it to bring another loop."""
        asyncio.run(main)

    @contextlib.asynccontextmanager
    async def opened(self, place: str | None = None, **settings: Any) -> AsyncIterator[Any]:
        """An adapter, closed at the end; at a place of its own where none is named."""
        adapter = await self.open(place or f"p{uuid.uuid4().hex}", **self.usual, **settings)
        try:
            yield adapter
        finally:
            await self.close(adapter)
