"""What is done about a part that failed by itself: decided by ``oneiric_restart``, waited for, and tried."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from oneiric_hookspecs import (
    Busy,
    Delay,
    Failure,
    Fallback,
    GiveUp,
    Held,
    Identity,
    Key,
    NotServing,
    OneiricError,
    Restart,
    RestartHistory,
    RuntimeClosing,
    Superseded,
    specs,
)

from oneiric.activation import Generation, Slot, Want
from oneiric.runtime import Runtime

from .looking import Looking
from .trouble import Fallen, Trouble, is_permanent, reason_of

log = logging.getLogger("oneiric.supervision")

#: Not a failure of the part: somebody else is at it, or nobody may be.
_NOT_NOW = (Busy, Held, NotServing, Superseded)


class Restarting:
    """Starts again what failed.

    Args:
        runtime: Which; it runs.
        draw: Gives numbers from 0 to 1.
        ill: Told of a part that is down, and why.
        changed: Told of a part whose restarts are others now.

    Attributes:
        wanted: The parts that are to be up.
    """

    def __init__(
        self,
        runtime: Runtime,
        draw: Callable[[], float],
        ill: Callable[[Key, str], None],
        changed: Callable[[Key], None],
    ) -> None:
        self._engine = runtime.engine("supervision")
        self._draw, self._ill, self._changed = draw, ill, changed
        self._looking = Looking(runtime)
        self._hook = runtime.hooks[specs.oneiric_restart]
        self._time = self._engine.loop.time
        self._troubles: dict[Key, Trouble] = {}
        self._fallen: dict[Key, Fallen] = {}
        self._going: dict[Key, asyncio.Task[None]] = {}
        self._ended = False
        self.wanted: set[Key] = set()

    # --- what others say ---------------------------------------------------------------------------------------------

    def of(self, key: Key) -> Trouble | None:
        """What is known of *key*; None where nothing is wrong, and nothing was lately."""
        trouble = self._troubles.get(key)
        if trouble is not None and self._over(trouble):
            del self._troubles[key]
            return None
        return trouble

    def failures(self, trouble: Trouble) -> int:
        """How often it failed in the last period."""
        since = self._time() - self._looking.policy(trouble.key).period
        return sum(failure.at > since for failure in trouble.failures)

    def failed(self, generation: Generation, failure: Failure) -> None:
        """*generation*, which is bound, failed by itself."""
        trouble = self.of(generation.key)
        if self._ended or (trouble is not None and trouble.waits and trouble.generation is generation):
            return  # that is known
        self._take(generation.key, failure, generation)

    def bound(self, key: Key, *, operator: bool) -> None:
        """Something was bound to *key*; an *operator's* doing ends all that was begun here."""
        trouble = self._troubles.get(key)
        if operator:
            self._fallen.pop(key, None)
            # What has failed since it was done is no trouble of before.
            if trouble is not None and trouble.generation is not self._engine.slot(key).bound:
                self._drop(trouble)
        elif (
            trouble is not None
            and trouble.waits
            and self._engine.slot(key).bound not in (None, trouble.generation)
        ):
            self._up(trouble)

    def registered(self, keys: Iterable[Key]) -> None:
        """The registry has changed at *keys*."""
        if self._ended:
            return
        for key in keys:
            trouble, fallen = self._troubles.get(key), self._fallen.get(key)
            if fallen is not None and not self._looking.left_out(key, fallen.identity):
                fallen.due = True
                self._come_back(key, fallen)
            elif trouble is not None and trouble.waits and self._looking.winner(key) is not trouble.against:
                self._anew(trouble)

    def settings_changed(self) -> None:
        """Other settings are in force."""
        for trouble in tuple(self._troubles.values()):
            if not trouble.waits:
                continue
            written, policy = self._looking.written(trouble), self._looking.policy(trouble.key)
            if written != trouble.written or (trouble.given_up and policy != trouble.policy):
                self._anew(trouble)

    def look(self) -> None:
        """Begin what could not be before; called again and again."""
        for trouble in tuple(self._troubles.values()):
            if self._over(trouble):
                del self._troubles[trouble.key]
                self._changed(trouble.key)
            elif trouble.owed is not None:
                self._settle(trouble)
            elif trouble.due:
                self._try(trouble)
        for key, fallen in tuple(self._fallen.items()):
            if fallen.due:
                self._come_back(key, fallen)
        for key in self.wanted:
            slot = self._engine.slots.get(key)
            if slot is None or not slot.occupied():
                self.ensure(key)

    def ensure(self, key: Key) -> None:
        """Activate *key*, if nothing is bound, nothing is under way, and nothing keeps it from being up."""
        trouble = self._troubles.get(key)
        if self._ended or key in self._going or (trouble is not None and trouble.waits):
            return
        slot = self._engine.slot(key)
        if slot.occupied() or slot.flights or self._looking.mode(key) in ("pause", "drain"):
            return
        self._go(key, self._activate(slot))

    async def stop(self, grace: float) -> None:
        """No timer and no try goes on."""
        self._ended = True
        for trouble in self._troubles.values():
            trouble.stop()
            self._engine.slot(trouble.key).backoff = None
        going = set(self._going.values())
        for task in going:
            task.cancel()
        if going:
            await asyncio.wait(going, timeout=grace)

    # --- deciding ----------------------------------------------------------------------------------------------------

    def _take(self, key: Key, failure: Failure, generation: Generation | None) -> None:
        trouble = self.of(key)
        if trouble is None:
            trouble = self._troubles[key] = Trouble(key)
        trouble.stop()
        trouble.remember(failure)
        trouble.generation, trouble.owed = generation, failure
        self._looking.note(trouble)
        log.warning("%s (%s) failed: %s", key, failure.provider or "?", failure.reason)
        self._settle(trouble)
        self._changed(key)

    def _settle(self, trouble: Trouble) -> None:
        failure, key = trouble.owed, trouble.key
        if failure is None or not self._looking.may(trouble.key):
            return
        trouble.owed = None
        policy = trouble.policy = self._looking.policy(key)
        history = RestartHistory(
            tuple(each for each in trouble.failures if each is not failure),
            policy,
            self._draw(),
            self._looking.alternatives(trouble),
            trouble.exhausted,
        )
        answer = self._decide(key, failure, history)
        if isinstance(answer, Fallback) and not self._fall_back(trouble, answer.reason or failure.reason):
            answer = Delay(policy.slow, slowly=True)
        if isinstance(answer, Delay):
            if not (math.isfinite(answer.seconds) and answer.seconds >= 0):
                answer = GiveUp(f"a plugin wants it started again after {answer.seconds!r} seconds")
            else:
                trouble.exhausted = trouble.exhausted or answer.slowly
                self._wait(trouble, answer.seconds)
        if isinstance(answer, GiveUp):
            trouble.exhausted, trouble.given_up = True, answer.reason or "a plugin gave it up"
            log.error("%s is left as it is: %s", key, trouble.given_up)
        self._changed(key)

    def _decide(self, key: Key, failure: Failure, history: RestartHistory) -> Restart:
        try:
            answer = self._hook(key, failure, history)
        except OneiricError as error:
            return GiveUp(str(error).splitlines()[0])
        return GiveUp("no plugin says what to do") if answer is None else answer

    # --- waiting and trying ------------------------------------------------------------------------------------------

    def _wait(self, trouble: Trouble, seconds: float) -> None:
        trouble.stop()
        trouble.at = self._time() + seconds
        trouble.timer = self._engine.loop.call_later(seconds, self._due, trouble)
        self._engine.slot(trouble.key).backoff = trouble.at

    def _due(self, trouble: Trouble) -> None:
        trouble.stop()
        self._engine.slot(trouble.key).backoff = None
        trouble.due = True
        self._try(trouble)
        self._changed(trouble.key)

    def _try(self, trouble: Trouble) -> None:
        if self._ended or trouble.key in self._going or not self._looking.may(trouble.key):
            return
        trouble.due = False
        self._go(trouble.key, self._start_again(trouble))

    def _go(self, key: Key, work: Coroutine[Any, Any, None]) -> None:
        task = self._engine.tasks.start(work, f"start {key}")
        self._going[key] = task
        task.add_done_callback(lambda _: self._going.pop(key, None))

    async def _start_again(self, trouble: Trouble) -> None:
        key, slot = trouble.key, self._engine.slot(trouble.key)
        if not await self._alone(slot) or self._troubles.get(key) is not trouble or not trouble.waits:
            return
        bound = slot.bound
        if bound is not None and bound is not trouble.generation:
            self._up(trouble)
            return
        want = Want() if bound is None else Want(self._looking.same(key, bound.provider), reload=True)
        try:
            await self._engine.operations.request(slot, want, "restart")
        except RuntimeClosing:
            return
        except _NOT_NOW:
            trouble.due = True
        except OneiricError as error:
            self._did_not(trouble, slot, error)
        else:
            self._up(trouble)

    async def _alone(self, slot: Slot) -> bool:
        """Wait until nobody is at work on *slot*, an operator above all; whether it is still to be done here."""
        while tasks := [each.task for each in slot.flights if each.task is not None]:
            await asyncio.wait(tasks)
        return not self._ended

    def _did_not(self, trouble: Trouble, slot: Slot, error: OneiricError) -> None:
        failure = self._failure(error)
        bound = slot.bound
        if bound is not None and bound is not trouble.generation:
            # The two could not overlap, and what was there was built again: it is up.
            trouble.remember(failure)
            self._up(trouble)
            return
        if bound is None:
            self._ill(trouble.key, failure.reason)
        if self._troubles.get(trouble.key) is trouble:
            self._take(trouble.key, failure, bound)

    def _failure(self, error: OneiricError) -> Failure:
        provider = getattr(error, "provider", None) or ""
        return Failure("activation", reason_of(error), self._time(), provider, is_permanent(error))

    async def _activate(self, slot: Slot) -> None:
        try:
            await self._engine.operations.ensure(slot)
        except (RuntimeClosing, *_NOT_NOW):
            return  # looked at again
        except OneiricError as error:
            failure = self._failure(error)
            self._ill(slot.key, failure.reason)
            self._take(slot.key, failure, None)

    # --- and after ---------------------------------------------------------------------------------------------------

    def _up(self, trouble: Trouble) -> None:
        trouble.stop()
        trouble.generation, trouble.owed, trouble.given_up = None, None, ""
        trouble.up = self._time()
        self._engine.slot(trouble.key).backoff = None
        self._changed(trouble.key)

    def _over(self, trouble: Trouble) -> bool:
        if trouble.up is None:
            return False
        return self._time() - trouble.up >= self._looking.policy(trouble.key).reset_after

    def _drop(self, trouble: Trouble) -> None:
        trouble.stop()
        self._engine.slot(trouble.key).backoff = None
        if self._troubles.get(trouble.key) is trouble:
            del self._troubles[trouble.key]
        self._changed(trouble.key)

    def _anew(self, trouble: Trouble) -> None:
        """What it failed by is another one now: try it at once, and count anew."""
        trouble.stop()
        trouble.anew()
        self._engine.slot(trouble.key).backoff = None
        self._looking.note(trouble)
        trouble.due = True
        self._try(trouble)
        self._changed(trouble.key)

    # --- falling back ------------------------------------------------------------------------------------------------

    def _fall_back(self, trouble: Trouble, reason: str) -> bool:
        """Leave out what failed, and begin to start the next one; False where there is none."""
        key, identity = trouble.key, self._looking.failed(trouble)
        if identity is None or not self._looking.alternatives(trouble):
            return False
        self._fallen[key] = Fallen(identity)
        self._leave_out(key, identity, reason)
        trouble.anew()
        self._looking.note(trouble)
        # Not from inside the try that failed, which is still counted as under way.
        self._wait(trouble, 0.0)
        return True

    def _leave_out(self, key: Key, identity: Identity, reason: str) -> None:
        log.warning("%s: %s is left out for a while: %s", key, identity[1], reason)
        self._engine.quarantine.leave_out(key, identity, f"fallback: {reason}; left out")

    def _come_back(self, key: Key, fallen: Fallen) -> None:
        """The better one may be had again: it is tried beside what serves, and takes its place if it is well."""
        slot = self._engine.slot(key)
        trouble = self._troubles.get(key)
        if (
            key in self._going
            or self._looking.mode(key) is not None
            or slot.flights
            or slot.probation is not None
        ):
            return
        fallen.due = False
        winner, bound = self._looking.winner(key), slot.bound
        if winner is None or bound is None or winner.provider != fallen.identity[1]:
            del self._fallen[key]
            return
        if trouble is not None and trouble.waits:
            del self._fallen[key]
            self._anew(trouble)
            return
        if self._engine.modes.mode(winner, bound) == "exclusive":
            del self._fallen[key]
            slot.pending = f"{winner.provider} would win again, and cannot be tried beside {bound.provider}"
            return
        self._go(key, self._bring_back(slot, fallen))

    async def _bring_back(self, slot: Slot, fallen: Fallen) -> None:
        try:
            await self._engine.operations.request(slot, Want(), "restart")
        except RuntimeClosing:
            return
        except _NOT_NOW:
            fallen.due = True
        except OneiricError as error:
            if self._fallen.get(slot.key) is fallen:
                self._leave_out(slot.key, fallen.identity, reason_of(error))
        else:
            self._fallen.pop(slot.key, None)
