"""An event loop whose time is virtual: a test of a 30 s timeout takes no time.

::

    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.sleep(30)
        return loop.time()

    assert run_virtual(main) == 30.0

Rules:

*   When nothing is ready, the loop does not sleep until the next timer: it sets its clock to it.
*   What happens outside the loop takes real time, so it is waited for first: a thread that was started, a call in
    an executor, a socket or pipe that is registered.  Once all that has been at rest for ``grace`` real
    seconds (blocked, hung, or idle), time passes again: a timeout around a hung thread does fire.
*   A thread that has an attribute ``idle`` is waited for only while that is false.  Long-lived workers have it, and
    then the answer is exact; of others nobody can know whether they work or wait for work.
*   When nothing is ready, no timer is set, and nothing outside could ever wake the loop, it is stuck, and says so
    at once.
*   ``time.sleep``, ``threading`` timeouts and other processes keep real time; what waits for another process for longer
    than ``grace`` belongs on a real loop.
"""

from __future__ import annotations

import asyncio
import gc
import io
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: How often what is outside is looked at while it is waited for, in real seconds.
_TICK = 0.002
#: What threads that were at rest get before every jump, in real seconds.
_CHANCE = 0.0005
#: A thread that keeps computing is waited for so many times longer than one that is blocked.
_RUNNING_FACTOR = 20


class Stuck(AssertionError):
    """A run on a virtual loop would not have ended.  Its text lists the tasks, and where each of them waits."""


class LeftBehind(AssertionError):
    """A run on a virtual loop left tasks, or errors that nobody looked at.  Its text lists them."""


