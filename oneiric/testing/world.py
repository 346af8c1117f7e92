"""A real runtime with a workshop, a listener and the rules, for one test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from oneiric_hookspecs import Candidate, CloseReport, Key, Source, SwapReport

from oneiric.assembly import assemble

from .faults import Steps
from .rules import Listener, Rules
from .workshop import Form, Product, Workshop


class World:
    """Assembled when it is entered; closed, and held against the rules, when it is left.

    ::

        async with World({"lifecycle": {"probation": 30}}) as world:
            world.add(KEY, "a")
            await world.swap(KEY, "a")

    Args:
        settings: Of the runtime.
        plugins: Besides the listener.
        accepted, forced: As of ``Rules``.
        hung: How many threads of the test's own are known not to come back.
        each_step: Whether the rules are held at every step of the loop.
    """

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        plugins: Iterable[Any] = (),
        *,
        accepted: bool = False,
        forced: bool = False,
        hung: int = 0,
        each_step: bool = True,
    ) -> None:
        self.shop = Workshop()
        self.listener = Listener()
        self.runtime = assemble(settings or {}, plugins=[*plugins, self.listener], environment=False)
        self.rules = Rules(self.runtime, self.shop, accepted=accepted, forced=forced)
        self.steps = Steps()
        if each_step:
            self.steps.watchers.append(self.rules.check)
        self.closed: CloseReport | None = None
        self._hung = hung

    async def __aenter__(self) -> Self:
        self.rules.__enter__()
        self.steps.__enter__()
        await self.runtime.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.at_rest()
                self.rules.settled()
            self.closed = await self.runtime.close()
            await self.turn(3)
            self.rules.closed(self.closed, self.listener, hung=self._hung)
        finally:
            self.steps.__exit__(None, None, None)
            self.rules.__exit__(None, None, None)
        if kind is None and self.shop.problems:
            raise AssertionError("\n".join(self.shop.problems))

    # --- doing -------------------------------------------------------------------------------------------------

    def add(
        self, key: Key, provider: str, form: Form = "async", *, source: Source | None = None, **more: Any
    ) -> Candidate:
        """Register a candidate of the workshop."""
        candidate = self.shop.candidate(key, provider, form, **more)
        if source is None:
            self.runtime.register(candidate)
        else:
            self.runtime.register(candidate, source=source)
        return candidate

    async def swap(self, key: Key, provider: str | None = None, **options: Any) -> SwapReport:
        """As of the runtime."""
        return await self.runtime.swap(*key, provider, **options)

    async def use(self, key: Key) -> str:
        """Use what is bound once, with a turn of the loop in the middle; its provider."""
        async with self.runtime.use(*key) as product:
            product.use()
            await asyncio.sleep(0)
            provider: str = product.use()
        return provider

    def serves(self, key: Key) -> str | None:
        """The provider that a user would get now; None where nobody would."""
        from oneiric_hookspecs import NotServing

        try:
            with self.runtime.lease(*key) as product:
                found: str = product.use() if isinstance(product, Product) else "something"
        except NotServing:
            return None
        return found

    # --- looking -----------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Any:
        """The engine."""
        return self.runtime._engine  # noqa: SLF001 - that is what this is for

    def slot(self, key: Key) -> Any:
        """The slot of *key*."""
        return self.engine.slot(key)

    def status(self, key: Key) -> Any:
        """The status of its slot."""
        return self.runtime.status().of(*key)

    async def turn(self, times: int = 1) -> None:
        """Let the loop go round."""
        for _ in range(times):
            await asyncio.sleep(0)

    async def at_rest(self, rounds: int = 100) -> None:
        """Wait until no operation is under way and everybody was told; no time passes where none has to."""
        for _ in range(rounds):
            for _ in range(100):
                names = [task.get_name() for task in self.engine.tasks.running]
                if not self.engine.operations.under_way and not any(
                    name.startswith("tell") for name in names
                ):
                    return
                await asyncio.sleep(0)
            if under_way := self.engine.operations.under_way:
                await asyncio.wait({each.task for each in under_way}, timeout=600)
            else:
                await asyncio.sleep(0.01)
