"""The scenes of the demo, and its verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs
from oneiric_hookspecs import CloseReport, OneiricError, SwapReport

from oneiric.cli.naming import MARKS, decided, said
from oneiric.cli.output import table, width
from oneiric.runtime import Runtime

from .clients import Clients
from .narrator import Narrator
from .project import PLUGIN

T = TypeVar("T")
_PATIENCE = 10.0


@attrs.frozen
class Size:
    """How much of it: clients, swaps under load, and seconds that those are spread over."""

    clients: int
    swaps: int
    seconds: float


class Story:
    """Plays the scenes on a runtime that was assembled from the project's settings.

    Attributes:
        broken: A sentence for each promise that did not hold.
    """

    def __init__(self, runtime: Runtime, narrator: Narrator, size: Size) -> None:
        self.runtime, self.tell, self.size = runtime, narrator, size
        self.shop: Any = runtime.hooks.plugin(PLUGIN).plugin
        self.clients: Clients
        self.refused = 0
        self.broken: list[str] = []
        self._swaps = self._rollbacks = 0
        self._closed = CloseReport()
        self._began = time.perf_counter()

    async def play(self) -> dict[str, Any]:
        """All of it.

        Returns:
            The figures, and the verdict.
        """
        try:
            self._who()
            await self.runtime.start()
            self.clients = Clients(self.runtime, self.shop.BAD)
            await self._work()
            await self._swaps_under_load()
            await self._dependent()
            await self._does_not_come_up()
            await self._not_allowed()
            await self._canary()
            await self._turns_bad()
            await self._close_raises()
            await self._the_end()
        finally:
            # Whatever happened, interrupts too: nothing is left open.
            self._closed = await self.runtime.close()
        return self._verdict()

    # --- scenes ------------------------------------------------------------------------------------------------

    def _who(self) -> None:
        self.tell.scene("Who fills adapter:cache, and why not the others?")
        decision = decided(self.runtime.explain("adapter", "cache"))
        rows = [
            [MARKS[row["standing"]], row["provider"], said(row), row["would_win_if"] or ""]
            for row in decision["candidates"]
        ]
        head = ["", "PROVIDER", "WHY", "WOULD WIN IF"]
        self.tell.show(table(head, rows, room=width() - 3, whole=True))

    async def _work(self) -> None:
        count = self.size.clients
        self.tell.scene(f"{count} clients work on it without pause, first on memory, then on disk")
        await self.clients.start(count)
        await self._wait(0.5, "on memory")
        await self._swap("disk")
        await self._wait(0.5, "on disk")
        self.tell.say(f"so far       {self.clients.calls:,} calls, {self._failed():,} failed")

    async def _swaps_under_load(self) -> None:
        count = self.size.swaps
        self.tell.scene(f"{count} swaps under their hands, memory for disk and back")
        self.tell.at_most(6)
        calls, began = self.clients.calls, time.perf_counter()
        for number in range(1, count + 1):
            await self._swap("memory" if self._bound() == "disk" else "disk")
            await self._wait(
                began + self.size.seconds * number / count - time.perf_counter(), f"{number} of {count} swaps"
            )
        self.tell.at_most(None)
        self.tell.say(
            f"... and so on: {self.clients.calls - calls:,} calls meanwhile, {self._failed():,} failed"
        )

    async def _dependent(self) -> None:
        self.tell.scene("What was built from the cache is built anew, once its new cache is promoted")
        if self._bound() == "memory":
            await self._swap("disk")
        await self._promoted()
        await self._until(
            lambda: self._greeter() == self._bound(), "what was built from the cache was not built anew"
        )
        async with self.runtime.use("service", "greeter") as greeter:
            serving, greeting = greeter.built_from, await greeter.greet("Oneiric")
        why = self.runtime.explain("service", "greeter").because
        self.tell.say(f"promoted     service:greeter says {greeting!r} from {serving}; it was {why}")

    async def _does_not_come_up(self) -> None:
        self.tell.scene("Candidates that do not come up, or come up ill: refused, and nobody notices")
        await self._refused("unreachable")
        await self._refused("sick")

    async def _not_allowed(self) -> None:
        self.tell.scene("Candidates that a plugin's policy objects to")
        await self._refused("recalled", "Vetoed")
        await self._refused("memory", "Vetoed", actor="an intern")

    async def _canary(self) -> None:
        self.tell.scene("One that is bound, and found too slow by a canary: back at once")
        await self._refused("sluggish", "RolledBack")

    async def _turns_bad(self) -> None:
        self.tell.scene("One that is well when it is bound, and turns bad on probation: back by itself")
        before = self._bound()
        await self._swap("turns-bad")
        await self._until(
            lambda: self._bound() != "turns-bad", "a provider that turned bad was not taken back"
        )
        await asyncio.sleep(0.05)  # for the observers to have said so
        self.tell.say(
            f"noticed      {self.clients.bad} calls failed before probation saw it; {self._bound()} serves"
        )
        self._promise(self._bound() == before, f"after the rollback {self._bound()} serves, not {before}")
        row = next(
            r
            for r in decided(self.runtime.explain("adapter", "cache"))["candidates"]
            if r["provider"] == "turns-bad"
        )
        self.tell.say(f"explained    turns-bad is {said(row)}")

    async def _close_raises(self) -> None:
        self.tell.scene("One whose close raises: the swap away from it stands, and the report says so")
        await self._swap("sticky")
        report = await self._swap("memory")
        ended = await report.retired() if report is not None else None
        ending = "nothing" if ended is None else ended.ending
        self._promise(ending == "close_failed", f"a close that raised was reported as {ending}")
        self._promise(
            self._bound() == "memory", f"after a close that raised {self._bound()} serves, not memory"
        )
        await asyncio.sleep(0.05)

    async def _the_end(self) -> None:
        self.tell.scene("The end: the clients go home, and everything is closed")
        await self.clients.stop()
        self._swaps, self._rollbacks = self._counts()

    # --- what scenes are made of -------------------------------------------------------------------------------

    async def _during(self, swap: Awaitable[T]) -> T:
        self.clients.swapping += 1
        try:
            return await swap
        finally:
            self.clients.swapping -= 1

    async def _swap(self, provider: str) -> SwapReport | None:
        """A swap that must work."""
        try:
            report = await self._during(self.runtime.swap("adapter", "cache", provider, actor="the demo"))
        except OneiricError as error:
            self.broken.append(f"a swap to {provider} did not work: {str(error).splitlines()[0]}")
            self.tell.say(f"failed       {error}")
            return None
        await report.observed()
        return report

    async def _refused(self, provider: str, kind: str = "", actor: str = "the demo") -> None:
        """A swap that must not work, and must leave alone what serves."""
        before = self._bound()
        try:
            await self._during(self.runtime.swap("adapter", "cache", provider, actor=actor))
        except OneiricError as error:
            first = str(error).splitlines()[0]
            name = type(error).__name__
            self._promise(not kind or name == kind, f"{provider} was refused as {name}, not as {kind}")
            self.refused += name != "RolledBack"
            await asyncio.sleep(0.02)  # for the observers, who are told in a task of their own
            self.tell.say(f"refused      {first}")
            self.tell.say(f"serving      {self._bound()}")
        else:
            self.broken.append(f"{provider} was bound, and should have been refused")
        self._promise(self._bound() == before, f"after a refusal {self._bound()} serves, not {before}")

    async def _wait(self, seconds: float, doing: str) -> None:
        end = time.perf_counter() + seconds
        while True:
            self.tell.progress(f"{doing}, {self.clients.calls:,} calls")
            left = end - time.perf_counter()
            if left <= 0:
                return
            await asyncio.sleep(min(left, 0.1))

    async def _promoted(self) -> None:
        await self._until(lambda: self._phase() == "ready", "a swap was not promoted")

    async def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Look at the status again and again, as an operator does; for so long, and no longer."""
        end = time.perf_counter() + _PATIENCE
        while not condition():
            if time.perf_counter() > end:
                self.broken.append(f"{otherwise} within {_PATIENCE:g} s")
                return
            await asyncio.sleep(0.005)

    def _greeter(self) -> str:
        with self.runtime.lease("service", "greeter") as greeter:
            return str(greeter.built_from)

    def _phase(self) -> str:
        slot = self.runtime.status().of("adapter", "cache")
        return "" if slot is None else slot.phase

    def _bound(self) -> str:
        slot = self.runtime.status().of("adapter", "cache")
        return slot.bound.provider if slot is not None and slot.bound is not None else "nothing"

    def _counts(self) -> tuple[int, int]:
        slots = self.runtime.status().slots
        return sum(slot.swaps for slot in slots), sum(slot.rollbacks for slot in slots)

    def _failed(self) -> int:
        return sum(self.clients.failed.values())

    def _promise(self, kept: bool, otherwise: str) -> None:
        if not kept:
            self.broken.append(otherwise)

    # --- the verdict -------------------------------------------------------------------------------------------

    def _verdict(self) -> dict[str, Any]:
        ledger, failed = self.shop.ledger, self._failed()
        most = "; ".join(f"{count} x {what}" for what, count in self.clients.failed.most_common(3))
        self._promise(not failed, f"{failed} calls failed because of a swap: {most}")
        self._promise(
            ledger.made == ledger.closed, f"{ledger.made} instances were made, and {ledger.closed} closed"
        )
        self._promise(not ledger.closed_twice, f"{ledger.closed_twice} instances were closed twice")
        self._promise(
            not ledger.used_after_close, f"{ledger.used_after_close} calls reached a closed instance"
        )
        self._promise(not self._closed.left, f"left behind at the end: {', '.join(self._closed.left)}")
        self._promise(
            bool(self.clients.bad), "no call failed on the provider that turned bad, so nothing was shown"
        )
        return {
            "verdict": "broken" if self.broken else "kept",
            "broken": self.broken,
            "clients": self.size.clients,
            "calls": self.clients.calls,
            "failed_calls": failed,
            "bad_provider_calls": self.clients.bad,
            "greetings": self.clients.greetings,
            "swaps": self._swaps,
            "rollbacks": self._rollbacks,
            "refused": self.refused,
            "instances_made": ledger.made,
            "instances_closed": ledger.closed,
            "closed_twice": ledger.closed_twice,
            "used_after_close": ledger.used_after_close,
            "latency": self.clients.latency(),
            "seconds": round(time.perf_counter() - self._began, 3),
        }
