"""A runtime that is kept going, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import Health, HealthSummary, Key, SyncReport

from oneiric.state import Desired, Event, History, Requests

from .asking import Asking
from .controlling import StoreControl
from .loops import Loop, LoopStatus
from .nodes import Membership
from .reconciling import Reconciler
from .recording import Recorder

if TYPE_CHECKING:
    from oneiric_hookspecs import CloseReport

    from oneiric.runtime import Runtime
    from oneiric.supervision import Supervision

    from .measuring import Measuring
    from .watching import Applied, Watching

log = logging.getLogger("oneiric.orchestrator")

#: The plugins through which it hears what happens.
RECORDER, MEASURING = "orchestrate.recorder", "orchestrate.measuring"


class Orchestrator:
    """Keeps one runtime going.  Made by ``orchestrate``.

    Args:
        runtime: Which.
        node: What this process is called; None makes a name.
        files: Whether the files for scrapers are written where ``[state] files`` does not say.
        wall: Gives seconds since 1970; it may jump.

    Attributes:
        runtime: The runtime.
        node: The name of this process among those of the application.
        started: Since when, in seconds since 1970.
        supervision: Watches what is bound.
        watching: Watches the settings files; None where they are not watched.
        measuring: How long operations took.
        reconciler: Makes what is wanted so.
        recorder: Writes down what happens.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        node: str | None = None,
        files: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.runtime = runtime
        self.started = wall()
        self._files, self._wall = files, wall
        settings = runtime.settings
        store = runtime.state
        self.member = Membership(
            store, settings.app.name, lambda: runtime.settings.orchestrate.heartbeat, node, self.started
        )
        self.node = self.member.name
        self._history = History(store)
        self._desired = Desired(store, now=wall)
        self._requests = Requests(store, now=wall)
        self._loops: list[Loop] = []
        self._tasks: list[Any] = []
        self.supervision: Supervision
        self.measuring: Measuring
        self.watching: Watching | None = None
        self.reconciler: Reconciler
        self.recorder: Recorder
        self._ended = False

    # --- its life ----------------------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Before anything is activated: read what operators want, and have it in force.

        Raises:
            StateError: The state store cannot be read.
        """
        runtime = self.runtime
        await self.member.tidy()
        runtime.engine("orchestrate").administration.wall = self._wall
        self.recorder = Recorder(runtime, self.member.observed, self._history, self._wall)
        self.reconciler = Reconciler(runtime, self._desired, self.member, self.recorder, self._wall)
        await self.reconciler.restore()
        runtime.plug(self.recorder, RECORDER)

    async def start(self) -> None:
        """Begin everything that goes on by itself."""
        from oneiric.supervision import Supervision

        from .files import Files
        from .measuring import Measuring

        runtime, settings = self.runtime, self.runtime.settings
        reconciling = self._loop("reconciling", self.reconciler.turn, settings.orchestrate.rescan)
        runtime.control = StoreControl(
            self._desired, self._history, self.reconciler, lambda: reconciling, self.node, self.recorder
        )
        self.measuring = Measuring(clock=runtime.clock, wall=self._wall)
        runtime.plug(self.measuring, MEASURING)
        self.supervision = runtime.supervision = Supervision(runtime)
        self.supervision.changed = self._of_another_health
        asking = Asking(runtime, self._requests, self.node, self.reload)
        self.recorder.loop = self._loop("recording", self.recorder.turn, settings.orchestrate.rescan)
        # As often when it fails: it is counted as gone after three of them, and is to be back as soon as it can.
        every = settings.orchestrate.heartbeat
        self._loop("heartbeat", self.member.beat, every, longest=every)
        requests = self._loop("requests", asking.turn, settings.orchestrate.rescan)
        self._loop("hints of what is wanted", self._hints(self._desired, reconciling), 1.0)
        self._loop("hints of requests", self._hints(self._requests, requests), 1.0)
        self._summing = self._loop("summary", self._sum_up, 5.0)
        if settings.orchestrate.watch and settings.files:
            self._watch()
        if self._files if settings.state.files is None else settings.state.files:
            self._spawn(Files(self).run(), "files")
        await asking.begin()
        await self.member.beat()
        for loop in self._loops:
            self._spawn(loop.run(), loop.status.name)
            self.supervision.add_member(loop.status.name, partial(_of_loop, loop))
        self.supervision.add_member("wishes", self.reconciler.health)
        self.recorder.tell(Event("start", cause="node", outcome="done"))
        if settings.orchestrate.remote:
            self._follow_streams()
        self.supervision.start()

    async def stop(self) -> None:
        """End everything that goes on by itself; what is bound goes on, until the runtime closes."""
        if self._ended:
            return
        self._ended = True
        await self.member.leave()
        await self.supervision.stop()
        self.runtime.remote.stop()
        for task in self._tasks:
            task.cancel()
        self.recorder.loop = None

    async def last_words(self) -> None:
        """As the runtime closes, when everything of it has ended."""
        await self.recorder.last(Event("stop", cause="node", outcome="done"))
        await self.member.leave()

    def _loop(self, name: str, turn: Callable[[], Any], every: float | None, longest: float = 30.0) -> Loop:
        loop = Loop(name, turn, every, longest=longest)
        self._loops.append(loop)
        return loop

    def _spawn(self, coroutine: Any, name: str) -> None:
        self._tasks.append(self.runtime.spawn(coroutine, name=f"orchestrate: {name}"))

    @staticmethod
    def _hints(view: Desired | Requests, loop: Loop) -> Callable[[], Any]:
        async def listen() -> None:
            async for _ in view.changes():
                loop.wake()

        return listen

    # --- settings and streams ----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        from .watching import Watching

        self.watching = Watching(self.runtime, self._settings_taken)
        self.supervision.add_member("settings", self._of_settings)
        self._spawn(self.watching.run(), "settings")

    def _settings_taken(self, applied: Applied) -> None:
        self.recorder.tell(
            Event(
                "settings",
                actor=applied.revision[:12],
                cause="file",
                outcome=applied.outcome,
                new=applied.revision[:12],
                reason=applied.problems or _restart(applied.restart),
            )
        )
        self._summing.wake()  # whoever asks for the status from outside hears it at once, too
        if applied.outcome == "applied" and self.runtime.settings.orchestrate.remote:
            self._follow_streams()

    def _of_settings(self) -> Health:
        status = None if self.watching is None else self.watching.status
        if status is None or not status.error:
            return Health("ok")
        return Health("degraded", f"settings are stale: {status.error}")

    async def reload(self) -> None:
        """Look at the settings files now, although nothing seems to have changed."""
        if self.watching is not None:
            await self.watching.look()

    def _follow_streams(self) -> None:
        """Follow the streams there are, and no others."""
        self.runtime.remote.follow(self._synced)

    def _synced(self, report: SyncReport) -> None:
        if report.outcome == "applied":
            moved = {
                Key.of(identity[0], identity[1])
                for identity in (*report.added, *report.changed, *report.removed)
            }
            self.reconciler.concern(sorted(moved), "stream")

    # --- looking -----------------------------------------------------------------------------------------------------

    @property
    def loops(self) -> tuple[LoopStatus, ...]:
        """How everything goes that goes on by itself."""
        return tuple(loop.status for loop in self._loops)

    def summary(self, group: str = "ready") -> HealthSummary:
        """How a group of parts is; probes nothing."""
        return self.supervision.summary(group)

    def live(self) -> HealthSummary:
        """Whether this process should go on; never because of something that it depends on."""
        return self.summary("live")

    def ready(self) -> HealthSummary:
        """Whether work should be sent here."""
        return self.summary("ready")

    def status(self) -> Mapping[str, Any]:
        """All that is known here, as plain data."""
        from .reporting import status_of

        found: Mapping[str, Any] = status_of(self)
        return found

    def _of_another_health(self, key: Key) -> None:
        """Whoever asks for the health from outside is told at once, and not only when the next summary is due."""
        self.recorder.touch(key)
        self._summing.wake()

    async def _sum_up(self) -> None:
        await asyncio.sleep(0.1)  # as a rule more than one thing happens at a time
        from .reporting import pieces

        summary: dict[str, Any] = {}
        for piece in pieces(self):
            summary |= piece
            await asyncio.sleep(0)
        if summary != self._summed or await self.member.observed.summary(self.node) is None:
            await self.member.observed.sum_up(summary)
            self._summed = summary

    _summed: Any = None


def _restart(sections: tuple[str, ...]) -> str:
    return f"after the next start: {', '.join(sections)}" if sections else ""


def _of_loop(loop: Loop) -> Health:
    status = loop.status
    if not status.failures:
        return Health("ok")
    return Health("degraded", f"{status.name} failed {status.failures} times in a row: {status.error}")


@contextlib.asynccontextmanager
async def orchestrate(
    runtime: Runtime,
    *,
    node: str | None = None,
    files: bool = False,
    wall: Callable[[], float] = time.time,
) -> AsyncIterator[Orchestrator]:
    """Keep a runtime going, and let commands reach it.

    ::

        async with orchestrate(assemble("oneiric.toml")) as orchestrator:
            ...

    It is entered, and closed at the end, unless it runs already; then it goes on at the end.  While the block runs,
    this process is a node: ``oneiric swap``, ``pause``, ``status`` and the others reach it.

    Args:
        runtime: Assembled.
        node: What this process is called; None makes a name of the host and the process.
        files: Whether ``runtime_health.json`` and the others are written where ``[state] files`` does not say.
        wall: Gives seconds since 1970; it may jump.
    Yields:
        The orchestrator.
    Raises:
        StateError: The state store cannot be read.
        RuntimeClosing: The runtime is closed.
    """
    orchestrator = Orchestrator(runtime, node=node, files=files, wall=wall)
    mine = not runtime.running
    if mine:
        runtime.first_things.append(orchestrator.restore)
        await runtime.start()
    else:
        await orchestrator.restore()
    runtime.last_words.append(orchestrator.last_words)
    try:
        await orchestrator.start()
        yield orchestrator
    finally:
        try:
            await orchestrator.stop()
        finally:
            if mine:
                _said(await runtime.close())


def _said(report: CloseReport) -> None:
    if report.left:
        log.warning("did not end in time: %s", ", ".join(report.left))
