"""Using what is bound: a lease, from any thread; and one that would activate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import peers
from harness import Pace, race, repeat, repeat_async
from oneiric_hookspecs import Candidate, Key
from table import Line, Row, ratio

from oneiric import Runtime, assemble


class Cache:
    """Something to use."""


def bound(runner: asyncio.Runner) -> Runtime:
    """A runtime that has been started on *runner*, with ``adapter:cache`` bound."""
    runtime = assemble({}, environment=False)
    runtime.register(Candidate(Key.of("adapter", "cache"), "bench", Cache))

    async def activate() -> None:
        await runtime.start()
        async with runtime.use("adapter", "cache"):
            pass

    runner.run(activate())
    return runtime


def handle(pace: Pace) -> Iterator[Line]:
    """``with handle() as c``, a lease that may be taken in any thread.  Plain: a hit in a dict, by domain and name."""
    with asyncio.Runner() as runner:
        runtime = bound(runner)
        plain: dict[tuple[str, str], Any] = {("adapter", f"name{number}"): Cache() for number in range(1000)}
        keys = list(plain)
        others, absent = peers.asked(peers.containers())
        times = race(
            {
                "plain": repeat("for domain, name in keys: plain[domain, name]", len(keys), keys=keys, plain=plain),
                "ours": repeat("with handle() as c: pass", handle=runtime.handle("adapter", "cache")),
                **others,
            },
            pace,
        )
        yield peers.without(ratio("with handle() as c", times, 10.0), absent)
        runner.run(runtime.close())


class _Nothing:
    async def __aenter__(self) -> object:
        return self

    async def __aexit__(self, *raised: object) -> None:
        return None


def use(pace: Pace) -> Iterator[Line]:
    """``async with runtime.use(domain, name)`` of a key that is bound.  Plain: an async context manager that does
    nothing."""
    with asyncio.Runner() as runner:
        runtime = bound(runner)
        times = race(
            {
                "plain": repeat_async(runner, "async with nothing() as c: pass", nothing=_Nothing),
                "ours": repeat_async(runner, 'async with use("adapter", "cache") as c: pass', use=runtime.use),
            },
            pace,
        )
        yield ratio("async with use() as c", times, 7.5)
        runner.run(runtime.close())


ROWS = (Row("handle", handle), Row("use", use))
