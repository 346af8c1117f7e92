"""The plugin of the demo's project: it watches every cache, brings some bad ones, has a policy, and tells what happens.

``memory`` and ``disk`` are the built-in caches; this file only stands around them, and counts.
"""

import asyncio
import inspect
import time

import attrs
from oneiric_hookspecs import Build, Candidate, Key, Need, Objection, Selection, hookimpl

CACHE, GREETER = Key.of("adapter", "cache"), Key.of("service", "greeter")
RECALLED = {"0.9"}


@attrs.frozen
class Settings:
    """``[plugins.settings."demo_shop:Shop"]``."""

    language: str = "en"
    slow_ms: float = 20.0
    turns_bad_after: int = 40


@attrs.define
class Ledger:
    """What really happened to instances; the demo's verdict reads it."""

    made: int = 0
    closed: int = 0
    closed_twice: int = 0
    used_after_close: int = 0


class Watched:
    """Around a cache: its birth and end are counted, and nobody uses it after its end."""

    def __init__(self, inner, provider, ledger):
        self.inner, self.provider, self.ledger, self.ended = inner, provider, ledger, False
        ledger.made += 1

    def _in_use(self):
        if self.ended:
            self.ledger.used_after_close += 1
            raise RuntimeError(f"{self.provider} was used after it was closed")
        return self.inner

    async def get(self, name):
        return await self._in_use().get(name)

    async def set(self, name, value, ttl=None):
        await self._in_use().set(name, value, ttl)

    async def delete(self, name):
        return await self._in_use().delete(name)

    async def clear(self):
        await self._in_use().clear()

    async def health(self):
        return await self._in_use().health()

    async def aclose(self):
        self.ledger.closed_twice += self.ended
        self.ledger.closed += not self.ended
        self.ended = True
        await self.inner.aclose()


# --- caches that are not as they should be -------------------------------------------------------------------------


class Plain:
    """A cache in a dict, well so far."""

    def __init__(self, settings=None):
        self.kept, self.settings, self.calls = {}, settings, 0

    async def get(self, name):
        return self.kept.get(name)

    async def set(self, name, value, ttl=None):
        self.kept[name] = value

    async def delete(self, name):
        return self.kept.pop(name, None) is not None

    async def clear(self):
        self.kept.clear()

    async def health(self):
        return True

    async def aclose(self):
        self.kept.clear()


class Sick(Plain):
    async def health(self):
        return {"status": "failed", "reason": "the licence has expired"}


class Sluggish(Plain):
    async def get(self, name):
        await asyncio.sleep(0.03)
        return await super().get(name)


class TurnsBad(Plain):
    """Serves some calls, and then fails every one; its health is always fine."""

    async def get(self, name):
        self.calls += 1
        if self.calls > self.settings.turns_bad_after:
            raise ConnectionResetError("the server hung up")
        return await super().get(name)


class Sticky(Plain):
    async def aclose(self):
        raise OSError("the lock file is gone")


class Greeter:
    """A service that is built from a cache, and greets from it."""

    def __init__(self, cache, word, ledger):
        self.cache, self.word, self.ledger, self.built_from = cache, word, ledger, cache.provider
        ledger.made += 1

    async def start(self):
        self.open = True

    async def stop(self):
        self.open = False
        self.ledger.closed += 1

    async def greet(self, name):
        await self.cache.set(f"greeted-{name}", b"1")
        return f"{self.word}, {name}"


async def unreachable():
    raise ConnectionRefusedError("nobody listens on 127.0.0.1:6379")


# --- the plugin ----------------------------------------------------------------------------------------------------


