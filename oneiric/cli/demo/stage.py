"""What every scene of the demo is made of: a runtime, clients that work on it, and promises that are counted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import attrs
from oneiric_hookspecs import OneiricError, SwapReport

from oneiric.runtime import Runtime

from .clients import Clients
from .narrator import Narrator
from .project import PLUGIN

T = TypeVar("T")
#: Seconds that anything may take to happen.
PATIENCE = 10.0


@attrs.frozen
class Size:
    """How much of it: clients, swaps under load, and seconds that those are spread over."""

    clients: int
    swaps: int
    seconds: float


class Stage:
    """Where the scenes are played: a runtime that was assembled from the project's settings.

    Attributes:
        broken: A sentence for each promise that did not hold.
        refused: How many swaps were refused.
    """

    def __init__(self, runtime: Runtime, narrator: Narrator, size: Size) -> None:
        self.runtime, self.tell, self.size = runtime, narrator, size
        self.shop: Any = runtime.hooks.plugin(PLUGIN).plugin
        self.clients = Clients(runtime, self.shop.BAD)
        self.refused = 0
        self.broken: list[str] = []

    @contextlib.contextmanager
    def scene(self, title: str) -> Iterator[None]:
        """A scene; an error that nobody expected in it is a broken promise, and the next one is played."""
        self.tell.scene(title)
        try:
            yield
        except (OneiricError, OSError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.promise(False, f"{title}: {said}")
            self.tell.say(f"failed       {said}")

    def promise(self, kept: bool, otherwise: str) -> None:
        """Count a promise: *otherwise* is what is said where it is not *kept*."""
        if not kept:
            self.broken.append(otherwise)

    # --- swaps -------------------------------------------------------------------------------------------------

    async def during(self, swap: Awaitable[T]) -> T:
        """Let clients know that a swap is under way."""
        self.clients.swapping += 1
        try:
            return await swap
        finally:
            self.clients.swapping -= 1

    async def swap(self, provider: str) -> SwapReport | None:
        """A swap that must work; None where it did not."""
        try:
            report = await self.during(self.runtime.swap("adapter", "cache", provider, actor="the demo"))
        except OneiricError as error:
            self.broken.append(f"a swap to {provider} did not work: {str(error).splitlines()[0]}")
            self.tell.say(f"failed       {error}")
            return None
        await report.observed()
        return report

    async def swap_refused(self, provider: str, kind: str = "", actor: str = "the demo") -> None:
        """A swap that must not work, and must leave alone what serves."""
        before = self.bound()
        try:
            await self.during(self.runtime.swap("adapter", "cache", provider, actor=actor))
        except OneiricError as error:
            first = str(error).splitlines()[0]
            name = type(error).__name__
            self.promise(not kind or name == kind, f"{provider} was refused as {name}, not as {kind}")
            self.refused += name != "RolledBack"
            await asyncio.sleep(0.02)  # for the observers, who are told in a task of their own
            self.tell.say(f"refused      {first}")
            self.tell.say(f"serving      {self.bound()}")
        else:
            self.broken.append(f"{provider} was bound, and should have been refused")
        self.promise(self.bound() == before, f"after a refusal {self.bound()} serves, not {before}")

    # --- waiting -----------------------------------------------------------------------------------------------

    async def wait(self, seconds: float, doing: str) -> None:
        """Let the clients work for a while."""
        end = time.perf_counter() + seconds
        while True:
            self.tell.progress(f"{doing}, {self.clients.calls:,} calls")
            left = end - time.perf_counter()
            if left <= 0:
                return
            await asyncio.sleep(min(left, 0.1))

    async def until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Look again and again, as an operator does; for so long, and no longer."""
        end = time.perf_counter() + PATIENCE
        while not condition():
            if time.perf_counter() > end:
                self.broken.append(f"{otherwise} within {PATIENCE:g} s")
                return
            await asyncio.sleep(0.005)

    # --- what there is to see ----------------------------------------------------------------------------------

    def bound(self) -> str:
        """Who fills the cache."""
        slot = self.runtime.status().of("adapter", "cache")
        return slot.bound.provider if slot is not None and slot.bound is not None else "nothing"

    def phase(self) -> str:
        """How the cache's slot is."""
        slot = self.runtime.status().of("adapter", "cache")
        return "" if slot is None else slot.phase

    def failed(self) -> int:
        """Calls that failed because of a swap."""
        return sum(self.clients.failed.values())
