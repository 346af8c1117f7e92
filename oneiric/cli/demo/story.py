"""The demo from beginning to end, and its verdict."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from oneiric_hookspecs import CloseReport

from oneiric.runtime import Runtime

from . import swapping, working
from .following import Following
from .narrator import Narrator
from .project import done
from .publisher import Publisher
from .serving import Server
from .stage import Size, Stage


class Story:
    """Plays the chapters on a runtime that was assembled from the project's settings.

    Args:
        runtime: Not started yet.
        narrator: Tells it.
        size: How much of it.
        folder: The project's.
        publisher: Of the stream that its settings name.
        server: Where that is served.
    """

    def __init__(
        self,
        runtime: Runtime,
        narrator: Narrator,
        size: Size,
        *,
        folder: Path,
        publisher: Publisher,
        server: Server,
    ) -> None:
        self.stage = Stage(runtime, narrator, size)
        self.folder = folder
        self._following = Following(self.stage, publisher, server)
        self._work: dict[str, Any] = {}
        self._stream: dict[str, Any] = {}
        self._swaps = self._rollbacks = 0
        self._closed = CloseReport()
        self._began = time.perf_counter()

    async def play(self) -> dict[str, Any]:
        """All of it.

        Returns:
            The figures, and the verdict.
        """
        stage = self.stage
        try:
            swapping.who(stage)
            await stage.runtime.start()
            await swapping.play(stage)
            self._work = await working.play(stage, self.folder)
            self._stream = await self._following.play()
            with stage.scene("The end: the clients go home, and everything is closed"):
                await stage.clients.stop()
                slots = stage.runtime.status().slots
                self._swaps = sum(slot.swaps for slot in slots)
                self._rollbacks = sum(slot.rollbacks for slot in slots)
        finally:
            # Whatever happened, interrupts too: nothing is left open.
            self._closed = await stage.runtime.close()
        return self._verdict()

    def _verdict(self) -> dict[str, Any]:
        stage, clients = self.stage, self.stage.clients
        ledger, failed = stage.shop.ledger, stage.failed()
        most = "; ".join(f"{count} x {what}" for what, count in clients.failed.most_common(3))
        ended = done(self.folder).count("stock ended")
        stage.promise(not failed, f"{failed} calls failed because of a swap: {most}")
        stage.promise(
            ledger.made == ledger.closed, f"{ledger.made} instances were made, and {ledger.closed} closed"
        )
        stage.promise(not ledger.closed_twice, f"{ledger.closed_twice} instances were closed twice")
        stage.promise(
            not ledger.used_after_close, f"{ledger.used_after_close} calls reached a closed instance"
        )
        stage.promise(not self._closed.left, f"left behind at the end: {', '.join(self._closed.left)}")
        stage.promise(
            bool(clients.bad), "no call failed on the provider that turned bad, so nothing was shown"
        )
        stage.promise(ended == 1, f"the service ended {ended} times, not once")
        return {
            "verdict": "broken" if stage.broken else "kept",
            "broken": stage.broken,
            "clients": stage.size.clients,
            "calls": clients.calls,
            "failed_calls": failed,
            "bad_provider_calls": clients.bad,
            "greetings": clients.greetings,
            "swaps": self._swaps,
            "rollbacks": self._rollbacks,
            "refused": stage.refused,
            "instances_made": ledger.made,
            "instances_closed": ledger.closed,
            "closed_twice": ledger.closed_twice,
            "used_after_close": ledger.used_after_close,
            "work": self._work,
            "stream": self._stream,
            "latency": clients.latency(),
            "seconds": round(time.perf_counter() - self._began, 3),
        }
