"""Settings files that change are taken: validated as a whole, and applied, or refused as a whole.

Level-triggered: each look compares what the files hold with what is in force.  What cannot be read, or is not valid,
leaves the last good settings in force, and is tried again when it changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import OneiricError, Problem, SettingsError, SwapReport

from oneiric.settings import Settings, examine
from oneiric.watch import STEP, Content, FileWatch, Waker, digest_of, is_endless

if TYPE_CHECKING:
    from oneiric.runtime import Runtime

log = logging.getLogger("oneiric.orchestrator")

#: Seconds until files that do not answer are given up for this look.
PATIENCE = 10.0
#: Seconds between two tries where something failed that is nobody's slip in a file, at most.
SELDOM = 60.0
#: Sections that are read at the start of a process, each with what of it counts at once all the same.
AT_START: Mapping[str, tuple[str, ...]] = {
    "app": (),
    "plugins": (),
    "state": (),
    "orchestrate": ("poll", "heartbeat"),
    "logging": (),
    "telemetry": (),
}


@attrs.frozen
class Applied:
    """What came of settings that were new.

    Args:
        revision: The digest of what the files held.
        outcome: ``applied``, or ``refused``.
        problems: Why they were refused, all of it, one a line; empty where they were not.
        reports: What came of each bound part that they change; an error where it serves what it served before.
        restart: What of them counts after the next start only: ``[state] url``.
    """

    revision: str
    outcome: str
    problems: str = ""
    reports: tuple[SwapReport | OneiricError, ...] = ()
    restart: tuple[str, ...] = ()


@attrs.frozen
class WatchStatus:
    """How the settings are.  Times are seconds since 1970.

    Args:
        files: Those that are watched, the weakest first.
        revision: The digest of what is in force.
        since: Since when they are watched.
        stale_since: Since when the files hold something else than what is in force; None where they do not.
        error: Why that is not taken: the first line of each problem; empty where nothing is stale.
        applied_at: When a change was last taken; None where none was.
        restart: What of the files counts after the next start only: ``[state] url``.
        by: What wakes the watching: ``watchfiles``, or ``poll`` for the clock alone.
    """

    files: tuple[str, ...] = ()
    revision: str = ""
    since: float = 0.0
    stale_since: float | None = None
    error: str = ""
    applied_at: float | None = None
    restart: tuple[str, ...] = ()
    by: str = "poll"


class Watching:
    """Watches the settings files of one runtime; the environment, the profile and options stay those of its start.

    Args:
        runtime: Which; it runs.
        told: Called with what came of settings that were new, on the loop.
        wall: Gives seconds since 1970.
        step: Seconds for which files must be at rest before they are read.
    """

    def __init__(
        self,
        runtime: Runtime,
        told: Callable[[Applied], object],
        *,
        wall: Callable[[], float] = time.time,
        step: float = STEP,
    ) -> None:
        self._runtime, self._told, self._wall, self._step = runtime, told, wall, step
        self._began = runtime.settings
        self._environ = dict(os.environ)
        self._watch = FileWatch(self._began.files, step=step, in_thread=self._in_thread)
        self._waker = Waker(self._began.files, least=step)
        self._looking = asyncio.Lock()
        self._refused: tuple[str, int] | None = (
            None  # what was not valid, and against what was registered then
        )
        self._said = ""
        self._failures, self._due = 0, 0.0
        self._tried = ""  # the digest of what was tried last
        self._blind = False  # not even that could be found out
        self._soon = False
        files = tuple(str(file) for file in self._began.files)
        # Of what was read then, and not of what the files hold by now.
        self._status = WatchStatus(files, _digest_of(self._began), wall())

    @property
    def status(self) -> WatchStatus:
        """How the settings are."""
        return attrs.evolve(self._status, by=self._waker.by)

    async def run(self) -> None:
        """Look again and again, until cancelled; nothing else ends it."""
        if not self._watch.files:
            await asyncio.Event().wait()
        async with self._waker:
            while True:
                await self._turn(forced=False)
                poll = self._runtime.settings.orchestrate.poll
                await self._waker.wait(min(poll, self._step) if self._soon else poll)

    async def look(self) -> WatchStatus:
        """Look now, and try again what was refused; how the settings are after that."""
        if self._watch.files:
            await self._turn(forced=True)
        return self.status

    async def _turn(self, *, forced: bool) -> None:
        async with self._looking:
            self._soon = False
            try:
                await self._look(forced)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._failed("it was cancelled, and nobody had asked for that")
            except Exception as error:
                self._failed(_sentence(error), error)

    async def _look(self, forced: bool) -> None:
        due = self._failures > 0 and asyncio.get_running_loop().time() >= self._due
        if self._blind and not (forced or due):
            return
        again = self._refused is not None and self._refused[1] != self._runtime.revision
        self._blind = True
        if not (await self._watch.differ() or forced or due or again):
            self._blind = False
            return
        looks = await self._watch.settle()
        content = await self._watch.content()
        self._blind = False
        if content.digest == self._status.revision:
            self._fresh()
            self._watch.take(looks)
            return
        if self._failures and content.digest == self._tried and not (forced or due):
            return
        self._tried = content.digest
        same = self._refused is not None and self._refused[0] == content.digest
        if same and not (forced or again) and content.readable:
            self._watch.take(looks)  # touched, and no better for it
            return
        problems: SettingsError | None = None
        new = self._began
        try:
            new = await self._in_thread(self._examine)
        except SettingsError as error:
            problems = error
        if (await self._watch.content()).digest != content.digest:
            self._soon = True  # changed while it was read: what was read may be half of each
            return
        if problems is None:
            try:
                new = self._runtime.bind(new)
            except SettingsError as error:
                problems = error
        if problems is not None:
            self._refuse(content, problems)
        else:
            await self._apply(content, new)
        if content.readable:  # else it is tried again at every look
            self._watch.take(looks)

    def _examine(self) -> Settings:
        mine = self._began
        for file in self._watch.files:
            with contextlib.suppress(OSError):  # it is said below what is wrong with it
                if is_endless(file):
                    raise SettingsError(
                        [Problem("settings", "is no file, but a pipe or a device", where=str(file))]
                    )
        return examine(self._watch.files, environ=self._environ, profile=mine.profile, flags=mine.flags)

    async def _apply(self, content: Content, new: Settings) -> None:
        restart = _at_start(self._began, new)
        kept: dict[str, Any] = {
            section: attrs.evolve(
                getattr(self._began, section), **{name: getattr(getattr(new, section), name) for name in live}
            )
            for section, live in AT_START.items()
        }
        # What counts after the next start only is not half in force till then: who asks where the state is gets one
        # answer for as long as the process runs.
        new = attrs.evolve(new, **kept)
        planned = self._runtime.plan(new)
        try:
            reports = await self._runtime.apply(new)
        except SettingsError as error:
            self._refuse(content, error)
            return
        now = self._wall()
        self._status = attrs.evolve(
            self._status,
            revision=content.digest,
            stale_since=None,
            error="",
            applied_at=now,
            restart=restart,
        )
        self._refused, self._failures, self._said = None, 0, ""
        moved = ", ".join(f"{each.key} {each.before} -> {each.after}" for each in planned if each.before)
        log.info("settings %s are in force%s", content.digest[:12], f": {moved}" if moved else "")
        if restart:
            log.warning("settings count after a restart only: %s", ", ".join(restart))
        self._tell(Applied(content.digest, "applied", "", tuple(reports), restart))

    def _refuse(self, content: Content, error: SettingsError) -> None:
        lines = [" ".join(str(problem).split()) for problem in error.problems]
        text = "\n".join(lines) or _sentence(error)
        known = self._refused is not None and self._refused[0] == content.digest and self._said == text
        self._refused = content.digest, self._runtime.revision
        self._failures = 0
        self._stale("; ".join(lines) or text)
        if known:
            return
        self._said = text
        log.warning("settings are not taken, and the last good ones stay in force: %s", "; ".join(lines))
        self._tell(Applied(content.digest, "refused", text))

    def _failed(self, why: str, error: BaseException | None = None) -> None:
        """Something went wrong that is no slip in a file: said once, and tried again, less and less often."""
        poll = self._runtime.settings.orchestrate.poll
        pause = min(SELDOM, poll * 2.0 ** min(self._failures, 16))
        self._failures += 1
        self._due = asyncio.get_running_loop().time() + pause
        self._stale(why)
        if self._said == why:
            return
        self._said = why
        log.warning("settings could not be taken, and it goes on: %s", why, exc_info=error)
        self._tell(Applied(self._tried or self._status.revision, "refused", why))

    def _stale(self, error: str) -> None:
        before = self._status
        since = self._wall() if before.stale_since is None else before.stale_since
        self._status = attrs.evolve(before, stale_since=since, error=error)

    def _fresh(self) -> None:
        """The files hold what is in force."""
        if self._status.stale_since is not None:
            log.info("the settings files hold again what is in force")
        self._status = attrs.evolve(self._status, stale_since=None, error="")
        self._refused, self._failures, self._said = None, 0, ""

    def _tell(self, applied: Applied) -> None:
        try:
            self._told(applied)
        except Exception:
            log.exception("who is told about settings failed; they are %s nevertheless", applied.outcome)

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._runtime.in_thread(call, name="look at the settings")
        except TimeoutError:
            raise TimeoutError(f"the files of the settings do not answer within {PATIENCE:g} s") from None


def _digest_of(settings: Settings) -> str:
    """The digest of the files that *settings* were made of, as they were read."""
    return digest_of([layer.text.encode() for layer in settings.origin.layers if layer.kind == "file"])


def _at_start(old: Settings, new: Settings) -> tuple[str, ...]:
    """What differs and counts after the next start only."""
    found = []
    for section, live in AT_START.items():
        before, after = getattr(old, section), getattr(new, section)
        found += [
            f"[{section}] {field.name}"
            for field in attrs.fields(type(before))
            if field.name not in live
            and _compared(field, getattr(before, field.name)) != _compared(field, getattr(after, field.name))
        ]
    return tuple(found)


def _compared(field: Any, value: Any) -> Any:
    """*value* as its class compares it."""
    return value if field.eq_key is None else field.eq_key(value)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (
        text if isinstance(error, OneiricError) and text else f"{type(error).__name__}: {text}".rstrip(": ")
    )
