"""A difference counts when it has come to rest: until then somebody may still be writing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from .fingerprints import Content, Fingerprint, content, fingerprint

#: Seconds between two looks that must be equal.
STEP = 0.2
#: Seconds after which what does not come to rest is read nevertheless.
LONGEST = 5.0

#: How some files look at one time.
Looks = tuple[Fingerprint, ...]


async def _in_thread(call: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(call)


class FileWatch:
    """Says whether files differ from what was ``taken`` last.  Times are those of the loop.

    Args:
        files: Which; any of them may be missing.
        step: Seconds between two looks that must be equal.
        longest: Seconds after which what does not come to rest is read nevertheless.
        in_thread: Calls what may take long, where the loop does not wait for it.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        step: float = STEP,
        longest: float = LONGEST,
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = _in_thread,
    ) -> None:
        self.files = tuple(files)
        self._step, self._longest, self._in_thread = step, longest, in_thread
        self._taken: Looks | None = None

    async def differ(self) -> bool:
        """Whether they look otherwise than when they were taken, or never were."""
        return await self._look() != self._taken

    async def settle(self) -> Looks:
        """Wait until two looks, one step apart, are equal; how they look then.

        Some places, such as folders of other machines, show another file at every look: then it ends after *longest*.
        """
        time = asyncio.get_running_loop().time
        until = time() + self._longest
        before = await self._look()
        while True:
            await asyncio.sleep(self._step)
            now = await self._look()
            if now == before or time() >= until:
                return now
            before = now

    async def content(self) -> Content:
        """What they hold."""
        found: Content = await self._in_thread(lambda: content(self.files))
        return found

    def take(self, looks: Looks) -> None:
        """From now on, what looks otherwise than this differs."""
        self._taken = looks

    async def _look(self) -> Looks:
        found: Looks = await self._in_thread(lambda: tuple(fingerprint(file) for file in self.files))
        return found