class Shop:
    """One object in a runtime; its methods are the hooks."""

    Settings = Settings
    #: Those that may fail a call on their own account.
    BAD = frozenset({"turns-bad"})

    def __init__(self, context):
        self.settings, self.log, self.ledger = context.settings, context.log, Ledger()

    @hookimpl
    def oneiric_candidates(self):
        settings = self.settings
        # Below the built-in ones: nobody gets these without asking for them.
        yield Candidate(CACHE, "unreachable", unreachable, priority=-50)
        yield Candidate(CACHE, "sick", _async(Sick, settings), priority=-50)
        yield Candidate(CACHE, "recalled", "demo_never_imported:create", priority=-50, version="0.9")
        yield Candidate(CACHE, "sluggish", _async(Sluggish, settings), priority=-50, metadata={"canary": True})
        yield Candidate(CACHE, "turns-bad", _async(TurnsBad, settings), priority=-50)
        yield Candidate(CACHE, "sticky", _async(Sticky, settings), priority=-50)
        for provider, language, word in (("english", "en", "Hello"), ("latin", "la", "Salve")):
            yield Candidate(
                GREETER, provider, self._greeter(word), needs=[Need(CACHE)], metadata={"language": language}
            )

    def _greeter(self, word):
        async def create(cache):
            return Greeter(cache, word, self.ledger)

        return create

    # Who wins, and what is built.

    @hookimpl
    def oneiric_select(self, candidates):
        language = self.settings.language
        for candidate in candidates:
            if candidate.metadata.get("language") == language:
                return Selection(candidate.provider, reason=f"it speaks {language}")
        return None

    @hookimpl
    def oneiric_activate(self, candidate, factory, settings):
        if candidate.key != CACHE:
            return None

        async def create():
            inner = factory() if settings is None else factory(settings=settings)
            if inspect.isawaitable(inner):
                inner = await inner
            return Watched(inner, candidate.provider, self.ledger)

        return Build(create, mode="async")

    # What may not be.

    @hookimpl
    async def oneiric_check_candidate(self, candidate):
        if candidate.version in RECALLED:
            return [Objection(f"version {candidate.version} was recalled")]

    @hookimpl
    async def oneiric_check_swap(self, operation, old):
        if old is not None and operation.actor == "an intern":
            return [Objection("interns change nothing on Fridays")]

    @hookimpl
    async def oneiric_check_bound(self, new):
        if not new.candidate.metadata.get("canary"):
            return None
        began = time.perf_counter()
        await new.instance.get("canary")
        took = (time.perf_counter() - began) * 1000
        if took > self.settings.slow_ms:
            return [Objection(f"the canary took {took:.0f} ms, and may take {self.settings.slow_ms:.0f}")]

    # What has happened.

    @hookimpl
    def oneiric_started(self):
        self.log.info("started      the runtime takes operations")

    @hookimpl
    def oneiric_resolved(self, decision, previous):
        before = "nobody" if previous is None or previous.winner is None else previous.winner.provider
        now = "nobody" if decision.winner is None else decision.winner.provider
        why = str(decision.because) or str(decision.error).splitlines()[0]
        self.log.info("resolved     %s: %s wins now, %s did (%s)", decision.request.key, now, before, why)

    @hookimpl
    async def oneiric_activated(self, new):
        self.log.info("activated    %s: %s", new.key, new.candidate.provider)

    @hookimpl
    async def oneiric_swapped(self, operation, report):
        why = "" if operation.cause == "operator" else f", because of its {operation.cause}"
        took = sum(report.steps.values())
        self.log.info("swapped      %s: %s -> %s in %.1f ms%s", report.key, report.old, report.new, took, why)

    @hookimpl
    async def oneiric_rolled_back(self, new, old, reason):
        back = "nothing" if old is None else old.candidate.provider
        self.log.info("rolled back  %s: %s -> %s, %s", new.key, new.candidate.provider, back, reason)

    @hookimpl
    async def oneiric_failed(self, operation, error):
        self.log.info("failed       %s at step %s: %s", operation.key, operation.step, type(error).__name__)

    @hookimpl
    async def oneiric_retired(self, retirement):
        error = f": {retirement.error}" if retirement.error else ""
        self.log.info("retired      %s: %s %s%s", retirement.key, retirement.provider, retirement.ending, error)

    @hookimpl
    async def oneiric_stopping(self):
        self.log.info("stopping     the runtime closes what is left")


def _async(cls, settings):
    async def create():
        return cls(settings)

    return create
