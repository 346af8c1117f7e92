"""Running a scenario, and what stays when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from oneiric_hookspecs import Retirement, hookimpl

from .kit import Kit

#: Seconds that threads have for ending after everything was closed.
_PATIENCE = 1.0


# --- running -------------------------------------------------------------------------------------------------------


def run(kit: Kit, main: Callable[[], Coroutine[Any, Any, Any]]) -> list[str]:
    """Run *main* on a loop of its own, in the kit's surroundings; what it left behind, in sentences.

    Raises:
        BaseException: What *main* raised; a ``TimeoutError`` where it took longer than the kit's timeout.
    """
    left: list[str] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: left.append(_unseen(context)))
    try:
        with kit.surroundings():
            task = loop.create_task(main(), name="conformance")
            loop.run_until_complete(asyncio.wait({task}, timeout=kit.timeout))
            if not task.done():
                task.cancel()
                loop.run_until_complete(asyncio.wait({task}, timeout=5))
                raise TimeoutError(f"it took longer than {kit.timeout:g} s")
            task.result()
            left += [f"the task {each.get_name()} was left ({_at(each)})" for each in asyncio.all_tasks(loop)]
    finally:
        _end(loop)
        del task  # what it holds has to be collected before what is left is looked for
        gc.collect()
    return left


def _end(loop: asyncio.AbstractEventLoop) -> None:
    rest = asyncio.all_tasks(loop)
    for task in rest:
        task.cancel()
    if rest:
        loop.run_until_complete(asyncio.wait(rest, timeout=2))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def _unseen(context: Mapping[str, Any]) -> str:
    error = context.get("exception")
    return f"nobody looked at an error: {context.get('message')}: {error!r}"


def _at(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    if frames:
        return f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}"
    return repr(task.get_coro())


class Ends:
    """A plugin that remembers how generations ended."""

    def __init__(self) -> None:
        self.all: list[Retirement] = []

    @hookimpl
    def oneiric_retired(self, retirement: Retirement) -> None:
        """Keep it."""
        self.all.append(retirement)

    def wrong(self) -> list[str]:
        """Of those that did not end well, how."""
        return [
            f"closing {each.key} {each.provider} ended as {each.ending}"
            + (f": {each.error}" if each.error else "")
            for each in self.all
            if each.ending not in ("closed", "kept")
        ]


# --- what stays ----------------------------------------------------------------------------------------------------


class Leftovers:
    """What is there after the block and was not before: threads, open files, and what was dropped unclosed."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __enter__(self) -> list[str]:
        gc.collect()
        gc.freeze()  # what is there is not looked at again, which makes every later look a short one
        self._threads = set(threading.enumerate())
        self._files = _files()
        self._warnings = warnings.catch_warnings(record=True)
        seen = self._warnings.__enter__()
        assert seen is not None
        self._seen = seen
        warnings.simplefilter("always", ResourceWarning)
        return self.found

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        gc.collect()
        gc.unfreeze()
        self._warnings.__exit__(None, None, None)
        if kind is not None:
            return
        self.found += self._dropped() + self._open(self._files)
        until = time.monotonic() + _PATIENCE
        while (new := self._new_threads()) and time.monotonic() < until:
            time.sleep(0.01)  # a thread ends when it ends: there is nothing to wait for
        self.found += [f"the thread {each.name} was left" for each in new]

    def begin(self) -> None:
        """From here on is meant by ``look``: the loop, which has files of its own, is there."""
        self._here = _files()

    def look(self) -> list[str]:
        """Files that were left since ``begin``.  What is new is young, so only that is collected."""
        gc.collect(1)
        return self._dropped() or self._open(self._here)

    def _dropped(self) -> list[str]:
        return [
            f"dropped without being closed: {each.message}"
            for each in self._seen
            if issubclass(each.category, ResourceWarning)
        ]

    def _open(self, before: Mapping[int, str]) -> list[str]:
        return [f"{name} was left open" for fd, name in _files().items() if before.get(fd) != name]

    def _new_threads(self) -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each not in self._threads]


def _files() -> dict[int, str]:
    """Open files, pipes and sockets; empty where the system does not tell."""
    found: dict[int, str] = {}
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            for entry in os.listdir(folder):  # noqa: PTH208 - numbers are wanted
                with contextlib.suppress(OSError, ValueError):
                    name = os.readlink(f"{folder}/{entry}")  # noqa: PTH115 - as above
                    # The folder that is being listed is one itself.
                    if not name.startswith("/proc/"):
                        found[int(entry)] = name
            break
    return found
