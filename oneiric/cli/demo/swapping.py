"""The first chapter: one part is swapped, refused and rolled back, while clients work on it without pause."""

from __future__ import annotations

import asyncio
import time

from oneiric.cli.naming import MARKS, decided, said
from oneiric.cli.output import table, width

from .stage import Stage


def who(stage: Stage) -> None:
    """Before anything runs: what would fill it."""
    with stage.scene("Who fills adapter:cache, and why not the others?"):
        decision = decided(stage.runtime.explain("adapter", "cache"))
        rows = [
            [MARKS[row["standing"]], row["provider"], said(row), row["would_win_if"] or ""]
            for row in decision["candidates"]
        ]
        head = ["", "PROVIDER", "WHY", "WOULD WIN IF"]
        stage.tell.show(table(head, rows, room=width() - 3, whole=True))


async def play(stage: Stage) -> None:
    """All scenes, on a runtime that has started; the clients go on afterwards."""
    count = stage.size.clients
    with stage.scene(f"{count} clients work on it without pause, first on memory, then on disk"):
        await stage.clients.start(count)
        await stage.wait(0.3, "on memory")
        await stage.swap("disk")
        await stage.wait(0.3, "on disk")
        stage.tell.say(f"so far       {stage.clients.calls:,} calls, {stage.failed():,} failed")
    with stage.scene(f"{stage.size.swaps} swaps under their hands, memory for disk and back"):
        await _under_load(stage)
    with stage.scene("What was built from the cache is built anew, once its new cache is promoted"):
        await _dependent(stage)
    with stage.scene("Candidates that do not come up, or come up ill: refused, and nobody notices"):
        await stage.swap_refused("unreachable")
        await stage.swap_refused("sick")
    with stage.scene("Candidates that a plugin's policy objects to"):
        await stage.swap_refused("recalled", "Vetoed")
        await stage.swap_refused("memory", "Vetoed", actor="an intern")
    with stage.scene("One that is bound, and found too slow by a canary: back at once"):
        await stage.swap_refused("sluggish", "RolledBack")
    with stage.scene("One that is well when it is bound, and turns bad on probation: back by itself"):
        await _turns_bad(stage)
    with stage.scene("One whose close raises: the swap away from it stands, and the report says so"):
        await _close_raises(stage)


async def _under_load(stage: Stage) -> None:
    count = stage.size.swaps
    stage.tell.at_most(6)
    calls, began = stage.clients.calls, time.perf_counter()
    for number in range(1, count + 1):
        await stage.swap("memory" if stage.bound() == "disk" else "disk")
        await stage.wait(
            began + stage.size.seconds * number / count - time.perf_counter(), f"{number} of {count} swaps"
        )
    stage.tell.at_most(None)
    stage.tell.say(
        f"... and so on: {stage.clients.calls - calls:,} calls meanwhile, {stage.failed():,} failed"
    )


async def _dependent(stage: Stage) -> None:
    if stage.bound() == "memory":
        await stage.swap("disk")
    await stage.until(lambda: stage.phase() == "ready", "a swap was not promoted")

    def built_from() -> str:
        with stage.runtime.lease("service", "greeter") as greeter:
            return str(greeter.built_from)

    await stage.until(
        lambda: built_from() == stage.bound(), "what was built from the cache was not built anew"
    )
    async with stage.runtime.use("service", "greeter") as greeter:
        serving, greeting = greeter.built_from, await greeter.greet("Oneiric")
    why = stage.runtime.explain("service", "greeter").because
    stage.tell.say(f"promoted     service:greeter says {greeting!r} from {serving}; it was {why}")


async def _turns_bad(stage: Stage) -> None:
    before = stage.bound()
    await stage.swap("turns-bad")
    await stage.until(lambda: stage.bound() != "turns-bad", "a provider that turned bad was not taken back")
    await asyncio.sleep(0.05)  # for the observers to have said so
    stage.tell.say(
        f"noticed      {stage.clients.bad} calls failed before probation saw it; {stage.bound()} serves"
    )
    stage.promise(stage.bound() == before, f"after the rollback {stage.bound()} serves, not {before}")
    rows = decided(stage.runtime.explain("adapter", "cache"))["candidates"]
    row = next(row for row in rows if row["provider"] == "turns-bad")
    stage.tell.say(f"explained    turns-bad is {said(row)}")


async def _close_raises(stage: Stage) -> None:
    await stage.swap("sticky")
    report = await stage.swap("memory")
    ended = await report.retired() if report is not None else None
    ending = "nothing" if ended is None else ended.ending
    stage.promise(ending == "close_failed", f"a close that raised was reported as {ending}")
    stage.promise(stage.bound() == "memory", f"after a close that raised {stage.bound()} serves, not memory")
    await asyncio.sleep(0.05)
