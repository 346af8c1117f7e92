"""A workshop: it declares candidates, keeps everything that their factories make, and knows what became of it."""

import inspect
from collections.abc import Callable

import attrs
import pytest
from oneiric_hookspecs import Candidate, Key, hookimpl

from oneiric import assemble


class Thing:
    """What the factories of a workshop make."""

    def __init__(self, key, provider, settings=None, needs=None):
        self.key, self.provider, self.settings, self.needs = key, provider, settings, dict(needs or {})
        self.closed = 0
        self.misused = 0
        self.well = True

    def __repr__(self):
        return f"<{self.key} of {self.provider}{' closed' if self.closed else ''}>"

    def use(self):
        """Do what it is for; it is remembered if it was closed."""
        if self.closed:
            self.misused += 1
        return self.provider

    def health(self):
        return self.well

    async def aclose(self):
        self.closed += 1


@attrs.frozen
class Plain:
    """Settings of candidates that have none of their own."""

    size: int = 1


class Declares:
    """A plugin that declares candidates."""

    def __init__(self, candidates):
        self._candidates = tuple(candidates)

    @hookimpl
    def oneiric_candidates(self):
        return self._candidates


class Workshop:
    """Candidates of ``adapter`` keys, and all that was made of them."""

    thing = Thing

    def __init__(self):
        self.made: list[Thing] = []

    def candidate(
        self, name, provider, *, needs=(), before: Callable | None = None, thing=Thing, sync=False, **more
    ):
        """A candidate of ``adapter:NAME``; *before*, sync or async, is called by its factory with its number."""
        key = Key.of("adapter", name)

        def keep(given):
            settings = given.pop("settings", None)
            made = thing(key, provider, settings, given)
            self.made.append(made)
            return made

        async def create(**given):
            if before is not None:
                answer = before(len(self.of(provider)) + 1)
                if inspect.isawaitable(answer):
                    await answer
            return keep(given)

        def create_in_a_thread(**given):
            if before is not None:
                before(len(self.of(provider)) + 1)
            return keep(given)

        factory = create_in_a_thread if sync else create
        names = [need.keyword for need in needs] + (["settings"] if "settings_class" in more else [])
        parameters = [inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY) for each in names]
        factory.__signature__ = inspect.Signature(parameters)
        return Candidate(key, provider, factory, needs=tuple(needs), **more)

    def of(self, provider) -> list[Thing]:
        """What was made of *provider*, oldest first."""
        return [each for each in self.made if each.provider == provider]

    @property
    def open(self) -> list[Thing]:
        """What has not been closed."""
        return [each for each in self.made if not each.closed]

    def faults(self) -> list[str]:
        """What was not closed exactly once, or was used after it was closed."""
        return [
            f"{each!r} closed {each.closed} times, used {each.misused} times after that"
            for each in self.made
            if each.closed != 1 or each.misused
        ]

    def runtime(self, *candidates, settings=None, plugins=()):
        """A real runtime with *candidates*, declared by a plugin."""
        return assemble(settings or {}, plugins=[Declares(candidates), *plugins], environment=False)


@pytest.fixture
def shop() -> Workshop:
    return Workshop()
