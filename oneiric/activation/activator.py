"""From a candidate to a generation that is up: checked, loaded, configured, made and started."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from oneiric_hookspecs import (
    ActivationTimeout,
    Candidate,
    DependencyFailed,
    FactoryError,
    Key,
    OneiricError,
    Permanent,
    Secret,
    SecretError,
    SettingsError,
    Source,
    Vetoed,
    specs,
)

from oneiric.hooks import HookManager
from oneiric.secrets import Secrets
from oneiric.settings import Settings
from oneiric.tasks import Tasks

from .closing import Closing
from .fetching import DOMAIN
from .generation import Fingerprint, Generation, fingerprint_of
from .holding import Owners
from .hosting import Hosting
from .operation import Operation
from .slot import Slot
from .threads import Threads


class Activator:
    """Brings generations up, and ends them.

    Args:
        tasks: Where products live.
        hooks: Who loads and builds.
        contract_of: What an instance of a domain and name has to satisfy.
        secrets: Where those come from that settings refer to.
        at_once: How many products may be made at one time.
    """

    def __init__(
        self,
        tasks: Tasks,
        threads: Threads,
        hooks: HookManager,
        settings: Settings,
        contract_of: Callable[[str, str], type | None],
        secrets: Secrets,
        *,
        at_once: int = 16,
    ) -> None:
        self.owners = Owners(tasks.loop)
        self.closing = Closing(tasks, threads, self.owners)
        self._settings, self._secrets = settings, secrets
        self._written: dict[tuple[Key, str], str] = {}
        self._tasks, self._threads, self._hooks = tasks, threads, hooks
        self._contract_of = contract_of
        self._hosting = Hosting(threads, self.owners, self.closing.late, self.closing.forlorn)
        self._room = asyncio.Semaphore(at_once)
        self._check = hooks[specs.oneiric_check_candidate]
        self._load = hooks[specs.oneiric_load]
        self._activate = hooks[specs.oneiric_activate]

    @property
    def settings(self) -> Settings:
        """What generations are built from now."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = settings
        self._written = {}

    def fingerprint(self, candidate: Candidate, source: Source) -> Fingerprint:
        """What *candidate* would be built from now; equal means there is nothing to do."""
        what = (candidate.key, candidate.provider)
        written = self._written.get(what)
        if written is None:
            written = self._written[what] = self.settings.written(*what)
        return fingerprint_of(candidate, source, written)

    def new(
        self,
        slot: Slot,
        candidate: Candidate,
        source: Source,
        needs: list[Any],
        *,
        like: Generation | None = None,
    ) -> Generation:
        """A generation that owns *needs* and is not up yet; from here on it has to be retired.

        It is to be built from what is written now; or *like* another one, from what that was built from.
        """
        loop = self._tasks.loop
        limits = self.settings.lifecycle_of(slot.key)
        generation = Generation(
            slot.key,
            next(slot.numbers),
            candidate,
            source,
            self.fingerprint(candidate, source) if like is None else like.fingerprint,
            limits,
            loop,
            loop.time,
        )
        for need in needs:
            need.belong_to(generation)
        generation.needs = needs
        slot.alive.append(generation)
        return generation

    async def load(
        self, operation: Operation, generation: Generation, *, like: Generation | None = None
    ) -> Callable[..., Any]:
        """Check the candidate, load its factory, structure its settings.  Nothing has been built yet.

        Raises:
            Vetoed: A plugin objects.
            Permanent: The factory cannot be had, or the settings do not fit.
            DependencyFailed: A secret cannot be had.
            ActivationTimeout: Importing takes too long, or fetching the secrets.
        """
        candidate = generation.candidate
        if self._check.impls:
            objections = await self._check(operation.view(), candidate)
            if objections:
                raise Vetoed(objections[0].reason, plugin=objections[0].plugin, objections=objections)
        if like is not None:
            generation.settings = like.settings
        else:
            generation.settings = await self.settings_of(
                operation, candidate, generation.limits.create_timeout
            )
        try:
            if isinstance(candidate.factory, str):
                # Importing may take long, and may hang.
                factory = await self._in_time(
                    self._threads.run(lambda: self._load(candidate), name=f"load-{generation.key}"),
                    operation.limit(generation.limits.create_timeout),
                    f"loading {candidate.factory!r}",
                )
            else:
                factory = self._load(candidate)
        except OneiricError:
            raise
        except Exception as error:
            raise Permanent(f"loading its factory failed: {type(error).__name__}: {error}") from error
        if factory is None:
            raise Permanent(
                f"nobody loads the factory {candidate.factory!r}", hint="oneiric hooks oneiric_load"
            )
        return factory  # type: ignore[no-any-return]

    async def settings_of(self, operation: Operation, candidate: Candidate, seconds: float) -> Any:
        """The settings of *candidate* as they are written now, with the secrets they refer to.

        Raises:
            Permanent: They do not fit.
            DependencyFailed: A secret cannot be had; it may be there at another time.
            ActivationTimeout: Fetching the secrets takes more than *seconds*.
        """
        settings = self._settings
        names: tuple[str, ...] = ()
        try:
            names = settings.references(candidate)
            if not names:
                return settings.of(candidate)
            return settings.of(candidate, await self._fetched(operation, names, seconds))
        except SettingsError as error:
            more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
            # What was fetched may be another one the next time.
            kind = FactoryError if names else Permanent
            raise kind(f"its settings do not fit: {error.problems[0]}{more}") from error

    async def _fetched(
        self, operation: Operation, names: tuple[str, ...], seconds: float
    ) -> dict[str, Secret]:
        if operation.want.reload:
            for name in names:
                self._secrets.rotate(name)
        getting = asyncio.gather(*map(self._secrets.get, names), return_exceptions=True)
        found = await self._in_time(getting, operation.limit(seconds), "fetching its secrets")
        for name, each in zip(names, found, strict=True):
            if isinstance(each, SecretError):
                at = f" ({each.where})" if each.where else ""
                hint = f"its source is {each.source}{at}" if each.source else each.hint
                path = [operation.key, Key(DOMAIN, name)]
                raise DependencyFailed(each.reason, path=path, hint=hint)
            if isinstance(each, BaseException):
                raise each
        return dict(zip(names, found, strict=True))

    async def start(self, operation: Operation, generation: Generation, factory: Callable[..., Any]) -> None:
        """Make the product and start it.

        Raises:
            FactoryError: The factory, or starting its product, failed.
            ActivationTimeout: It took too long; what it may still produce is disposed of.
        """
        needs = {need.keyword: need.value for need in generation.needs}
        try:
            build = self._activate(
                operation.view(), generation.candidate, factory, generation.settings, needs
            )
        except OneiricError:
            raise
        except Exception as error:
            raise FactoryError(f"{type(error).__name__}: {error}") from error
        if build is None:
            raise FactoryError("no plugin builds it", hint="oneiric hooks oneiric_activate")
        key = generation.key
        # Inside another operation's factory there is always room: that one would wait for this for ever.
        async with contextlib.nullcontext() if operation.parent is not None else self._room:
            generation.host = self._tasks.start(
                self._hosting.live(generation, build, self._contract_of(*key)),
                f"host {key}#{generation.number}",
                copy_context(),
                generation.never_began,
            )
            limit = operation.limit(generation.limits.create_timeout)
            timer = self._tasks.loop.call_later(limit, generation.took_too_long, limit)
            try:
                await generation.started
            finally:
                timer.cancel()

    async def _in_time(self, waiting: Any, seconds: float, doing: str) -> Any:
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                return await waiting
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise ActivationTimeout(f"{doing} took longer than {seconds:g} s") from error

    def retire(
        self, slot: Slot, generation: Generation, told: Callable[[Any], None], *, bounded: bool = False
    ) -> None:
        """End *generation*; ``told`` hears how.  Returns at once."""

        def gone(retirement: Any) -> None:
            with contextlib.suppress(ValueError):
                slot.alive.remove(generation)
            if generation.made or retirement.ending != "closed":
                told(retirement)

        self.closing.retire(generation, gone, bounded=bounded)
