"""One swap, all steps of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator

from harness import Pace, race, repeat_async
from lines import Line, Row, ratio
from oneiric_hookspecs import Candidate, Key

from oneiric import Runtime, assemble

PART = Key.of("adapter", "bench")


class Thing:
    """What a factory makes in no time."""


async def make() -> Thing:
    """A trivial async factory."""
    return Thing()


def runtime_with(*factories: Callable[[], object]) -> Runtime:
    """A runtime with a provider for each of *factories*: ``p0``, ``p1``."""
    runtime = assemble({}, environment=False)
    runtime.register(*(Candidate(PART, f"p{number}", factory) for number, factory in enumerate(factories)))
    return runtime


# --- one swap --------------------------------------------------------------------------------------------------------


def swap(pace: Pace) -> Iterator[Line]:
    """A swap, all steps of it, between two trivial async factories, until it is confirmed; what it replaces is closed.
    Plain: a task made and awaited, and an empty ``asyncio.timeout`` for each step.
    """
    with asyncio.Runner() as runner:
        runtime = runtime_with(make, make)
        runner.run(runtime.start())
        report = runner.run(runtime.swap(*PART, "p0"))
        plain = """
            task = create_task(nothing())
            for _ in steps:
                async with timeout(30):
                    pass
            await task
        """
        times = race(
            {
                "plain": repeat_async(
                    runner, plain, create_task=asyncio.create_task, nothing=_nothing, steps=tuple(report.steps),
                    timeout=asyncio.timeout,
                ),
                "ours": repeat_async(
                    runner, 'await swap("adapter", "bench", next(providers))', swap=runtime.swap,
                    providers=itertools.cycle(["p1", "p0"]),
                ),
            },
            pace,
        )  # fmt: skip
        yield ratio(f"a swap of {len(report.steps)} steps", times, 4.0)
        runner.run(runtime.close())


async def _nothing() -> None:
    return None


ROWS = (Row("swap", swap),)
