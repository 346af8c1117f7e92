"""Many at once: 100 clients under 200 swaps, and 1,000 keys."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from time import process_time

import attrs
from harness import Pace, Times, undisturbed
from lines import Line, Row, ratio
from oneiric_hookspecs import Candidate, Key
from swapping import PART, make, runtime_with

from oneiric import Runtime, assemble

# --- under load ------------------------------------------------------------------------------------------------------


class Store:
    """Something that notices if it is used after its end."""

    made = closed = 0

    def __init__(self) -> None:
        self.open = True
        type(self).made += 1

    async def get(self) -> None:
        """Use it, with a wait in between."""
        assert self.open, "used after it was closed"
        await asyncio.sleep(0)
        assert self.open, "closed under a user's hands"

    async def aclose(self) -> None:
        """The end."""
        self.open = False
        type(self).closed += 1


@attrs.define
class Load:
    """Clients that work without pause, and what they saw."""

    until: float
    calls: list[float] = attrs.field(factory=list)
    failed: int = 0
    stop: bool = False

    async def client(self, runtime: Runtime) -> None:
        """Use the store, again and again."""
        while not self.stop and (began := process_time()) < self.until:
            try:
                async with runtime.use(*PART) as store:
                    await store.get()
            except Exception:
                self.failed += 1
            self.calls.append(process_time() - began)


def swap_load(pace: Pace) -> Iterator[Line]:
    """200 swaps under 100 clients that work without pause, in CPU seconds, as the loop never idles.  Plain here: the
    same clients for as long, without swaps.
    """
    swaps = 200
    found: dict[str, list[float]] = {"plain": [], "ours": []}
    failed = 0
    for _ in range(pace.fewer(2 if pace.short else 5).rounds):
        with undisturbed():
            with_swaps, quiet = asyncio.run(_both(swaps))
        failed += with_swaps.failed
        found["ours"].append(_p99(with_swaps.calls))
        found["plain"].append(_p99(quiet.calls))
    times = {name: Times(tuple(samples)) for name, samples in found.items()}
    yield Line("calls failed", failed, "", 0, exact=True)
    yield Line("instances not closed", Store.made - Store.closed, "", 0, exact=True)
    yield ratio("p99 of calls, with to without", times, 2.0)


async def _both(swaps: int) -> tuple[Load, Load]:
    async def store() -> Store:
        return Store()

    runtime = runtime_with(store, store)
    async with runtime:
        await runtime.swap(*PART, "p0")
        with_swaps, seconds = await _under_load(runtime, swaps)
        quiet, _ = await _under_load(runtime, 0, seconds)
    return with_swaps, quiet


async def _under_load(runtime: Runtime, swaps: int, seconds: float = math.inf) -> tuple[Load, float]:
    began = process_time()
    load = Load(began + seconds)
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(load.client(runtime))
        for number in range(swaps):
            await runtime.swap(*PART, f"p{(number + 1) % 2}")
        load.stop = swaps > 0
    return load, process_time() - began


def _p99(calls: list[float]) -> float:
    return sorted(calls)[len(calls) * 99 // 100]


# --- a thousand keys -------------------------------------------------------------------------------------------------


def many_keys(pace: Pace) -> Iterator[Line]:
    """1,000 keys are activated together, each by a task that uses it, and the runtime is closed; CPU seconds.  Plain:
    1,000 tasks that make what the factories make.
    """
    activating, closing, plain = [], [], []
    left = 0
    for _ in range(pace.fewer(2 if pace.short else 5).rounds):
        with undisturbed():
            times, tasks = asyncio.run(_thousand())
        activating.append(times[0])
        closing.append(times[1])
        plain.append(times[2])
        left += tasks
    limit = Times(tuple(plain))
    for case, samples in (("activated together", activating), ("closed", closing)):
        ours = Times(tuple(samples))
        yield Line(f"1,000 keys {case}", ours.best, "s", 0.3, ours, limit)
    yield Line("tasks left", left, "", 0, exact=True)


async def _thousand() -> tuple[tuple[float, float, float], int]:
    runtime = assemble({}, environment=False)
    keys = [Key.of("adapter", f"name{number}") for number in range(1000)]
    runtime.register(*(Candidate(key, "bench", make) for key in keys))

    async def use(key: Key) -> None:
        async with runtime.use(*key):
            pass

    began = process_time()
    await asyncio.gather(*(make() for _ in keys))
    plain = process_time() - began
    await runtime.start()
    began = process_time()
    await asyncio.gather(*map(use, keys))
    activated = process_time()
    await runtime.close()
    return (activated - began, process_time() - activated, plain), len(asyncio.all_tasks()) - 1


ROWS = (Row("swap-load", swap_load), Row("many-keys", many_keys))
