"""Running jobs on the loop of the runtime: each in a task of the runtime's, so many at once, each in a journal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import partial

import attrs
from oneiric_hookspecs import (
    JSON,
    Body,
    Host,
    Job,
    NoSuchRun,
    OneiricError,
    Run,
    RunError,
    RunState,
    RunTimeout,
    StateError,
    StepRun,
    TaskHandle,
    a_few,
)

from oneiric.plugins._lanes import Lane

from ._memory import Gone, Journal
from ._steps import Steps, canonical, described, written

log = logging.getLogger("oneiric.plugin.executors.local")

#: Seconds between two looks for what other processes ask for, or have done.
LOOK = 1.0
#: How many runs that have ended here are remembered with what they raised.
REMEMBERED = 256


@attrs.define(eq=False)
class _Active:
    """A run that goes on here, or waits for its turn."""

    run: Run
    job: Job
    body: Body
    finished: Mapping[str, JSON]
    inside: bool  # whether it has a place among those that go on at once
    ended: asyncio.Future[None]
    task: TaskHandle | None = None
    begun: bool = False
    over: bool = False
    cancelled: bool = False  # on request
    waits: int = 0  # how many other runs it waits for
    error: OneiricError | None = None  # what those who wait for it are told instead


#: The run that goes on where this is asked.
_current: ContextVar[_Active | None] = ContextVar("oneiric_run", default=None)


class Local:
    """An ``Executing`` whose runs go on in this process.

    Args:
        host: The runtime.
        journal: Where runs are kept.
        capabilities: What a job may need.
        concurrency: How many runs go on at once; one that waits for another gives up its place meanwhile.
        advice: What to set for a capability that is missing.
        wall: Seconds since 1970.
    """

    def __init__(
        self,
        host: Host,
        journal: Journal,
        *,
        capabilities: Iterable[str],
        concurrency: int,
        advice: str | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._host, self._journal, self._wall = host, journal, wall
        self._capabilities, self._advice = frozenset(capabilities), advice
        self._lane = Lane(concurrency)
        self._active: dict[str, _Active] = {}
        self._recent: OrderedDict[str, Run] = OrderedDict()
        self._unwritten: dict[str, Callable[[], Awaitable[None]]] = {}
        self._watching: TaskHandle | None = None
        self._node = f"{os.uname().nodename}:{os.getpid()}"
        self._closed = False

    # --- asking --------------------------------------------------------------------------------------------------

    async def submit(self, job: Job, body: Body) -> str:
        """As of the contract, like all below."""
        self._open(job)
        text = written(job.payload, f"the payload of {job.kind} {job.name}")
        at = self._wall()
        inside = self._lane.enter()
        new = Run(
            f"{int(at * 1000):011x}-{os.urandom(4).hex()}",
            job.kind,
            job.name,
            "running" if inside else "queued",
            key=job.key,
            payload=job.payload,
            version=job.version,
            submitted=at,
            started=at if inside else None,
            node=self._node,
        )
        try:
            there = await self._journal.take(new, text)
            if there is None:
                await self._begin(new, job, body, {}, inside=inside, undo=self._journal.drop)
                inside = False
                return new.id
        finally:
            if inside:
                self._lane.leave()
        if canonical(there.payload) != canonical(job.payload):
            raise RunError(
                f"{job.kind} {job.name}: the key {job.key!r} was used with another payload",
                run=there.id,
                hint=f"that was run {there.id}; another payload wants another key",
            )
        if there.state == "lost":
            await self._go_on(there, job, body)
        return there.id

    async def wait(self, run: str) -> Run:
        self._open()
        active = self._active.get(run)
        if active is None:
            return await self._elsewhere(run)
        within = _current.get()
        if within is None:
            await asyncio.wait({active.ended})
        else:
            await self._make_room(within, active.ended)
        if active.error is not None:
            raise active.error.twin()
        return active.run

    async def get(self, run: str) -> Run | None:
        self._open()
        recent = self._recent.get(run)
        return recent if recent is not None else await self._journal.get(run)

    async def runs(
        self, *, kind: str = "", name: str = "", states: Iterable[RunState] = (), limit: int = 100
    ) -> list[Run]:
        self._open()
        return await self._journal.runs(kind, name, frozenset(states), limit)

    async def steps(self, run: str) -> list[StepRun]:
        self._open()
        return await self._journal.steps(run)

    async def cancel(self, run: str) -> bool:
        self._open()
        active = self._active.get(run)
        if active is None:
            return await self._journal.ask(run, self._wall())
        _cancel(active)
        return True

    async def resume(self, run: str, job: Job, body: Body) -> None:
        self._open(attrs.evolve(job, needs=job.needs | {"resume"}))
        found = await self._journal.get(run)
        if found is None:
            raise _no_such(run)
        if found.state not in ("lost", "failed", "cancelled"):
            goes_on = f"it is {found.state}, in {found.node}"
            hint = "there is nothing left to do" if found.over else f"{goes_on}; cancel it first"
            raise RunError(f"run {run} cannot be resumed: it is {found.state}", run=run, hint=hint)
        if not await self._go_on(found, job, body):
            raise RunError(f"run {run} cannot be resumed: somebody else has just done so", run=run)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._watching is not None:
            self._watching.cancel()
        for active in self._active.values():
            if active.task is not None:
                active.task.cancel()
        if going := [active.ended for active in self._active.values() if active.begun]:
            await asyncio.wait(going, timeout=1.0)
        left = list(self._active.values())
        try:
            await self._write_the_rest()
            await self._journal.let_go([active.run.id for active in left if not active.begun])
        finally:
            for active in left:
                active.error = RunError(f"run {active.run.id} was cut off", run=active.run.id)
                _set(active.ended)
            await self._journal.close(stuck=any(active.begun for active in left))

    # --- waiting -------------------------------------------------------------------------------------------------

    async def _elsewhere(self, run: str) -> Run:
        """The run when it has ended, of which nobody tells."""
        delay = 0.05
        while True:
            found = await self.get(run)
            if found is None:
                raise _no_such(run)
            if found.over or found.state == "lost":
                return found
            if run in self._active:
                return await self.wait(run)
            await asyncio.sleep(delay)
            delay = min(LOOK, delay * 1.5)

    async def _make_room(self, within: _Active, ended: asyncio.Future[None]) -> None:
        """Wait inside a run for another, which may be waiting for a place: so its own is given up meanwhile."""
        within.waits += 1
        if within.inside:
            within.inside = False
            self._lane.leave()
        try:
            await asyncio.wait({ended})
        finally:
            within.waits -= 1
            if within.waits == 0 and not within.over:
                if not self._lane.enter():
                    await self._lane.wait()
                within.inside = True

    # --- running -------------------------------------------------------------------------------------------------

    async def _go_on(self, found: Run, job: Job, body: Body) -> bool:
        """Resume a run that is in no process; False where somebody was faster."""
        if (found.kind, found.name) != (job.kind, job.name):
            raise RunError(f"run {found.id} is one of {found.kind} {found.name}", run=found.id)
        if found.version != job.version:
            raise RunError(
                f"run {found.id} cannot be resumed: {job.kind} {job.name} has changed since it was begun",
                run=found.id,
                hint="begin a new one",
            )
        inside = self._lane.enter()
        try:
            again = attrs.evolve(
                found,
                state="running" if inside else "queued",
                ended=None,
                result=None,
                error=None,
                node=self._node,
                cause=None,
            )
            if not await self._journal.claim(found, again):
                return False
            self._recent.pop(found.id, None)
            try:
                steps = await self._journal.steps(found.id)
            except BaseException:  # it is ours by now, and does not go on
                with contextlib.suppress(StateError):  # which is told already
                    await self._let_go(found.id)
                raise
            finished = {step.name: step.result for step in steps if step.state == "succeeded"}
            await self._begin(again, job, body, finished, inside=inside, undo=self._let_go)
            inside = False
            return True
        finally:
            if inside:
                self._lane.leave()

    async def _let_go(self, run: str) -> None:
        await self._journal.let_go([run])

    async def _begin(
        self,
        run: Run,
        job: Job,
        body: Body,
        finished: Mapping[str, JSON],
        *,
        inside: bool,
        undo: Callable[[str], Awaitable[None]],
    ) -> None:
        active = _Active(run, job, body, finished, inside, asyncio.get_running_loop().create_future())
        try:
            active.task = self._host.spawn(self._run(active), name=f"{job.kind} {job.name} {run.id}")
        except OneiricError:  # it is closing
            await undo(run.id)
            raise
        self._active[run.id] = active
        if self._journal.keeps and (self._watching is None or self._watching.done()):
            self._watching = self._host.spawn(self._watch(), name="executor local: requests")

    async def _run(self, active: _Active) -> None:
        active.begun = True
        _current.set(active)
        state: RunState = "failed"
        result: JSON = None
        text: str | None = None
        cause: BaseException | None = None
        try:
            if active.cancelled:
                raise asyncio.CancelledError
            if not active.inside:
                if not self._lane.enter():
                    await self._lane.wait()
                active.inside = True
                await self._began(active)
            result = await self._body(active)
            text = written(result, f"what {active.job.kind} {active.job.name} gave")
            state = "succeeded"
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            cut_off = task is not None and task.cancelling() > 0
            state = "cancelled" if active.cancelled else "lost" if cut_off else "failed"
            cause = error
        except Exception as error:
            cause = error
        finally:
            active.over = True
            if active.inside:
                active.inside = False
                self._lane.leave()
        ended = attrs.evolve(
            active.run,
            state=state,
            ended=None if state == "lost" else self._wall(),
            result=result if state == "succeeded" else None,
            error=described(cause) if state == "failed" and cause is not None else None,
            cause=cause if state == "failed" else None,
        )
        await self._ended(active, ended, text)

    async def _began(self, active: _Active) -> None:
        at = self._wall()
        active.run = attrs.evolve(active.run, state="running", started=active.run.started or at)
        try:
            await self._journal.began(active.run.id, at)
        except StateError as error:  # it is known to be ours, and that is what counts
            log.warning("that run %s goes on cannot be written down: %s", active.run.id, error)

    async def _body(self, active: _Active) -> JSON:
        job = active.job
        steps = Steps(active.run.id, self._journal, active.finished, self._wall)
        if job.timeout is None:
            return await active.body(steps)
        scope = asyncio.timeout(job.timeout)
        try:
            async with scope:
                return await active.body(steps)
        except TimeoutError as error:
            if not scope.expired():
                raise  # the body's own
            raise RunTimeout(
                f"{job.kind} {job.name} took longer than {job.timeout:g} s", run=active.run.id
            ) from error

    async def _ended(self, active: _Active, run: Run, text: str | None) -> None:
        active.run = run
        try:
            if run.state == "lost":
                await self._journal.let_go([run.id])
            else:
                await self._journal.ended(run, text)
                self._recent[run.id] = run
                if len(self._recent) > REMEMBERED:
                    self._recent.popitem(last=False)
        except StateError as error:
            active.error = error
            log.error("run %s %s, and that cannot be written down: %s", run.id, run.state, error)
            if run.state != "lost" and not isinstance(error, Gone):
                self._unwritten[run.id] = partial(self._journal.ended, run, text)
        finally:
            del self._active[run.id]
            _set(active.ended)

    # --- what others ask for ---------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """As long as anything goes on: end what others want to end, and write down what could not be."""
        failed = False
        while self._active or self._unwritten:
            await asyncio.sleep(LOOK)
            try:
                for run in await self._journal.asked():
                    if run in self._active and not self._active[run].cancelled:
                        _cancel(self._active[run])
                await self._write_the_rest()
            except StateError as error:
                if not failed:
                    log.warning("cannot see what others ask for: %s", error)
                failed = True
            else:
                failed = False

    async def _write_the_rest(self) -> None:
        for run, write in list(self._unwritten.items()):
            await write()
            del self._unwritten[run]

    # --- refusing ------------------------------------------------------------------------------------------------

    def _open(self, job: Job | None = None) -> None:
        if self._closed:
            raise RunError("the executor 'local' is closed")
        if job is not None and (missing := job.needs - self._capabilities):
            raise RunError(
                f"{job.kind} {job.name} needs an executor that is capable of {a_few(missing)}, and 'local' is not",
                hint=self._advice if missing <= {"durable", "resume"} else "choose another executor",
            )


def _cancel(active: _Active) -> None:
    active.cancelled = True
    if active.begun and active.task is not None:  # else it sees for itself
        active.task.cancel()


def _no_such(run: str) -> NoSuchRun:
    return NoSuchRun(f"there is no run {run}", run=run)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
