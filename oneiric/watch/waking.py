"""Looking earlier than the clock says, where the package ``watchfiles`` is installed.

It only ever wakes who waits: without it, or where the system has no more watches to give, the same is seen at the next
look.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

log = logging.getLogger("oneiric.watch")

#: Gives an item whenever something has happened in one of these folders, until the event is set; blocks.
Events = Callable[[Sequence[str], threading.Event], Iterable[object]]
#: Seconds until watching that failed is tried again.
AGAIN = 60.0
#: How many links after one another are followed to find out which folders matter.
_LINKS = 40


class _Thread(threading.Thread):
    """Waits for events, and owes nobody an answer."""

    #: It is waited for by nobody: see ``oneiric.testing.virtual``.
    idle = True


class Waker:
    """Waits some seconds, or until something happens in the folders of some files.

    Args:
        files: Which.
        least: Seconds that a wait takes at least: a folder may be busy with other files.
        events: What tells of events; None is ``watchfiles``, where it is installed.

    Attributes:
        by: What wakes it: ``watchfiles``, or ``poll`` where nothing but the clock does.
    """

    def __init__(self, files: Sequence[Path], *, least: float = 0.2, events: Events | None = None) -> None:
        self._files, self._least, self._events = tuple(files), least, events
        self._woken = asyncio.Event()
        self._end = threading.Event()
        self._thread: _Thread | None = None
        self.by = "poll"

    async def __aenter__(self) -> Self:
        events = self._events or _watchfiles()
        if events is not None:
            wake = _waking(asyncio.get_running_loop(), self._woken)
            self._thread = _Thread(
                target=self._listen, args=(events, wake), name="oneiric-watch-files", daemon=True
            )
            self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread is not None:
            # It sees that within a moment; one that does not is a daemon, and left alone.
            await asyncio.to_thread(self._thread.join, 1.0)

    async def wait(self, seconds: float) -> None:
        """Wait; cut short by an event."""
        least = min(self._least, seconds)
        await asyncio.sleep(least)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds - least):
                await self._woken.wait()
        self._woken.clear()

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _listen(self, events: Events, wake: Callable[[], None]) -> None:
        said = False
        while not self._end.is_set():
            try:
                self._until_moved(events, wake)
                again = 0.0
            except Exception as error:
                self.by, again = "poll", AGAIN
                if not said:
                    said = True
                    log.warning(
                        "events of files do not work, so changes are seen at the next look only: %s: %s",
                        type(error).__name__,
                        error,
                    )
            self._end.wait(max(again, self._least))

    def _until_moved(self, events: Events, wake: Callable[[], None]) -> None:
        """Wake at every event, until a link leads to other folders, or there are no more events."""
        folders = folders_of(self._files)
        self.by = "watchfiles"
        for _ in events(folders, self._end):
            wake()
            if folders_of(self._files) != folders:
                return


def _waking(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> Callable[[], None]:
    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(woken.set)

    return wake


def folders_of(files: Iterable[Path]) -> list[str]:
    """The folders in which something happens when one of *files* changes: its own, and those of all links to it."""
    found: set[Path] = set()
    for file in files:
        todo, seen = [file.absolute()], set[Path]()
        while todo and len(seen) < _LINKS:
            path = todo.pop()
            if path in seen:
                continue
            seen.add(path)
            found.add(path.parent)
            # Every part of the path may be a link, and what that leads to consists of such parts again.
            for part in (path, *path.parents):
                with contextlib.suppress(OSError):  # it has gone in this very moment, or is none
                    if part.is_symlink():
                        found.add(part.parent)
                        target = part.parent / part.readlink() / path.relative_to(part)
                        todo.append(Path(os.path.normpath(target)))
    return sorted(str(each) for each in found if each.is_dir())


def _watchfiles() -> Events | None:
    try:
        from watchfiles import watch
    except ImportError:
        log.debug("changes of files are seen at the next look; with the extra oneiric[watch], sooner")
        return None

    def events(folders: Sequence[str], end: threading.Event) -> Iterable[object]:
        # It looks for its end at every step, and so at no more of them than needed.
        return watch(
            *folders, stop_event=end, recursive=False, watch_filter=None, step=100, raise_interrupt=False
        )

    return events
