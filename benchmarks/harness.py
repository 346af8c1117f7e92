"""Measure contenders side by side, so that what slows the machine slows all of them.

A *sample* does something a number of times and gives the seconds it took.  Contenders take turns (A B C, C B A, ...),
each with as many repetitions as make a sample of a few milliseconds: less than a scheduler's slice, so that on a busy
machine, too, some samples of each are undisturbed.  The garbage collector waits meanwhile, and looks through nothing
that was there before.  What is compared are minima: noise only ever adds.  The medians are shown beside them, for
those who doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import textwrap
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import Any

import attrs

#: Does something so many times, and gives the seconds it took.
Sample = Callable[[int], float]


@attrs.frozen
class Pace:
    """How much is measured.

    Args:
        rounds: Samples of each contender.
        seconds: How long a sample should take.
        short: Whether the biggest numbers are left out.
        margin: By what a limit is multiplied; above 1 where the machine is known to be noisy.
    """

    rounds: int = 100
    seconds: float = 0.003
    short: bool = False
    margin: float = 1.0

    def fewer(self, rounds: int) -> Pace:
        """The same for something that takes long: at most so many rounds."""
        return attrs.evolve(self, rounds=min(rounds, self.rounds))

    def longer(self, times: int) -> Pace:
        """The same in fewer samples, but five if there are, each so many times as long."""
        rounds = max(min(5, self.rounds), self.rounds // times)
        return attrs.evolve(self, rounds=rounds, seconds=self.seconds * times)


LONG = Pace()
SHORT = Pace(rounds=20, short=True, margin=3.0)


@attrs.frozen
class Times:
    """Seconds for one time, sample by sample."""

    samples: tuple[float, ...]

    @property
    def best(self) -> float:
        """The shortest."""
        return min(self.samples)

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.samples)


def race(contenders: Mapping[str, Sample], pace: Pace) -> dict[str, Times]:
    """Let *contenders* take turns; the times of each, by name."""
    with undisturbed():
        runs = {name: (sample, calibrate(sample, pace.seconds)) for name, sample in contenders.items()}
        found: dict[str, list[float]] = {name: [] for name in contenders}
        order = list(contenders)
        for _ in range(pace.rounds):
            for name in order:
                sample, number = runs[name]
                found[name].append(sample(number) / number)
            order.reverse()
            gc.collect()
    return {name: Times(tuple(samples)) for name, samples in found.items()}


def calibrate(sample: Sample, seconds: float) -> int:
    """How many repetitions take about *seconds*."""
    number = 1
    while True:
        took = sample(number)
        if seconds / 4 <= took < 1.0:
            # One that was disturbed would make all that follow too short.
            took = min(took, sample(number), sample(number))
        if took >= seconds / 4:
            return max(1, round(number * seconds / took))
        number *= 4 if took < seconds / 16 else 2


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Without the garbage collector, and with what there is now out of its sight."""
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()


def repeat(statement: str, per: int = 1, **names: Any) -> Sample:
    """A sample that executes *statement* in a loop, with *names* as local variables.

    Args:
        statement: What to time; it stands in the loop itself, so no call is counted that it does not make.
        per: How many times it does by itself what is measured, where it is a loop.
        names: What it refers to.
    """
    sample: Sample = _compiled("def", statement, per, names)
    return sample


def timed(
    act: Callable[[], Any], undo: Callable[[], Any] = lambda: None, clock: Callable[[], float] = perf_counter
) -> Sample:
    """A sample that times *act*, and not *undo*, which follows it each time.

    Args:
        act: What to time.
        undo: Puts things back.
        clock: ``process_time`` for what takes longer than a scheduler's slice and never waits.
    """

    def sample(number: int) -> float:
        took = 0.0
        for _ in range(number):
            began = clock()
            act()
            took += clock() - began
            undo()
        return took

    return sample


def in_bulk(sample: Sample, count: int) -> Sample:
    """A sample of one of the *count* things that *sample* does each time."""

    def run(number: int) -> float:
        times = -(-number // count)
        return sample(times) * number / (times * count)

    return run


def repeat_async(runner: asyncio.Runner, statement: str, per: int = 1, **names: Any) -> Sample:
    """The same with *statement* in a coroutine, on the loop of *runner*."""
    sample = _compiled("async def", statement, per, names)
    return lambda number: runner.run(sample(number))


def _compiled(define: str, statement: str, per: int, names: Mapping[str, Any]) -> Any:
    namespace = {"_time": perf_counter, **{f"_{name}": value for name, value in names.items()}}
    text = (
        f"{define} sample(_number, {', '.join(f'{name}=_{name}' for name in names)}):\n"
        f"    _began = _time()\n"
        f"    for _ in range(max(1, _number // {per})):\n"
        f"{textwrap.indent(textwrap.dedent(statement).strip(), ' ' * 8)}\n"
        f"    return (_time() - _began) * _number / ({per} * max(1, _number // {per}))\n"
    )
    exec(compile(text, f"<sample {statement!r}>", "exec"), namespace)  # as timeit does it
    return namespace["sample"]
