"""Kit ``hello``: greetings.  It shows what a kit may bring, and how little of it is code.

The plugin is a class, because it has settings and remembers whom it greeted: there is one for each runtime.  What it
declares stands in ``parts``, its command in ``command``.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterable, Sequence

import attrs
from oneiric_hookspecs import (
    Action,
    Candidate,
    Generation,
    Host,
    Objection,
    Operation,
    PluginContext,
    Request,
    Selection,
    hookimpl,
)

from .parts import CANDIDATES, GREETER, ActionSettings, Greet, Greeting

__all__ = ["Hello", "Settings"]


def _hour(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if not 0 <= value <= 24:
        raise ValueError(f"{attribute.name} is an hour from 0 to 24, found {value}")


@attrs.frozen
class Settings:
    """``[plugins.settings.hello]``.

    Args:
        prefer: The provider of ``adapter:greeter`` to take where nobody has chosen one.
        swaps_from: The hour (UTC) from which another greeter may be swapped in.
        swaps_until: The hour (UTC) at which that ends; the same hour means never.
        canary: Whom a greeter that was swapped in has to greet, by name, to stay; empty for nobody.
        guests: Who is greeted in the background, one after the other.
        every: Seconds between two such greetings.
    """

    prefer: str | None = None
    swaps_from: int = attrs.field(default=0, validator=_hour)
    swaps_until: int = attrs.field(default=24, validator=_hour)
    canary: str = "canary"
    guests: tuple[str, ...] = ()
    every: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))

    def may_swap(self, hour: int) -> bool:
        """Whether *hour* lies in the window, which may go over midnight."""
        if self.swaps_from <= self.swaps_until:
            return self.swaps_from <= hour < self.swaps_until
        return hour >= self.swaps_from or hour < self.swaps_until


class Hello:
    """The plugin: one in each runtime."""

    Settings = Settings

    def __init__(self, context: PluginContext) -> None:
        self.settings: Settings = context.settings
        self.log = context.log
        self.host: Host = context.host
        self.greeted = 0

    # What there is ------------------------------------------------------------------------------------------------

    @hookimpl
    def oneiric_candidates(self) -> Iterable[Candidate]:
        """An adapter, and a service that is built from whatever fills its key."""
        return CANDIDATES

    @hookimpl
    def oneiric_actions(self) -> Iterable[Action]:
        """``hello.greet``: a method, as it asks the runtime for the greeter."""
        yield Action(
            "hello.greet",
            "Greet somebody by name",
            takes=Greet,
            returns=Greeting,
            settings=ActionSettings,
            run=self.greet,
            idempotent=True,
        )

    async def greet(self, request: Greet, settings: ActionSettings) -> Greeting:
        """Greet *request.name* by whatever fills ``adapter:greeter``."""
        async with self.host.use(*GREETER) as greeter:
            text = await greeter.greet(request.name or settings.nobody)
        self.greeted += 1
        return Greeting(text)

    # Who fills a key ----------------------------------------------------------------------------------------------

    @hookimpl
    def oneiric_select(self, request: Request, candidates: Sequence[Candidate]) -> Selection | None:
        """Prefer one greeter, if it is there; of other keys, and without a preference, say nothing."""
        providers = {candidate.provider for candidate in candidates}
        if request.key != GREETER or self.settings.prefer not in providers:
            return None
        return Selection(self.settings.prefer, reason="its settings prefer it")

    # Whether it may take the place of another ---------------------------------------------------------------------

    @hookimpl
    def oneiric_check_swap(self, new: Generation, old: Generation | None) -> Iterable[Objection]:
        """A change window.  The first greeter is no change."""
        if new.key == GREETER and old is not None:
            hour = dt.datetime.now(dt.UTC).hour
            if not self.settings.may_swap(hour):
                window = f"from {self.settings.swaps_from} to {self.settings.swaps_until} h UTC"
                yield Objection(f"greeters are swapped {window}, and it is {hour} h")

    @hookimpl
    async def oneiric_check_bound(self, operation: Operation, new: Generation) -> AsyncIterator[Objection]:
        """A canary: the greeter is in use by now; if it cannot greet, the one before it comes back."""
        canary = self.settings.canary
        if new.key == GREETER and canary and canary not in (said := await new.instance.greet(canary)):
            yield Objection(f"the canary was greeted with {said!r}")

    # The runtime itself -------------------------------------------------------------------------------------------

    @hookimpl
    def oneiric_started(self, host: Host) -> None:
        """Begin with the background greetings; the runtime owns their task, and ends it."""
        if self.settings.guests:
            host.spawn(self._greet_guests(host), name="hello.guests")

    async def _greet_guests(self, host: Host) -> None:
        for guest in self.settings.guests:
            async with host.use(*GREETER) as greeter:
                self.log.info("%s", await greeter.greet(guest))
            self.greeted += 1
            await asyncio.sleep(self.settings.every)

    @hookimpl
    def oneiric_stopping(self) -> None:
        """Say goodbye, if there was anybody."""
        if self.greeted:
            self.log.info("goodbye, after %s greetings", self.greeted)