class VirtualClock:
    """Seconds that pass when they are told to.

    It satisfies the contract's ``Clock``.  A ``VirtualLoop`` moves its own; one clock may serve several loops, one
    after the other.

    Args:
        start: What ``time()`` gives first.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def time(self) -> float:
        """Seconds; they only grow."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass.  On a running loop, timers that are due by then run in its next turn.

        Raises:
            ValueError: *seconds* is negative, or not a number.
        """
        if not seconds >= 0:
            raise ValueError(f"time only grows, found {seconds!r}")
        self._now += seconds


class _Selector(selectors.DefaultSelector):
    """The operating system's selector, with the loop's idea of waiting."""

    def __init__(self, wait: Callable[[float | None], list[tuple[selectors.SelectorKey, int]]]) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self._wait(timeout)

    def really(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        """What became ready within *timeout* real seconds."""
        return super().select(timeout)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``time()`` is a ``VirtualClock``; the module's rules say when it passes.

    Args:
        clock: Its time; a new one where None.
        grace: Real seconds for which everything outside must have been at rest before time passes.
        ignore: Threads that never wake it, and are not waited for: those that run now, where None.
    """

    def __init__(
        self,
        clock: VirtualClock | None = None,
        *,
        grace: float = 0.05,
        ignore: Iterable[threading.Thread] | None = None,
    ) -> None:
        self.clock = VirtualClock() if clock is None else clock
        self._grace = grace
        self._ignored = frozenset(threading.enumerate() if ignore is None else ignore)
        self._calls: set[asyncio.Future[Any]] = set()  # in executors
        self._pools: set[threading.Thread] = set()  # the executors' threads
        self._seen: frozenset[object] = frozenset()
        # Real seconds since anything outside changed: with nothing computing, and in all since the last jump.
        self._rested = self._waited = 0.0
        self._waiting = _Selector(self._wait)
        super().__init__(self._waiting)
        self._own = frozenset(self._waiting.get_map())  # the pipe that threads wake it by

    def time(self) -> float:
        """Virtual seconds."""
        # The base class asks before there is a clock, in its initialiser.
        return self.clock.time()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As of any loop; until it has ended no time passes, within the grace."""
        before = set(threading.enumerate())
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        # The call is what is waited for; the pool's thread outlives it.
        self._pools |= set(threading.enumerate()) - before
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        return future

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return self._noted(self._waiting.really(0))
        while True:
            # In this order: what was at rest when looked at has said before what it had to say.
            outside = self._outside()
            if outside != self._seen:
                self._seen = outside
                self._rested = self._waited = 0.0
            at_rest = not outside
            if outside and self._rested >= self._grace:
                # What the loop did since may have woken one of them; it needs the interpreter's lock to show it.
                if events := self._noted(self._waiting.really(_CHANCE)):
                    return events
                at_rest = not any(_computes(each) for each in outside)
            if at_rest or self._waited >= self._grace * _RUNNING_FACTOR:
                if events := self._noted(self._waiting.really(0)):
                    return events
                if timeout is not None:
                    self.clock.advance(timeout)
                    self._waited = 0.0
                    return []
                if not outside and not self._can_be_woken():
                    raise Stuck("nothing is ready, no timer is set, and nothing outside could wake the loop")
            started = time.monotonic()
            if events := self._noted(self._waiting.really(_TICK)):
                return events
            took = time.monotonic() - started
            self._waited += took
            if not any(_computes(each) for each in outside):
                self._rested += took

    def _noted(
        self, events: list[tuple[selectors.SelectorKey, int]]
    ) -> list[tuple[selectors.SelectorKey, int]]:
        if events:
            self._rested = self._waited = 0.0
        return events

    def _outside(self) -> frozenset[object]:
        """Whatever might wake the loop before long: threads, calls in executors, descriptors."""
        threads = [thread for thread in self._others() if thread not in self._ignored]
        return frozenset([*threads, *self._calls, *(self._waiting.get_map().keys() - self._own)])

    def _can_be_woken(self) -> bool:
        # More careful than about time: a thread that ran before the loop did may know it all the same, and a
        # signal that is handled may come from anywhere.
        threads = any(thread.name != _WATCHDOG for thread in self._others())
        return threads or bool(getattr(self, "_signal_handlers", None))

    def _others(self) -> list[threading.Thread]:
        """The threads that may have something to say: neither this one, nor idle, nor of a pool."""
        here = threading.current_thread()
        return [
            thread
            for thread in threading.enumerate()
            if thread is not here and thread not in self._pools and not getattr(thread, "idle", False)
        ]


def _computes(outside: object) -> bool:
    """Whether a thread has work to do for a processor, as Linux sees it; elsewhere nobody can say."""
    if not isinstance(outside, threading.Thread) or sys.platform != "linux":
        return False
    try:
        state = Path(f"/proc/self/task/{outside.native_id}/stat").read_bytes()
    except OSError:
        return False  # it has just ended
    return state.rpartition(b")")[2].split()[0] in (b"R", b"D")  # running or runnable, or in the disk's hands


_WATCHDOG = "virtual-watchdog"
#: What a task that is left has for ending when it is cancelled, in virtual seconds and in real ones.
_CLEAN_UP = 5.0


class _Watchdog:
    """Ends a run that takes too long in real time: politely, then by an interrupt."""

    def __init__(self, loop: VirtualLoop, seconds: float) -> None:
        self.barked = False
        self._loop, self._seconds = loop, seconds
        self._over = threading.Event()
        self._watched = threading.current_thread()
        self._thread = threading.Thread(target=self._watch, name=_WATCHDOG, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._loop._ignored |= {self._thread}  # noqa: SLF001 - two halves of one thing
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        if self._over.wait(self._seconds):
            return
        self.barked = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        if not self._over.wait(1.0) and self._watched is threading.main_thread() and self._watched.ident:
            # The loop does not turn: something blocks it.  Only an exception in that very place helps.
            signal.pthread_kill(self._watched.ident, signal.SIGINT)


def run_virtual(
    main: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]],
    *,
    clock: VirtualClock | None = None,
    timeout: float = 60.0,
    grace: float = 0.05,
    ignore: Iterable[threading.Thread] | None = None,
) -> T:
    """Run *main* on a fresh ``VirtualLoop``, and see that it leaves nothing behind.

    Nothing behind means: when *main* returns every other task has ended, and no error was given to the loop's
    exception handler, the exceptions of futures that nobody asked for among them.  A *main* that expects such
    errors sets a handler of its own.

    Args:
        main: A coroutine, or a function that gives one.
        clock: The loop's time; a new one where None.
        timeout: Real seconds; it is for runs that would never end.
        grace: As of ``VirtualLoop``.
        ignore: As of ``VirtualLoop``.
    Returns:
        What *main* returned.
    Raises:
        Stuck: Nothing could ever wake the loop, or the timeout passed.
        LeftBehind: *main* returned, and something was left.
        BaseException: What *main* raised; what it left behind is then in its notes.
    """
    loop = VirtualLoop(clock, grace=grace, ignore=ignore)
    errors: list[str] = []
    loop.set_exception_handler(lambda _, context: errors.append(_told(context)))
    coroutine = main() if callable(main) else main
    task = loop.create_task(coroutine, name="main")
    try:
        with _Watchdog(loop, timeout) as watchdog:
            result = _until_done(loop, task, watchdog, timeout)
    except BaseException as error:
        if complaint := _complaint(_clean_up(loop, task), errors):
            error.add_note(complaint)
        raise
    left = _clean_up(loop, task)
    # Whoever was collected by now has told the handler; the rest of them are in cycles.
    del task, coroutine, main
    gc.collect()
    if complaint := _complaint(left, errors):
        raise LeftBehind(complaint)
    return result


def _until_done(loop: VirtualLoop, task: asyncio.Task[T], watchdog: _Watchdog, timeout: float) -> T:
    def stop(_: asyncio.Task[T]) -> None:
        loop.stop()

    task.add_done_callback(stop)
    try:
        loop.run_forever()
    except Stuck as stuck:
        raise Stuck(f"{stuck}\n{_stacks(loop)}") from None
    except KeyboardInterrupt as interrupt:
        if watchdog.barked:
            raise Stuck(
                f"something has blocked the loop for {timeout:g} real seconds\n{_stacks(loop)}"
            ) from interrupt
        raise
    finally:
        task.remove_done_callback(stop)
    if not task.done():
        raise Stuck(f"not done after {timeout:g} real seconds, {loop.time():g} virtual ones\n{_stacks(loop)}")
    return task.result()


def _clean_up(loop: VirtualLoop, main: asyncio.Task[Any]) -> list[str]:
    """End what is left, close the loop, and say what was left."""
    rest = asyncio.all_tasks(loop)
    left = [f"{each.get_name()}: {_where(each)}" for each in rest if each is not main]
    watchdog = _Watchdog(loop, _CLEAN_UP)
    try:
        with watchdog:
            _cancel(loop, rest)
            loop.run_until_complete(loop.shutdown_asyncgens())
            if not loop._calls:  # noqa: SLF001 - a call that hangs would be waited for without end
                loop.run_until_complete(loop.shutdown_default_executor())
    except (Stuck, RuntimeError):
        pass  # one that refuses to end; it is in the list, or it is the main one, and then that is known
    except KeyboardInterrupt:
        if not watchdog.barked:
            raise
    finally:
        for each in rest:
            if each.done() and not each.cancelled():
                each.exception()  # it was told to end, so how it did is nobody's news
        loop.close()
    return left


def _cancel(loop: VirtualLoop, tasks: set[asyncio.Task[Any]]) -> None:
    # By callbacks: a coroutine that waited for them would itself be left, where one blocks and is interrupted.
    def ended(task: asyncio.Task[Any]) -> None:
        pending.discard(task)
        if not pending:
            loop.stop()

    if not tasks:
        return
    pending = set(tasks)
    for task in tasks:
        task.add_done_callback(ended)
        task.cancel()
    limit = loop.call_later(_CLEAN_UP, loop.stop)
    try:
        loop.run_forever()
    finally:
        limit.cancel()
        for task in tasks:
            task.remove_done_callback(ended)


def _where(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    return f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else repr(task.get_coro())


def _stacks(loop: VirtualLoop) -> str:
    text = io.StringIO()
    for task in sorted(asyncio.all_tasks(loop), key=lambda each: each.get_name()):
        text.write(f"\n{task.get_name()}:\n")
        task.print_stack(file=text)
    return text.getvalue()


def _told(context: dict[str, Any]) -> str:
    error = context.get("exception")
    whose = context.get("future") or context.get("task") or context.get("handle")
    return f"{context['message']}: {error!r}" + (
        f" ({whose!r})" if error is None and whose is not None else ""
    )


def _complaint(left: list[str], errors: list[str]) -> str:
    lines = []
    if left:
        lines += ["tasks were left:", *(f"  {each}" for each in sorted(left))]
    if errors:
        lines += ["nobody looked at these errors:", *(f"  {each}" for each in errors)]
    return "\n".join(lines)
