"""The steps of a run, and what may be written down of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from oneiric_hookspecs import JSON, OneiricError, PluginError, RunError, StateError, StepRun

from oneiric.plugins._state import encode

from ._memory import Journal


class Steps:
    """What a body is given; see ``oneiric_hookspecs.Steps``.

    Args:
        run: The run's id.
        journal: Where it is kept.
        finished: What had succeeded before.
        wall: Seconds since 1970.
    """

    def __init__(
        self, run: str, journal: Journal, finished: Mapping[str, JSON], wall: Callable[[], float]
    ) -> None:
        self.run, self.keeps, self.finished = run, journal.keeps, finished
        self._journal, self._wall = journal, wall
        self._begun: set[str] = set()

    async def step(self, name: str, call: Callable[[], Awaitable[JSON]]) -> JSON:
        """As of the contract."""
        if name in self._begun:
            raise PluginError(
                f"run {self.run} has two steps {name!r}", hint="a step's name is unique in its run"
            )
        self._begun.add(name)
        if name in self.finished:
            return self.finished[name]
        if not self.keeps:
            return await call()
        started = self._wall()
        try:
            result = await call()
            text = written(result, f"what step {name} gave")
        except Exception as error:
            failed = StepRun(name, "failed", None, described(error), started, self._wall())
            await self._journal.step(self.run, failed, None)
            raise
        ended = StepRun(name, "succeeded", result, None, started, self._wall())
        await self._journal.step(self.run, ended, text)
        return result


def written(value: JSON, what: str) -> str | None:
    """*value* as JSON; None for None.

    Raises:
        RunError: It is not plain data; *what* says whose value it is.
    """
    if value is None:
        return None
    try:
        return encode(value, what)
    except StateError as error:
        raise RunError(error.message, hint=error.hint) from None


def canonical(value: Any) -> str:
    """The same text for all values that are the same, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True)


def described(error: BaseException) -> str:
    """*error* in sentences, to be kept."""
    if isinstance(error, OneiricError):
        return str(error)
    if isinstance(error, asyncio.CancelledError):
        return "it cancelled itself"
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
