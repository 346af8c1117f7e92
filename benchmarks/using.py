"""Using what is bound: a lease, from any thread; and one that would activate."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import peers
from harness import Pace, Sample, race, repeat, repeat_async
from lines import Line, Row, ratio, seconds
from lookups import dict_of, some
from oneiric_hookspecs import Candidate, Key

from oneiric import Runtime, assemble


class Cache:
    """Something to use."""


def bound(runner: asyncio.Runner) -> Runtime:
    """A runtime that has been started on *runner*, with ``adapter:bench`` bound."""
    runtime = assemble({}, environment=False)
    runtime.register(Candidate(Key.of("adapter", "bench"), "bench", Cache))

    async def activate() -> None:
        await runtime.start()
        async with runtime.use("adapter", "bench"):
            pass

    runner.run(activate())
    return runtime


def handle(pace: Pace) -> Iterator[Line]:
    """A lease is taken from a handle, and given back.  Plain: as for ``resolve``, a hit in a dict."""
    with asyncio.Runner() as runner:
        runtime = bound(runner)
        keys = some(1000)
        looking_up = repeat(
            "for domain, name in keys: plain[domain, name]", len(keys), keys=keys, plain=dict_of(1000)
        )
        leasing, lease = "with handle() as c: pass", runtime.handle("adapter", "bench")
        others, absent = peers.asked(peers.containers())
        contenders = {"plain": looking_up, "ours": repeat_async(runner, leasing, handle=lease)}
        yield peers.without(ratio("in a task", race(contenders | others, pace), 10.0), absent)
        contenders["ours"] = elsewhere(repeat(leasing, handle=lease))
        yield ratio("in another thread", race(contenders, pace), 10.0)
        runner.run(runtime.close())


def elsewhere(sample: Sample) -> Sample:
    """The same in a thread of its own."""

    def run(number: int) -> float:
        took: list[float] = []
        thread = threading.Thread(target=lambda: took.append(sample(number)))
        thread.start()
        thread.join()
        return took[0]

    return run


class _Nothing:
    async def __aenter__(self) -> object:
        return self

    async def __aexit__(self, *raised: object) -> None:
        return None


def use(pace: Pace) -> Iterator[Line]:
    """The same with ``async with runtime.use(domain, name)``.  Plain: an async context manager that does nothing."""
    with asyncio.Runner() as runner:
        runtime = bound(runner)
        times = race(
            {
                "plain": repeat_async(runner, "async with nothing() as c: pass", nothing=_Nothing),
                "ours": repeat_async(
                    runner, 'async with use("adapter", "bench") as c: pass', use=runtime.use
                ),
            },
            pace,
        )
        yield seconds("async with use() as c", times, 1.2e-6)
        runner.run(runtime.close())


ROWS = (Row("handle", handle), Row("use", use))
