"""What an executor knows of its runs where nothing is written down: gone with the process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import attrs
from oneiric_hookspecs import Run, RunState, StateError, StepRun


class Gone(StateError):
    """A run of this process is no longer there."""


class Journal(Protocol):
    """Where runs are kept.  Payloads and results are given as JSON too, None for None.

    Attributes:
        keeps: Whether steps are written down.

    Raises:
        StateError: From every method: it cannot be read or written; what is in it is as it was.
    """

    keeps: bool

    async def take(self, run: Run, payload: str | None) -> Run | None:
        """Write down a new run, which belongs to this process from now on; or give the one that has its key."""

    async def drop(self, run: str) -> None:
        """Take that back: it is not begun."""

    async def began(self, run: str, at: float) -> None:
        """A run that was queued goes on."""

    async def ended(self, run: Run, result: str | None) -> None:
        """A run of this process has ended."""

    async def let_go(self, runs: Iterable[str]) -> None:
        """Runs of this process that were cut off: somebody may resume them."""

    async def claim(self, found: Run, again: Run) -> bool:
        """Take over a run that is in no process, as it was found; False where somebody was faster."""

    async def ask(self, run: str, at: float) -> bool:
        """Have a run of another process end, wherever that is; False where it has ended, or there is none."""

    async def asked(self) -> list[str]:
        """The runs of this process that others want to end."""

    async def get(self, run: str) -> Run | None:
        """A run as it is."""

    async def runs(self, kind: str, name: str, states: frozenset[RunState], limit: int) -> list[Run]:
        """Runs of a kind, a name, in one of some states; all where nothing is said; newest first."""

    async def step(self, run: str, step: StepRun, result: str | None) -> None:
        """A step has ended."""

    async def steps(self, run: str) -> list[StepRun]:
        """A run's steps, in the order they ended."""

    async def close(self, *, stuck: bool) -> None:
        """Let go of everything; *stuck* is whether runs go on that would not end."""


class MemoryJournal:
    """Keeps runs for as long as the process lives, and no steps.

    Args:
        keep: How many runs that have ended.
    """

    keeps = False

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._runs: dict[str, Run] = {}
        self._keys: dict[tuple[str, str, str], str] = {}
        self._ended: dict[str, None] = {}  # in the order in which they did

    async def take(self, run: Run, payload: str | None) -> Run | None:
        """As of ``Journal``, like all below."""
        if run.key is not None:
            there = self._keys.setdefault((run.kind, run.name, run.key), run.id)
            if there != run.id:
                return self._runs[there]
        self._runs[run.id] = run
        return None

    async def drop(self, run: str) -> None:
        gone = self._runs.pop(run)
        if gone.key is not None:
            del self._keys[gone.kind, gone.name, gone.key]

    async def began(self, run: str, at: float) -> None:
        self._runs[run] = attrs.evolve(self._runs[run], state="running", started=at)

    async def ended(self, run: Run, result: str | None) -> None:
        # Without what it raised, which holds on to everything that was around.
        self._runs[run.id] = run if run.cause is None else attrs.evolve(run, cause=None)
        self._ended[run.id] = None
        if len(self._ended) > self._keep:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            await self.drop(oldest)

    async def let_go(self, runs: Iterable[str]) -> None:
        for run in runs:
            self._runs[run] = attrs.evolve(self._runs[run], state="lost")

    async def claim(self, found: Run, again: Run) -> bool:
        if self._runs.get(found.id) != found:
            return False
        self._ended.pop(found.id, None)
        self._runs[found.id] = again
        return True

    async def ask(self, run: str, at: float) -> bool:
        found = self._runs.get(run)
        if found is None or found.over:
            return False
        # It is lost, as none goes on elsewhere.
        await self.ended(attrs.evolve(found, state="cancelled", ended=at), None)
        return True

    async def asked(self) -> list[str]:
        return []

    async def get(self, run: str) -> Run | None:
        return self._runs.get(run)

    async def runs(self, kind: str, name: str, states: frozenset[RunState], limit: int) -> list[Run]:
        found = []
        for run in reversed(self._runs.values()):
            if (
                (not kind or run.kind == kind)
                and (not name or run.name == name)
                and (not states or run.state in states)
            ):
                found.append(run)
                if len(found) == limit:
                    break
        return found

    async def step(self, run: str, step: StepRun, result: str | None) -> None:
        raise AssertionError("nothing is written down")

    async def steps(self, run: str) -> list[StepRun]:
        return []

    async def close(self, *, stuck: bool) -> None:
        self._runs.clear()
        self._keys.clear()
        self._ended.clear()
