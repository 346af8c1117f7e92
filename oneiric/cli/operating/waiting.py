"""Waiting until every process that lives has done something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from .progress import progress

if TYPE_CHECKING:
    from oneiric.state import Living

    from .desk import Desk

T = TypeVar("T")

#: Seconds between two looks, at first and at most.
SOON, SELDOM = 0.02, 0.1


@attrs.frozen
class Waited(Generic[T]):
    """What came of waiting for processes.

    Args:
        done: What each gave that has done it, by name.
        late: Those that have not done it in time.
        gone: Those that ended meanwhile.
    """

    done: dict[str, T] = attrs.field(factory=dict)
    late: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


async def converged(
    desk: Desk,
    among: Mapping[str, Living],
    look: Callable[[Living], Awaitable[T | None]],
    seconds: float,
    doing: Callable[[str], str] = lambda name: name,
) -> Waited[T]:
    """Wait until every process of *among* has done something, or is gone.

    Those that begin meanwhile are not waited for: they begin with what is wanted now.

    Args:
        desk: The command's.
        among: The processes, as they were before anything was asked of them.
        look: Gives what came of it in one process; None while it is not done.
        seconds: How long to wait.
        doing: What a process that is waited for does, in a few words.
    """
    done: dict[str, T] = {}
    gone: list[str] = []
    left = dict(among)
    until, pause = time.monotonic() + seconds, SOON
    with progress(desk.context) as line:
        while left:
            there = await desk.living()
            for name, before in tuple(left.items()):
                now = there.get(name)
                if now is None or _another(before, now):
                    gone.append(name)
                    del left[name]
                elif (found := await look(now)) is not None:
                    done[name] = found
                    del left[name]
            if not left or time.monotonic() >= until:
                break
            line.now(f"waiting for {', '.join(doing(name) for name in left)}")
            await asyncio.sleep(min(pause, max(until - time.monotonic(), 0.0)))
            pause = min(SELDOM, pause * 1.2)
    return Waited(done, tuple(sorted(left)), tuple(sorted(gone)))


def _another(before: Living, now: Living) -> bool:
    """Whether a process of the same name has taken its place."""
    return (before.node.host, before.node.pid, before.node.birth) != (
        now.node.host,
        now.node.pid,
        now.node.birth,
    )
