"""The code that the entries of the sample stream name: a factory of each domain, and three actions."""

from __future__ import annotations

import asyncio
import re
import textwrap
from typing import Any

import attrs
from oneiric_hookspecs import Action, Artifact, Envelope, RunContext


@attrs.frozen
class PricesSettings:
    currency: str = "EUR"


class Prices:
    """An adapter: what things cost."""

    def __init__(self, settings: PricesSettings) -> None:
        self.currency = settings.currency

    async def of(self, article: str) -> str:
        return f"{len(article)} {self.currency}"


class Clock:
    """A service: it counts while it runs."""

    def __init__(self) -> None:
        self.ticks = 0

    async def run(self) -> None:
        while True:
            self.ticks += 1
            await asyncio.sleep(1)

    def status(self) -> dict[str, int]:
        return {"ticks": self.ticks}


class Score:
    """A task: how many words of a text are in the list that it was published with."""

    def __init__(self, artifact: Artifact) -> None:
        with artifact.open() as file:
            self.words = frozenset(file.read().decode().split())

    async def run(self, payload: Any, context: RunContext) -> int:
        return sum(word in self.words for word in str(payload).split())


class Note:
    """A handler of events: it remembers what was paid."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def handle(self, envelope: Envelope) -> int:
        self.seen.append(envelope.payload)
        return len(self.seen)


@attrs.frozen
class Text:
    text: str


@attrs.frozen
class SlugSettings:
    separator: str = "-"


@attrs.frozen
class WrapSettings:
    width: int = 20


async def slug(request: Text, settings: SlugSettings) -> Text:
    return Text(settings.separator.join(re.findall(r"[a-z0-9]+", request.text.lower())))


async def count(request: Text, settings: None) -> dict[str, int]:
    return {"words": len(request.text.split()), "characters": len(request.text)}


async def wrap(request: Text, settings: WrapSettings) -> dict[str, list[str]]:
    return {"lines": textwrap.wrap(request.text, settings.width)}


SLUG = Action(
    "text.slug", "what may stand in an address", takes=Text, run=slug, returns=Text, settings=SlugSettings
)
COUNT = Action("text.count", "how long a text is", takes=Text, run=count)
WRAP = Action("text.wrap", "a text in lines", takes=Text, run=wrap, settings=WrapSettings)
