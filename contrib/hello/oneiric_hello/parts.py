"""What the kit declares: an adapter, a service, and the values of an action."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import attrs
from oneiric_hookspecs import Candidate, Health, Key, Need

GREETER = Key.of("adapter", "greeter")
RECEPTION = Key.of("service", "reception")


@runtime_checkable
class Greeter(Protocol):
    """What fills ``adapter:greeter``."""

    async def greet(self, name: str) -> str:
        """A greeting of *name*, in which the name occurs."""


@attrs.frozen
class GreeterSettings:
    """``[adapters.settings.greeter.hello]``.

    Args:
        greeting: What is said, before the name.
        mark: What is said after it.
    """

    greeting: str = attrs.field(default="hello", validator=attrs.validators.min_len(1))
    mark: str = ""


class HelloGreeter:
    """A ``Greeter`` with one greeting for all.

    Args:
        settings: What it says.
    """

    def __init__(self, settings: GreeterSettings) -> None:
        self._settings = settings
        self._open = True

    async def greet(self, name: str) -> str:
        """The greeting, and the name."""
        if not self._open:
            raise RuntimeError("the greeter is closed")
        return f"{self._settings.greeting} {name}{self._settings.mark}"

    async def health(self) -> Health:
        """Ok while it is open."""
        return Health("ok", details={"greeting": self._settings.greeting}) if self._open else Health("failed")

    async def aclose(self) -> None:
        """Say no more; a second time does nothing."""
        self._open = False


async def create_greeter(settings: GreeterSettings) -> HelloGreeter:
    """A greeter; ``async``, so that it costs no thread."""
    return HelloGreeter(settings)


class Reception:
    """A service: it greets each guest once.

    Args:
        greeter: Whatever fills ``adapter:greeter``; when that is swapped, so is the reception.
    """

    def __init__(self, greeter: Greeter) -> None:
        self._greeter = greeter
        self._guests: set[str] = set()
        self._open = False

    async def start(self) -> None:
        """Open the door."""
        self._open = True

    async def stop(self) -> None:
        """Close it, and forget who was there."""
        self._open = False
        self._guests.clear()

    def status(self) -> dict[str, int]:
        """How many were there."""
        return {"guests": len(self._guests)}

    async def welcome(self, guest: str) -> str | None:
        """The greeting of a new guest; None for one who was greeted before."""
        if not self._open:
            raise RuntimeError("the reception is closed")
        if guest in self._guests:
            return None
        self._guests.add(guest)
        return await self._greeter.greet(guest)


async def create_reception(greeter: Greeter) -> Reception:
    """A reception without guests."""
    return Reception(greeter)


CANDIDATES = (
    Candidate(
        GREETER,
        "hello",
        create_greeter,
        settings_class=GreeterSettings,
        summary="greets everybody with the same words",
    ),
    Candidate(
        RECEPTION,
        "hello",
        create_reception,
        needs=(Need(GREETER),),
        summary="greets each guest once",
    ),
)


@attrs.frozen
class Greet:
    """What ``hello.greet`` takes: whom to greet."""

    name: str = ""


@attrs.frozen
class Greeting:
    """What it returns."""

    text: str


@attrs.frozen
class ActionSettings:
    """``[actions.settings."hello.greet"]``: what somebody without a name is called."""

    nobody: str = "stranger"
