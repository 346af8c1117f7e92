"""The streams of one application: ``runtime.remote``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from oneiric_hookspecs import OneiricError, Problem, SettingsError, SyncReport, a_few, nearest

from oneiric.hooks import HookManager
from oneiric.registry import Registry
from oneiric.secrets import Secrets
from oneiric.settings import Settings
from oneiric.settings.places import state_folder

from .status import StreamStatus, write_status_file
from .stream import Stream

log = logging.getLogger("oneiric.remote")

#: Seconds between two writings of a file in which nothing but times has changed.
SELDOM = 5.0


class Carrier(Protocol):
    """What a started runtime does for its streams."""

    async def in_thread(self, call: Callable[[], Any], *, name: str) -> Any:
        """Call *call* in a thread of its own, and wait for it."""

    def spawn(self, coroutine: Any, *, name: str) -> Any:
        """Start a task that the runtime owns."""

    @property
    def secrets(self) -> Secrets:
        """The secrets of ``[secrets]``."""


class Remote:
    """Its streams: synced when somebody asks, or again and again.

    Args:
        settings: Gives the settings in force.
        hooks: Where fetchers, verifiers, checks and observers are declared.
        registry: Where what is accepted is registered.
        carrier: The runtime.
        wall: Gives seconds since 1970; it may jump.
        draw: Gives numbers from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        hooks: HookManager,
        registry: Registry,
        carrier: Carrier,
        *,
        wall: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings, self._hooks, self._registry, self._carrier = settings, hooks, registry, carrier
        self._wall, self._draw = wall, draw
        self._streams: dict[str, Stream] = {}
        self._loops: dict[str, Any] = {}
        self._wake: dict[str, asyncio.Event] = {}
        self._telling, self._told_at = threading.Lock(), -math.inf
        self._told: list[Any] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The streams of the settings, in their order."""
        return tuple(self._settings().remote)

    def start_offline(self) -> list[SyncReport]:
        """Verify and register what was accepted last, without asking anybody.

        What cannot be used of that is told by its report, and fetched again by the next sync: no state on the disk
        keeps an application from starting.

        Raises:
            SettingsError: A stream has no keys that could verify anything, or names a verifier or a kind of source that
                is not there.
        """
        problems: list[Problem] = []
        for name in self.names:
            try:
                self.stream(name).check()
            except SettingsError as error:
                problems += error.problems
        if problems:
            raise SettingsError(problems)
        return [report for name in self.names if (report := self.stream(name).start_offline()) is not None]

    async def sync(self, name: str | None = None, *, dry_run: bool = False) -> Sequence[SyncReport]:
        """Sync one stream, or all of them at once.

        Args:
            name: Which; None for all.
            dry_run: Whether nothing is registered or kept.
        Returns:
            What came of each, in the order of the settings.
        Raises:
            KeyError: There is no such stream.
        """
        names = self.names if name is None else (self._known(name),)
        return await asyncio.gather(*(self._sync(each, dry_run=dry_run) for each in names))

    def start(
        self,
        name: str | None = None,
        *,
        interval: float | None = None,
        told: Callable[[SyncReport], object] = lambda _: None,
        at_once: bool = False,
    ) -> None:
        """Sync one stream, or all, again and again from now on, until the runtime closes; those that are are left so.

        What came of it is written into ``remote_status.json`` in the state directory, for who does not ask the process.

        Args:
            name: Which; None for all.
            interval: Seconds between two syncs that go well; None for that of the settings.
            told: Called with each report, on the loop; must not raise.
            at_once: Whether the first one does not wait until it is due, as after failures of the process before.
        """
        for each in self.names if name is None else (self._known(name),):
            if each not in self._loops:
                loop = self._loop(each, interval, told, at_once=at_once)
                self._loops[each] = self._carrier.spawn(loop, name=f"remote: {each}")

    def follow(self, told: Callable[[SyncReport], object]) -> None:
        """Have exactly the streams of the settings in force go on, as by ``start``; call it when they are others."""
        for gone in self._loops.keys() - set(self.names):
            self._loops.pop(gone).cancel()
        self.start(told=told)

    def stop(self, name: str | None = None) -> None:
        """End what ``start`` began; a sync that goes on ends by itself, and nobody waits for it."""
        for each in list(self._loops) if name is None else (self._known(name),):
            loop = self._loops.pop(each, None)
            if loop is not None:
                loop.cancel()

    def close(self) -> None:
        """End what goes on, and let go of the sources: as the runtime closes, when nothing syncs any more."""
        self.stop()
        for stream in self._streams.values():
            stream.close()

    def wake(self, name: str | None = None) -> None:
        """Let the next sync of ``start`` begin at once: a hint, from the runtime's loop."""
        for each in list(self._wake) if name is None else (name,):
            if each in self._wake:
                self._wake[each].set()

    async def watch(
        self, name: str | None = None, *, interval: float | None = None
    ) -> AsyncIterator[SyncReport]:
        """The reports of syncs that go on until nobody asks for more."""
        reports: asyncio.Queue[SyncReport] = asyncio.Queue()
        self.start(name, interval=interval, told=reports.put_nowait, at_once=True)
        try:
            while self._loops:
                yield await reports.get()
        finally:
            self.stop(name)

    def status(self) -> list[StreamStatus]:
        """What is known of each stream, in the order of the settings."""
        return [self.stream(name).status(running=name in self._loops) for name in self.names]

    # --- inside --------------------------------------------------------------------------------------------------

    def _known(self, name: str) -> str:
        if name not in self.names:
            near = nearest(name, self.names)
            raise KeyError(
                f"there is no stream {name}"
                + (f"; did you mean {near}?" if near else f": {a_few(self.names)}")
            )
        return name

    def stream(self, name: str) -> Stream:
        """The stream of that name; made when it is first asked for."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(
                name,
                self._settings,
                self._hooks,
                self._registry,
                wall=self._wall,
                draw=self._draw,
                masked=self._carrier.secrets.masked,
            )
        return stream

    async def _sync(self, name: str, *, dry_run: bool = False) -> SyncReport:
        stream, section = self.stream(name), self._settings().remote[name]
        secret = None if section.auth is None else await self._carrier.secrets.get(section.auth)
        report: SyncReport = await self._carrier.in_thread(
            lambda: stream.sync(secret, dry_run=dry_run), name=f"sync of {name}"
        )
        return report

    async def _loop(
        self, name: str, interval: float | None, told: Callable[[SyncReport], object], *, at_once: bool
    ) -> None:
        """Sync when it is time; it ends only when it is cancelled."""
        wake = self._wake[name] = asyncio.Event()
        stream = self.stream(name)
        while True:
            wake.clear()
            wait = 0.0 if at_once else stream.wait(interval)
            at_once = False
            if wait > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await wake.wait()
            try:
                report = await self._sync(name)
            except Exception as error:
                # Not one of the sync's own, which end in its report: a secret that cannot be had, a thread that is
                # not to be had.  It counts as a failure, or it would be tried again at once.
                log.warning("stream %s: not synced: %s", name, error)
                report = stream.failed(error)
            told(report)
            with contextlib.suppress(OneiricError):
                await self._carrier.in_thread(self._tell_file, name="remote_status.json")

    def _tell_file(self) -> None:
        """Write ``remote_status.json``, unless that was done just now; that it cannot be is told, and ends nothing."""
        now = time.monotonic()
        outcomes = [(each.stream, each.last and each.last.outcome) for each in self.status()]
        with self._telling:
            if now - self._told_at < SELDOM and outcomes == self._told:
                return
            self._told_at, self._told = now, outcomes
            try:
                write_status_file(state_folder(self._settings()), self.status(), self._wall())
            except OSError as error:
                log.warning("remote_status.json: %s", error)
