"""A supervised runtime of a settings file; and parts whose health, and whose end, a test decides."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from oneiric_hookspecs import Candidate, Health, Key, hookimpl

from oneiric.activation import Slot
from oneiric.assembly import assemble
from oneiric.runtime import Runtime
from oneiric.supervision import Supervised, Supervision

MAIL = Key.of("service", "mail")
DB = Key.of("adapter", "db")

_DEAD = ConnectionError("the line is dead")


class Notes:
    """A plugin that writes down which health changed, from what to what."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str | None, str]] = []

    @hookimpl
    async def oneiric_health_changed(self, key: Key, before: Health | None, after: Health) -> None:
        self.lines.append((str(key), None if before is None else before.status, after.status))


class Mail:
    """A service that works for so many seconds, and then fails, or returns."""

    def __init__(self, seconds: float, ends: Exception | None) -> None:
        self._seconds, self._ends = seconds, ends

    async def run(self) -> None:
        """Work."""
        await asyncio.sleep(self._seconds)
        if self._ends is not None:
            raise type(self._ends)(*self._ends.args)


class Made:
    """A factory of such services, which knows when each was begun.

    Args:
        lives: Of one after the other: seconds, or why it does not come up; those after them last.
        ends: What each fails with; None where it returns.
    """

    def __init__(self, *lives: float | Exception, ends: Exception | None = _DEAD) -> None:
        self.at: list[float] = []
        self._lives, self._ends = list(lives), ends

    async def __call__(self) -> Mail:
        self.at.append(asyncio.get_running_loop().time())
        seconds = self._lives.pop(0) if self._lives else 1e6
        if isinstance(seconds, Exception):
            raise seconds
        return Mail(seconds, self._ends)


class Part:
    """A part that answers what a test says: always the same, or of a list one after the other, the last for ever."""

    def __init__(self, **answers: Any) -> None:
        self._answers = {"health": True, **answers}
        self.asked = 0

    async def health(self) -> Any:
        """Its readiness."""
        self.asked += 1
        await asyncio.sleep(0)
        return self._say("health")

    def _say(self, kind: str) -> Any:
        answer = self._answers[kind]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Living(Part):
    """The same, with a liveness."""

    async def liveness(self) -> Any:
        """Its liveness."""
        return self._say("liveness")


class Watched:
    """A runtime, what supervises it, and what was told."""

    def __init__(self, runtime: Runtime, supervision: Supervision, notes: Notes) -> None:
        self.runtime, self.supervision, self.notes = runtime, supervision, notes

    def of(self, key: Key) -> Supervised:
        """How *key* is."""
        return self.supervision.of(key)

    def slot(self, key: Key) -> Slot:
        """Its slot."""
        return self.runtime.engine("a test").slot(key)

    async def use(self, key: Key) -> None:
        """Use it for a moment, activated if it is not."""
        async with self.runtime.use(*key):
            pass


@contextlib.asynccontextmanager
async def watched(
    folder: Path,
    text: str,
    candidates: Iterable[Candidate] = (),
    plugins: Iterable[Any] = (),
    draw: Callable[[], float] = lambda: 0.5,
) -> AsyncIterator[Watched]:
    """A runtime of the settings *text*, supervised from its start to its end.

    Args:
        folder: Where the settings file is written.
        text: What it holds.
        candidates: The application's.
        plugins: The application's.
        draw: Instead of chance; a half makes every probe come at its very time.
    """
    file = folder / "oneiric.toml"
    file.write_text(text, encoding="utf-8")
    notes = Notes()
    runtime = assemble(file, plugins=[*plugins, notes], environment=False)
    runtime.register(*candidates)
    async with runtime:
        supervision = runtime.supervision = Supervision(runtime, draw=draw)
        supervision.start()
        yield Watched(runtime, supervision, notes)


def given(key: Key, instance: Any, provider: str = "it", **more: Any) -> Candidate:
    """A candidate of one instance."""
    return Candidate(key, provider, lambda: instance, **more)
