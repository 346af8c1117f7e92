"""Synchronous code of plugins, in daemon threads of our own.

Not the loop's default executor: a factory that hangs would starve DNS look-ups there, and keep the process from
ending.  A thread cannot be stopped, so whoever gave up waiting is told when it comes back after all, with what it
made: *late*.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import attrs
from oneiric_hookspecs import FactoryError, TooManyHung

Late = Callable[[Any, BaseException | None], None]

#: Seconds until it is tried again to start a thread for those who insist.
_AGAIN = 0.25


class Counted(Protocol):
    """Something that knows how many of its calls are in threads."""

    threaded: int


@attrs.define(eq=False)
class Count:
    """The plainest of them."""

    threaded: int = 0


class Resident(threading.Thread):
    """A thread that stays until it is told to end: what was entered in it is left in it.

    As coroutines have their host task.  A connection of SQLite, for one, refuses any other thread.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=f"oneiric-{name}", daemon=True)
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._given = self._done = 0

    @property
    def idle(self) -> bool:
        """Whether it has done all it was given."""
        return self._given == self._done

    def give(self, call: Callable[[], object]) -> None:
        """Have *call* called, after what was given before."""
        if not self.is_alive():
            self.start()
        self._given += 1
        self._calls.put(call)

    def run(self) -> None:
        """Call what is given."""
        while (call := self._calls.get()) is not None:
            call()
            self._done += 1

    def end(self) -> None:
        """End when all that was given is done."""
        self._calls.put(None)


@attrs.define(eq=False)
class Job:
    """One call in a thread.

    Args:
        name: The thread's.
        counted: Whose call it is; its ``threaded`` counts the calls that have not come back.
        late: Called with the result, or what was raised, on the loop, when nobody waits any more.
        forlorn: Called with them in the thread, when there is no loop any more.
        resident: The thread it is called in; None for one of its own.
    """

    name: str
    future: asyncio.Future[Any]
    counted: Counted | None
    late: Late | None
    forlorn: Late | None
    resident: Resident | None = None
    abandoned: bool = False


class Threads:
    """The threads of one runtime.

    Args:
        loop: Where results are delivered.
        limit: How many calls may be under way; more of them wait.
        hung_limit: How many given-up calls may be outstanding before new ones are refused.
        what: What is called in them, for messages.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        limit: int = 32,
        hung_limit: int = 8,
        what: str = "calls of factories, probes or closes",
    ) -> None:
        self._loop = loop
        self._what = what
        self._room = asyncio.Semaphore(limit)
        self._hung_limit = hung_limit
        self._jobs: set[Job] = set()
        self._quiet: asyncio.Future[None] | None = None

    @property
    def outstanding(self) -> tuple[str, ...]:
        """Names of the calls that have not come back."""
        return tuple(sorted(job.name for job in tuple(self._jobs)))  # from any thread

    @property
    def hung(self) -> int:
        """How many calls were given up and have not come back."""
        return sum(job.abandoned for job in self._jobs)

    async def run(
        self,
        call: Callable[[], Any],
        *,
        name: str,
        counted: Counted | None = None,
        late: Late | None = None,
        forlorn: Late | None = None,
        resident: Resident | None = None,
        limited: bool = True,
        insist: bool = False,
    ) -> Any:
        """Call *call* in a daemon thread, in a copy of this task's context, and give its result.

        Args:
            call: What is called.
            name: The thread's.
            counted: As of ``Job``.
            late: As of ``Job``.
            forlorn: As of ``Job``.
            resident: As of ``Job``.
            limited: Whether it is refused while too many others hang.
            insist: Whether to wait, where the system has no thread for it, until there is one.
        Raises:
            TooManyHung: Too many earlier calls never came back.
            FactoryError: The system has no more threads.
            BaseException: What *call* raised; a ``StopIteration`` comes as a ``RuntimeError``, as from a coroutine.
        """
        if limited and self.hung >= self._hung_limit:
            raise TooManyHung(
                f"{self.hung} {self._what} never came back",
                hint=f"hung: {', '.join(sorted(job.name for job in self._jobs if job.abandoned))}",
            )
        async with self._room:
            job = Job(name, self._loop.create_future(), counted, late, forlorn, resident)
            while (refused := self._start(job, call)) is not None:
                if not insist:
                    raise FactoryError(f"the system gives no thread for it: {refused}") from refused
                await asyncio.sleep(_AGAIN)
            try:
                return await job.future
            except asyncio.CancelledError:
                job.abandoned = True
                # The result may have been delivered in the very step in which the cancellation came.
                if job.future.done() and not job.future.cancelled():
                    error = job.future.exception()
                    self._dispose(job, None if error else job.future.result(), error)
                raise

    def _start(self, job: Job, call: Callable[[], Any]) -> Exception | None:
        """Begin *job* in a thread; why that cannot be."""
        work = contextvars.copy_context()
        self._jobs.add(job)
        if job.counted is not None:
            job.counted.threaded += 1
        try:
            if job.resident is not None:
                job.resident.give(partial(work.run, self._work, job, call))
            else:
                threading.Thread(
                    target=work.run, args=(self._work, job, call), name=f"oneiric-{job.name}", daemon=True
                ).start()
        except Exception as error:
            self._left(job)
            return error
        return None

    def _work(self, job: Job, call: Callable[[], Any]) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = call()
        except StopIteration as stop:
            error = RuntimeError("the call raised StopIteration")
            error.__cause__ = stop
        except BaseException as raised:
            error = raised
        try:
            self._loop.call_soon_threadsafe(self._arrive, job, result, error)
        except RuntimeError:
            # The loop is closed: there is nobody else to put away what was made.
            if job.forlorn is not None:
                job.forlorn(result, error)

    def _arrive(self, job: Job, result: Any, error: BaseException | None) -> None:
        self._left(job)
        if job.abandoned or job.future.done():
            self._dispose(job, result, error)
        elif error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _dispose(self, job: Job, result: Any, error: BaseException | None) -> None:
        if job.late is not None:
            job.late(result, error)

    def _left(self, job: Job) -> None:
        self._jobs.discard(job)
        if job.counted is not None:
            job.counted.threaded -= 1
        if not self._jobs and self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    async def quiet(self, seconds: float) -> tuple[str, ...]:
        """Wait until every call has come back, at most *seconds*; the names of those that have not."""
        if self._jobs:
            self._quiet = self._loop.create_future()
            await asyncio.wait({self._quiet}, timeout=max(seconds, 0))
        return self.outstanding
