"""A change of several keys, collected in a block."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from oneiric_hookspecs import Key, SwapReport

from oneiric.activation import Slot, Want
from oneiric.swap import Engine


class Changes:
    """A change of several keys, collected in a block and made at its end.

    Attributes:
        reports: What came of each, in the order they were asked for; empty before the end of the block.
    """

    def __init__(
        self,
        engine: Engine,
        known: Callable[[Engine, str, str], Slot],
        actor: str,
        tell: Callable[[Key, str | None, str], Awaitable[None]],
    ) -> None:
        self._engine, self._known, self._actor, self._tell = engine, known, actor, tell
        self._wants: dict[Slot, Want] = {}
        self.reports: list[SwapReport] = []

    def swap(
        self,
        domain: str,
        name: str,
        provider: str | None = None,
        *,
        reload: bool = False,
        override: bool = False,
    ) -> None:
        """One more; as ``runtime.swap``.  The last word about a key counts."""
        want = Want(provider, provider is None, reload, override=override)
        self._wants[self._known(self._engine, domain, name)] = want

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.reports = await self._engine.transaction.run(self._wants, actor=self._actor)
            for slot, want in self._wants.items():
                await self._tell(slot.key, want.provider, self._actor)
