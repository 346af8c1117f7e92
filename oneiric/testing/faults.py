"""Faults at every place: something done after so many steps of the loop, an error raised where a step begins."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, cast


class Steps:
    """Counts the steps of the running loop, and does things between them.

    Attributes:
        count: Steps since the block was entered.
        actions: What to do after how many steps.
        watchers: Called with the count after each step.
    """

    def __init__(self) -> None:
        self.count = 0
        self.actions: dict[int, Callable[[], Any]] = {}
        self.watchers: list[Callable[[int], Any]] = []

    def __enter__(self) -> Self:
        self._loop = cast(Any, asyncio.get_running_loop())
        original = self._loop._run_once  # noqa: SLF001 - there is no other way to stand between two steps

        def step() -> None:
            original()
            self.count += 1
            if (action := self.actions.get(self.count)) is not None:
                action()
            for watcher in self.watchers:
                watcher(self.count)

        self._loop._run_once = step  # noqa: SLF001
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._loop._run_once  # noqa: SLF001


@contextlib.contextmanager
def raising_at(step: str, error: Callable[[], BaseException], nth: int = 1) -> Iterator[list[str]]:
    """Let the operation that begins *step* for the *nth* time find an error there.

    Yields:
        The steps that were begun, in order.
    """
    from oneiric.activation import Operation

    original, begun = Operation.at, []

    def at(operation: Operation, name: str) -> None:
        original(operation, name)
        begun.append(name)
        if name == step and begun.count(step) == nth:
            raise error()

    Operation.at = at  # type: ignore[method-assign, assignment]
    try:
        yield begun
    finally:
        Operation.at = original  # type: ignore[method-assign]
