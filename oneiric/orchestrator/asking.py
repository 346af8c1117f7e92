"""What commands ask every process to do once is done here, and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import Key, OneiricError, RunError, SettingsError

from oneiric.activation import Want
from oneiric.state import Answered, Asked, Requests

if TYPE_CHECKING:
    from oneiric.runtime import Runtime

#: What a report of a sync makes a command exit with.
_EXITS = {"rejected": 7, "unreachable": 8}


class Asking:
    """Does what is asked of this node.

    Args:
        runtime: Where.
        requests: What is asked.
        node: This node's name.
        reload: Reads the settings again.
    """

    def __init__(
        self,
        runtime: Runtime,
        requests: Requests,
        node: str,
        reload: Callable[[], Awaitable[Any]],
    ) -> None:
        self._runtime, self._requests, self._node = runtime, requests, node
        self._reload = reload
        self._revision, self._begun = -1, set[str]()
        self._swept = 0.0
        self._verbs: dict[str, Callable[[Asked], Awaitable[Answered]]] = {
            "remote-sync": self._sync,
            "rotate": self._rotate,
            "reload": self._rebuild,
            "probe": self._probe,
            "settings": self._settings,
        }

    async def begin(self) -> None:
        """Before anybody can wait for this node: what is asked by now was not asked of it."""
        # By what is there, and not by when it was asked: clocks are set, and those of two machines differ.
        self._begun.update(await self._requests.open())

    async def turn(self) -> None:
        """Look once, and begin what is new."""
        revision = await self._requests.revision()
        if revision != self._revision:
            found = await self._requests.open()
            self._begun &= found.keys()
            for number, asked in found.items():
                if number not in self._begun:
                    self._begun.add(number)
                    self._runtime.spawn(self._answer(number, asked), name=f"orchestrate: {asked.verb}")
            self._revision = revision
        now = self._runtime.clock.time()
        if now - self._swept > 60:
            self._swept = now
            await self._requests.sweep()

    async def _answer(self, number: str, asked: Asked) -> None:
        do = self._verbs.get(asked.verb)
        try:
            if do is None:
                answered = Answered(
                    False,
                    2,
                    f"this process does not know the request {asked.verb!r}: it is of an older version",
                )
            else:
                answered = await do(asked)
        except OneiricError as error:
            answered = Answered(False, getattr(error, "exit_code", 1), str(error).splitlines()[0])
        except Exception as error:
            # Whoever waits hears of it, and so does the log: it is a bug.
            await self._requests.answer(
                number, self._node, Answered(False, 1, f"{type(error).__name__}: {error}")
            )
            raise
        await self._requests.answer(number, self._node, answered)

    async def _sync(self, asked: Asked) -> Answered:
        from oneiric.remote.status import report_json

        stream = asked.arguments.get("stream")
        try:
            reports = await self._runtime.remote.sync(stream, dry_run=bool(asked.arguments.get("dry_run")))
        except KeyError as error:
            return Answered(False, 3, str(error.args[0]))
        worst = max((_EXITS.get(report.outcome, 0) for report in reports), default=0)
        return Answered(not worst, worst, "", [report_json(report) for report in reports])

    async def _rotate(self, asked: Asked) -> Answered:
        """Forget secrets, and build what was built from them anew."""
        runtime, names = self._runtime, asked.arguments.get("names") or list(self._runtime.settings.secrets)
        rotated = sorted({each for name in names for each in runtime.secrets.rotate(name)})
        slots = [
            slot
            for _, slot in sorted(runtime.engine("rotate").slots.items())
            if (bound := slot.bound) is not None
            and set(runtime.settings.references(bound.candidate)) & set(names)
        ]
        answers = await asyncio.gather(*(self._anew(slot.key, asked.actor) for slot in slots))
        failed = [each for each in answers if each["told"]]
        worst = max((each["exit"] for each in answers), default=0)
        text = "; ".join(f"{each['key']}: {each['told']}" for each in failed)
        return Answered(not failed, worst, text, {"rotated": rotated, "rebuilt": answers})

    async def _rebuild(self, asked: Asked) -> Answered:
        if asked.key is None:
            return Answered(False, 2, "reload is about one part")
        key = Key.parse(asked.key)
        if self._runtime.bound(key.domain, key.name) is None:
            return Answered(True, 0, "", {"key": str(key), "outcome": "not_bound", "told": "", "exit": 0})
        answer = await self._anew(key, asked.actor, asked.arguments)
        return Answered(not answer["told"], answer["exit"], answer["told"], answer)

    async def _anew(self, key: Key, actor: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        more = arguments or {}
        want = Want(
            more.get("provider"),
            reload=bool(more.get("reload", True)),
            accept_unhealthy=bool(more.get("accept_unhealthy")),
            override=bool(more.get("override")),
        )
        engine = self._runtime.engine("reload")
        try:
            report = await engine.operations.request(engine.slot(key), want, "operator", actor=actor)
        except OneiricError as error:
            return {
                "key": str(key),
                "outcome": "failed",
                "told": str(error).splitlines()[0],
                "exit": getattr(error, "exit_code", 1),
            }
        took = round(sum(report.steps.values()), 3)
        return {
            "key": str(key),
            "outcome": report.outcome,
            "old": report.old,
            "new": report.new,
            "ms": took,
            "told": "",
            "exit": 0,
        }

    async def _probe(self, asked: Asked) -> Answered:
        supervision = self._runtime.supervision
        if supervision is None:
            raise RunError("nothing is supervised here")
        keys = () if asked.key is None else (Key.parse(asked.key),)
        found = await supervision.probe(*keys)
        answers = {
            str(key): {
                "status": health.status,
                "reason": health.reason,
                "latency_ms": round(health.latency * 1e3, 3),
            }
            for key, health in sorted(found.items())
        }
        ill = [key for key, answer in answers.items() if answer["status"] in ("failed", "unknown")]
        return Answered(not ill, 6 if ill else 0, ", ".join(ill), answers)

    async def _settings(self, _: Asked) -> Answered:
        try:
            await self._reload()
        except SettingsError as error:
            return Answered(False, 5, str(error).splitlines()[0])
        return Answered(True)
