"""A daemon thread that makes calls one after the other, for asynchronous code whose calls block.

Not the loop's default executor: a disk that hangs would starve DNS look-ups there, and keep the process from ending.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class _Thread(threading.Thread):
    """A thread that knows whether it has anything to do.

    Attributes:
        given: How many calls it was given; changed under the worker's lock.
        done: How many of them have ended; changed by the thread only.
    """

    given = 0
    done = 0

    @property
    def idle(self) -> bool:
        return self.given == self.done


class Worker:
    """A daemon thread, and the calls it is to make, in their order.

    Args:
        what: What it works for, in the thread's name and in errors: ``storage``.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._closing = self._given_up = False
        self._calls: queue.SimpleQueue[tuple[concurrent.futures.Future[Any], Callable[[], Any]] | None]
        self._calls = queue.SimpleQueue()
        self._waiting: set[concurrent.futures.Future[Any]] = set()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._ended.set_running_or_notify_cancel()  # it cannot be cancelled by those who wait for it
        self._thread = _Thread(target=self._work, name=f"oneiric-{what}", daemon=True)
        self._thread.start()

    def post(self, work: Callable[[], T]) -> concurrent.futures.Future[T]:
        """Have *work* called, whether anybody waits for it or not.

        Raises:
            RuntimeError: It is closed.
        """
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        with self._lock:
            if self._closing:
                raise self._closed()
            self._waiting.add(future)
            self._thread.given += 1
            self._calls.put((future, work))
        return future

    async def run(self, work: Callable[[], T]) -> T:
        """Call *work* in the thread; its result.

        A caller that is cancelled leaves: *work* is not begun any more, or goes on unseen, and ends before what is
        given to this worker later.

        Raises:
            RuntimeError: It is closed, or closing took too long for *work* to end.
            BaseException: What *work* raised.
        """
        return await asyncio.wrap_future(self.post(work))

    def stop(self) -> None:
        """Take no new calls; the thread ends when it has made those that were taken."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self._thread.given += 1
                self._calls.put(None)

    async def aclose(self, timeout: float = 5.0) -> None:
        """Take no new calls, end those that were taken, end the thread; a second time does nothing.

        Args:
            timeout: Seconds for all that.
        Raises:
            TimeoutError: The thread hangs.  It is left alone, and those who wait for it are not kept waiting.
        """
        if self._given_up:
            return
        self.stop()
        ended = asyncio.wrap_future(self._ended)
        await asyncio.wait({ended}, timeout=timeout)
        if not ended.done():
            self._given_up = True
            ended.cancel()
            with self._lock:
                for future in self._waiting:
                    with contextlib.suppress(concurrent.futures.InvalidStateError):
                        future.set_exception(self._closed())
            raise TimeoutError(
                f"the {self._what} does not close: its files do not answer; its thread is left alone"
            )
        self._thread.join(1.0)  # it has nothing left to do

    def _closed(self) -> RuntimeError:
        return RuntimeError(f"the {self._what} is closed")

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, work = call
            with self._lock:
                wanted = not future.done() and future.set_running_or_notify_cancel()
            if wanted:
                _do(future, work)
            with self._lock:
                self._waiting.discard(future)
            del call, future, work  # what they hold is not to live until the next call
            self._thread.done += 1
        self._ended.set_result(None)
        self._thread.done += 1


def _do(future: concurrent.futures.Future[T], work: Callable[[], T]) -> None:
    try:
        result = work()
    except BaseException as error:
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # nobody waits any more
            future.set_exception(error)
    else:
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            future.set_result(result)
