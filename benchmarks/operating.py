"""A process that keeps going: what a swap costs in it, and what it costs to stand still."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import Pace, race, repeat_async
from lines import Line, Row, Skip, above
from oneiric_hookspecs import Candidate, Key

from oneiric import Runtime, assemble, orchestrate
from oneiric.activation import Want

PART = Key.of("adapter", "bench")
#: What an idle process may take, beside what is measured of it: bytes, and its share of a core.
RSS, CPU = 50e6, 0.01


class Thing:
    """What a factory makes in no time."""


async def make() -> Thing:
    """A trivial async factory."""
    return Thing()


async def _begun(folder: str, parts: int, stack: contextlib.AsyncExitStack, *, kept: bool) -> Runtime:
    """A runtime with so many bound parts, kept going or not."""
    settings = {"app": {"state_dir": folder}, "orchestrate": {"watch": False}}
    runtime = assemble(settings, environment=False)
    keys = [PART, *(Key.of("adapter", f"part{number}") for number in range(parts - 1))]
    runtime.register(*(Candidate(key, provider, make) for key in keys for provider in ("p0", "p1")))
    await stack.enter_async_context(runtime)
    if kept:
        orchestrator = await stack.enter_async_context(orchestrate(runtime))
    for key in keys:
        async with runtime.use(*key):
            pass
    if kept:
        await orchestrator.recorder.turn()
    return runtime


def swap_kept(pace: Pace) -> Iterator[Line]:
    """A swap in a process that keeps going, with the SQLite store, among few bound parts and among many: how much
    longer the caller waits than in one without a store.  By itself: a change that no operator made, of which is
    written down what came of it.  Plain: the same in a runtime that nothing keeps going.
    """
    many = 500 if pace.short else 5_000
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        for parts in (1, many):
            stack = contextlib.AsyncExitStack()
            runtimes = {
                name: runner.run(_begun(f"{folder}/{name}{parts}", parts, stack, kept=kept))
                for name, kept in (("plain", False), ("ours", True))
            }
            contenders = {
                name: repeat_async(
                    runner,
                    'await request(slot, Want(next(providers), reload=True), "settings")',
                    request=runtime.engine("bench").operations.request,
                    slot=runtime.engine("bench").slots[PART],
                    Want=Want,
                    providers=itertools.cycle(["p1", "p0"]),
                )
                for name, runtime in runtimes.items()
            }
            yield above(f"by itself, {parts:,} parts", race(contenders, pace.fewer(30)), 0.0002)
            by_hand = {
                name: repeat_async(
                    runner,
                    'await swap("adapter", "bench", next(providers))',
                    swap=runtime.swap,
                    providers=itertools.cycle(["p1", "p0"]),
                )
                for name, runtime in runtimes.items()
            }
            yield above(f"said in the process, {parts:,} parts", race(by_hand, pace.fewer(10)), 0.0002)
            runner.run(stack.aclose())


IDLE = """
import asyncio, resource, sys, time
from oneiric import assemble, orchestrate

async def main():
    async with orchestrate(assemble("oneiric.toml"), files=True):
        await asyncio.sleep(2)
        began, used = time.monotonic(), time.process_time()
        await asyncio.sleep(float(sys.argv[1]))
        share = (time.process_time() - used) / (time.monotonic() - began)
        with open("/proc/self/status") as status:
            kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        print(kilobytes * 1024, share)

asyncio.run(main())
"""


def idle(pace: Pace) -> Iterator[Line]:
    """A process that keeps going, with the SQLite store, a settings file that is watched, and the files for scrapers,
    and has nothing to do: its memory, and its share of a core over some seconds.
    """
    if not Path("/proc/self/status").exists():
        raise Skip("the memory of a process is read from /proc")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "oneiric.toml").write_text('[app]\nname = "bench"\nstate_dir = "state"\n')
        ended = subprocess.run(
            [sys.executable, "-c", IDLE, "3" if pace.short else "12"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    memory, share = map(float, ended.stdout.split())
    yield Line("memory", memory / 1e6, "MB", RSS / 1e6)
    yield Line("of a core", share * 100, "%", CPU * 100)


ROWS = (Row("swap-kept", swap_kept), Row("idle", idle))
