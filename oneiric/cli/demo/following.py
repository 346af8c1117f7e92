"""The third chapter: candidates that come from a signed stream, and what is refused of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from oneiric_hookspecs import SyncReport

from .publisher import STREAM, Publisher
from .serving import Server
from .stage import Stage


def _swift(version: str, max_items: int) -> dict[str, Any]:
    return {
        "domain": "adapter",
        "key": "cache",
        "provider": "swift",
        "factory": "demo_work:Swift",
        "version": version,
        "settings": {"max_items": max_items},
    }


OLD, NEW = _swift("1.0", 1000), _swift("2.0", 20_000)


class Following:
    """The scenes, on a runtime that has started.

    Args:
        stage: Where.
        publisher: Whose stream it is.
        server: Where that is served.
    """

    def __init__(self, stage: Stage, publisher: Publisher, server: Server) -> None:
        self.stage, self.publisher, self.server = stage, publisher, server
        publisher.host = stage.runtime
        self.syncs = 0
        self.refused: dict[str, str | None] = {}
        self.figures: dict[str, Any] = {}
        self._head, self._oldest = publisher.public / "head.json", b""

    async def play(self) -> dict[str, Any]:
        """All of it.

        Returns:
            The figures.
        """
        stage = self.stage
        with stage.scene("Candidates from elsewhere: a publisher signs a stream, and it is synced by http"):
            await self._first()
        with stage.scene("A better one comes by the stream: upgraded under the clients' hands"):
            await self._upgrade()
        with stage.scene("What nobody signed, or nobody should believe, is refused; what serves goes on"):
            await self._forgeries()
        with stage.scene("The publisher changes its key: the root vouches for the new one, and for no other"):
            await self._rotate()
        with stage.scene("The server goes away: what was accepted goes on; and it comes back"):
            await self._away()
        return {
            **self.figures,
            "syncs": self.syncs,
            "requests": self.server.requests,
            "publisher_commands": self.publisher.commands,
            "refused": self.refused,
        }

    # --- scenes ------------------------------------------------------------------------------------------------

    async def _first(self) -> None:
        release = await self._published([OLD])
        self._said(
            "signed", f"release {release} by {self.publisher.signer}, whose key the first keyring names"
        )
        report = await self._sync()
        self._accepted(report, release)
        await self.stage.swap("swift")

    async def _upgrade(self) -> None:
        stage = self.stage
        release = await self._published([OLD, NEW])
        calls, failed = stage.clients.calls, stage.failed()
        self._accepted(await self._sync(), release)
        before = self._version()
        await stage.swap("swift")
        await stage.wait(0.2, "on the new one")
        after, calls, failed = self._version(), stage.clients.calls - calls, stage.failed() - failed
        self.figures |= {"upgrade": [before, after], "upgrade_calls": calls, "upgrade_failed_calls": failed}
        stage.promise((before, after) == ("1.0", "2.0"), f"swift went from {before} to {after}")
        stage.promise(calls > 0 and not failed, f"of {calls} calls during the upgrade {failed} failed")
        self._said("upgraded", f"swift {before} -> {after}: {calls:,} calls meanwhile, {failed:,} failed")
        release = await self._published([NEW])
        self._accepted(await self._sync(), release)

    async def _rotate(self) -> None:
        stage = self.stage
        await self._in_thread(lambda: self.publisher.rotate("release-b"))
        release = await self._published([NEW])
        report = await self._sync()
        self._accepted(report, release)
        self.figures["signers"] = list(report.signers)
        stage.promise(
            report.signers == ("release-b",), f"a release is believed by {report.signers}, not by the new key"
        )
        self._said("believed", f"release {release}, signed by {', '.join(report.signers)}")
        await self._forgery("signed by the old key", "signature", self._old_key)

    async def _forgeries(self) -> None:
        await self._forgery("tampered", "digest", self._tampered)
        await self._forgery("replayed", "rollback", lambda: self._head.write_bytes(self._oldest))
        await self._forgery("unsigned", "signature", self._unsigned)
        await self._forgery("expired", "expired", self._expired)
        self._said("serving", f"{self.stage.bound()} {self._version()}, from release {self._force()}")

    async def _away(self) -> None:
        stage = self.stage
        await stage.runtime.in_thread(self.server.close, name="server goes away")
        calls, failed = stage.clients.calls, stage.failed()
        gone = await self._sync()
        await stage.wait(0.1, "without a server")
        calls, failed = stage.clients.calls - calls, stage.failed() - failed
        stage.promise(gone.outcome == "unreachable", f"a server that is gone was {gone.outcome}")
        stage.promise(calls > 0 and not failed, f"of {calls} calls without a server {failed} failed")
        self._said(gone.outcome, f"{gone.code}; {stage.bound()} serves: {calls:,} calls, {failed:,} failed")
        self.server.open()
        back = await self._sync()
        stage.promise(
            back.outcome in ("applied", "unchanged"),
            f"a server that is back was {back.outcome}: {back.detail}",
        )
        self.figures["server_away"] = [gone.outcome, back.outcome]
        self._said("back", f"{back.outcome}: release {self._force()}")

    # --- forgeries ---------------------------------------------------------------------------------------------

    async def _forgery(self, name: str, code: str, forge: Callable[[], object]) -> None:
        """A release that must be refused as *code*, and must leave alone what is in force and what serves."""
        stage, good = self.stage, self._head.read_bytes()
        before = self._force(), stage.bound(), self._version()
        await self._in_thread(forge)
        report = await self._sync()
        self._head.write_bytes(good)
        self.refused[name] = report.code
        stage.promise(
            (report.outcome, report.code) == ("rejected", code),
            f"a release that is {name} was {report.outcome} ({report.code}), not rejected as {code}",
        )
        after = self._force(), stage.bound(), self._version()
        stage.promise(after == before, f"a release that is {name} changed what is in force")
        detail = re.sub(r"[0-9a-f]{64}", lambda digest: f"{digest[0][:8]}...", report.detail)
        self._said(report.outcome, f"{name}: {report.code}: {detail}")

    def _tampered(self) -> None:
        """The body is another one than was signed, of the same length."""
        self._next()
        head = json.loads((self.publisher.stream / "release.json").read_bytes())
        body = self.publisher.public / head["manifest"]["path"]
        body.write_bytes(body.read_bytes().replace(b"demo_work:Swift", b"demo_evil:Swift"))

    def _unsigned(self) -> None:
        self._next()
        unsigned = json.loads(self._head.read_bytes()) | {"signatures": []}
        self._head.write_text(json.dumps(unsigned), "utf-8")

    def _old_key(self) -> None:
        """By the key that was taken away, and the keyring that named it."""
        publisher = self.publisher
        new, publisher.signer = publisher.signer, "release-a"
        try:
            self._next("--keyring", str(publisher.keyring(1)))
        finally:
            publisher.signer = new

    def _expired(self) -> None:
        self._next("--issued", "2020-01-01T00:00:00Z", "--expires", "1")

    def _next(self, *signing: str) -> None:
        self.publisher.release([NEW], *signing)
        self.publisher.intrude()

    # --- what scenes are made of -------------------------------------------------------------------------------

    async def _published(self, entries: list[dict[str, Any]]) -> str:
        def publish() -> str:
            signed = self.publisher.release(entries)
            self.publisher.publish()
            return f"{signed['epoch']}.{signed['version']}"

        release: str = await self._in_thread(publish)
        self._oldest = self._oldest or self._head.read_bytes()
        return release

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await self.stage.runtime.in_thread(lambda: self.publisher.work(work), name="the publisher")

    async def _sync(self) -> SyncReport:
        (report,) = await self.stage.runtime.remote.sync(STREAM)
        self.syncs += 1
        await asyncio.sleep(0.02)  # for the observers, who are told in a task of their own
        return report

    def _accepted(self, report: SyncReport, release: str) -> None:
        found = f"{report.epoch}.{report.version}"
        self.stage.promise(
            report.outcome in ("applied", "unchanged") and found == release,
            f"release {release} was {report.outcome} ({report.code}), and {found} is in force",
        )
        self._said(
            "synced",
            f"release {found}, {report.outcome}: {len(report.added)} added, {len(report.removed)} removed, in "
            f"{report.duration_ms:.0f} ms",
        )

    def _force(self) -> str:
        status = self.stage.runtime.remote.stream(STREAM).status()
        return f"{status.epoch}.{status.version}"

    def _version(self) -> str:
        bound = self.stage.runtime.bound("adapter", "cache")
        return "" if bound is None else str(bound.candidate.version)

    def _said(self, word: str, text: str) -> None:
        self.stage.tell.say(f"{word:<12} {text}")
