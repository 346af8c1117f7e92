"""A generation: one instance of one candidate in a slot, from its making to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import ActivationTimeout, Candidate, FactoryError, Health, Key, Retirement, Source
from oneiric_hookspecs import Generation as GenerationView

from .threads import Count

if TYPE_CHECKING:
    from oneiric.activation.holding import Holding
    from oneiric.settings import Lifecycle

#: Source, provider, version, and the settings as written with what the candidate itself brings: equal means there is
#: nothing to do.
Fingerprint = tuple[str, str, str | None, str]


def fingerprint_of(candidate: Candidate, source: Source, written: str) -> Fingerprint:
    """The fingerprint of *candidate*, declared by *source*, with settings as *written*."""
    if source.kind == "stream":
        # The next release may say anything else under the same name and version; what is of this process does not.
        brought = (candidate.factory, candidate.settings, candidate.artifact, candidate.needs, candidate.data)
        written = f"{written} {brought!r}"
    return (source.name, candidate.provider, candidate.version, written)


class Generation:
    """One instance of one candidate in a slot.

    ``creating -> starting -> warming -> standby -> active -> retiring -> closing -> closed``; at the end also
    ``close_failed`` (its close raised or took too long) or ``abandoned`` (it does not answer; what it may still
    produce is closed when it comes).

    Attributes:
        leases: Its users.  Changed from any thread; read by the drainer only after the switch.
        dependents: Generations built from it; they keep it open as long as they need.
        ended: How many leases ended.  ``bad``: how many of them by an exception.
        retiring: Whether its users should finish.  ``leaving``: the same, while it may still stay.
        made: Whether its factory gave something.
        watched: Whether somebody wants to know when the last lease is given back.
        when_idle: Called on the loop, once, when that has happened.
        started: Done when it is up; what it raised is why it is not.
        gone: Done with a ``Retirement`` when it has ended; None until it retires.
    """

    __slots__ = (
        "__weakref__",
        "_goodbye",
        "_loop",
        "_time",
        "bad",
        "candidate",
        "checks",
        "deadline",
        "dependents",
        "doomed",
        "ended",
        "fingerprint",
        "gone",
        "health",
        "holding",
        "host",
        "hurry",
        "instance",
        "key",
        "leases",
        "leaving",
        "limits",
        "made",
        "needs",
        "number",
        "on_bad",
        "probing",
        "retiring",
        "settings",
        "since",
        "source",
        "started",
        "state",
        "threaded",
        "wakeup",
        "watched",
        "when_idle",
    )

    def __init__(
        self,
        key: Key,
        number: int,
        candidate: Candidate,
        source: Source,
        fingerprint: Fingerprint,
        limits: Lifecycle,
        loop: asyncio.AbstractEventLoop,
        time: Callable[[], float],
    ) -> None:
        self.key, self.number, self.candidate, self.source = key, number, candidate, source
        self.fingerprint, self.limits, self._loop, self._time = fingerprint, limits, loop, time
        self.settings: Any = None
        self.instance: Any = None
        self.holding: Holding | None = None
        self.host: asyncio.Task[None] | None = None
        self.threaded = 0  # calls of this generation's factory that are still in a thread
        self.started: asyncio.Future[None] = loop.create_future()
        self.state, self.since = "creating", time()
        self.leases: set[Any] = set()
        self.dependents: set[Generation] = set()
        self.needs: list[Any] = []
        self.ended = self.bad = 0
        self.on_bad: Callable[[], None] | None = None
        self.health: Health | None = None
        self.checks = Count()  # calls of its checks that are still in a thread
        self.probing: asyncio.Task[Any] | None = None
        self.retiring = self.doomed = self.hurry = self.leaving = False
        self.watched = self.made = False
        self.when_idle: Callable[[], None] | None = None
        self.deadline: float | None = None  # of its whole retirement, when the runtime closes
        self.wakeup: asyncio.Future[None] | None = None
        self.gone: asyncio.Future[Retirement] | None = None
        self._goodbye: asyncio.Event | None = None

    def __repr__(self) -> str:
        return f"<{self.key}#{self.number} {self.candidate.provider} {self.state}>"

    @property
    def provider(self) -> str:
        """The provider of its candidate."""
        return self.candidate.provider

    @property
    def open(self) -> bool:
        """Whether its instance may be used: it has been started, and closing it has not begun."""
        return self.state in ("warming", "standby", "active", "retiring")

    def enter(self, state: str) -> None:
        """Go over to *state*, now."""
        self.state, self.since = state, self._time()

    def view(self) -> GenerationView:
        """What plugins may see of it."""
        return GenerationView(
            self.key, self.number, self.candidate, self.instance, self.state, self.since, len(self.leases)
        )

    def succeed(self) -> None:
        """It is up."""
        if not self.started.done():
            self.started.set_result(None)

    def fail(self, error: BaseException) -> None:
        """It will not come up, because of *error*."""
        if not self.started.done():
            self.started.set_exception(error)
            self.started.exception()  # whoever waits gets it; if nobody does any more, it has been seen

    def never_began(self, _: object) -> None:
        """Its task has ended; if it was cancelled before its first step, nobody else says so."""
        if not self.started.done():
            self.fail(FactoryError("its task ended before it began"))

    def took_too_long(self, seconds: float) -> None:
        """It is not up after *seconds*."""
        if not self.started.done():
            self.fail(ActivationTimeout(f"making and starting it took longer than {seconds:g} s"))

    def spoil(self) -> None:
        """A lease ended by an exception.  From any thread."""
        self.bad += 1
        if (told := self.on_bad) is not None:
            self._soon(told)

    def wake(self) -> None:
        """Let whoever waits for the last lease look again.  From any thread."""
        self._soon(self._wake)

    def call_when_idle(self, call: Callable[[], None]) -> None:
        """Call *call* on the loop when nobody has a lease: now, or when the last one is given back."""
        self.when_idle, self.watched = call, True
        if not self.leases:
            self.wake()

    def _wake(self) -> None:
        if self.when_idle is not None and not self.leases:
            call, self.when_idle = self.when_idle, None
            call()
        if self.wakeup is not None and not self.wakeup.done():
            self.wakeup.set_result(None)

    def _soon(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            # The loop is closed, and so is the runtime: nobody waits for this lease any more.
            return

    def begin_retiring(self) -> None:
        """Tell its users to finish; the switch has been made, so there will be no new ones."""
        self.retiring = self.watched = True
        self.enter("retiring")
        if self._goodbye is not None:
            self._goodbye.set()

    def say_goodbye(self) -> None:
        """Ask its users to finish, although it has not retired."""
        self.leaving = True
        if self._goodbye is not None:
            self._goodbye.set()

    def stay(self) -> None:
        """It does not leave after all."""
        self.leaving = False
        if self._goodbye is not None and not self.retiring:
            self._goodbye.clear()

    @property
    def goodbye(self) -> asyncio.Event:
        """Set when it retires.  On the loop only."""
        if self._goodbye is None:
            self._goodbye = asyncio.Event()
            if self.retiring or self.leaving:
                self._goodbye.set()
        return self._goodbye
