"""Secrets: fetched from their sources when they are wanted, kept for a while, and shown to nobody."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Protocol

import attrs
from oneiric_hookspecs import (
    Clock,
    OneiricError,
    Reentrant,
    RuntimeClosing,
    Secret,
    SecretError,
    SecretSource,
    a_few,
    nearest,
    specs,
)
from oneiric_hookspecs.secrets import MASK

from .hooks import HookManager
from .settings import Settings
from .settings.plain import path_text
from .settings.references import Reading, masked, split

#: Calls of one source that may hang; more are refused, so that it does not take all of the runtime's threads.
HUNG = 2
#: Texts that are remembered to be masked, the latest.
REMEMBERED = 1000


class Flight(Protocol):
    """The fetching of one secret, under way."""

    task: asyncio.Task[Any] | None


class Carrier(Protocol):
    """What a started runtime brings: tasks and threads that are its own, and who waits for whom."""

    def check(self) -> None:
        """Raises: WrongThread, unless this is the loop of the runtime."""

    def start(self, name: str, work: Coroutine[Any, Any, Secret]) -> Flight:
        """Begin to fetch the secret *name*."""

    def ask(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin to ask its source, in a task that may be given up."""

    def waiting(self, flight: Any) -> AbstractContextManager[None]:
        """In this block somebody waits for *flight*.  Raises: Reentrant, if that waits for him."""

    async def in_thread(self, call: Callable[[], Any], name: str, hung: Hung) -> Any:
        """Call *call* in a thread."""


@attrs.define(eq=False)
class Hung:
    """One call in a thread; it hangs if it was given up and is not back.

    Args:
        back: Called when it comes back after it was given up.
    """

    back: Callable[[Hung], None]
    threaded: int = 0


@attrs.frozen
class Known:
    """What may be told of a secret.

    Args:
        name: Its name.
        source: Where it comes from; only the scheme, where nobody declares that.
        plugin: Who declares its source; None where nobody does, or several do.
        where: Where it is declared; None for settings given in code.
        used_by: Paths in the settings that refer to it.
    """

    name: str
    source: str
    plugin: str | None
    where: str | None
    used_by: tuple[str, ...]


@attrs.frozen
class _Declared:
    source: SecretSource
    plugin: str
    built_in: bool


@attrs.frozen(repr=False)
class _Answer:
    """What a source gave, or raised; it does not show itself, as asyncio shows the results of tasks where it debugs."""

    value: Any = None
    error: BaseException | None = None


@attrs.frozen
class _Kept:
    secret: Secret
    until: float


class Secrets:
    """The secrets of one runtime: ``await runtime.secrets.get("db")``.

    Args:
        hooks: Who declares sources.
        clock: What says how long one has been kept.
    """

    def __init__(self, hooks: HookManager, clock: Clock) -> None:
        self._hooks, self._clock = hooks, clock
        self._settings = Settings()
        self._sources: dict[str, list[_Declared]] = {}
        self._kept: dict[str, _Kept] = {}
        self._flights: dict[str, Flight] = {}
        self._turns: dict[str, int] = {}  # how often each was to be fetched anew
        self._hung: dict[str, set[Hung]] = {}
        self._told: dict[str, None] = {}
        self._readings: list[Reading] = []
        self._seen: deque[list[Secret]] = deque(maxlen=8)
        self._written: tuple[Secret, ...] = ()
        self._lock = threading.RLock()
        self._carrier: Carrier | None = None

    def __repr__(self) -> str:
        return f"<secrets: {a_few(self._settings.secrets)}>"

    # --- what there is -----------------------------------------------------------------------------------------

    def learn(self) -> None:
        """Ask the plugins for their sources."""
        sources: dict[str, list[_Declared]] = {}
        for answer in self._hooks[specs.oneiric_secret_sources].answers():
            built_in = self._hooks.plugin(answer.plugin).origin == "builtin"
            source: SecretSource = answer.value
            sources.setdefault(source.scheme, []).append(_Declared(source, answer.plugin, built_in))
        self._sources = sources

    @property
    def schemes(self) -> dict[str, tuple[str, ...]]:
        """The plugins that declare each scheme."""
        return {scheme: tuple(each.plugin for each in by) for scheme, by in self._sources.items()}

    def adopt(self, settings: Settings) -> None:
        """Take the names from *settings*; one that comes from elsewhere now is fetched anew."""
        with self._lock:
            before, self._settings = self._settings.secrets, settings
            self._written = settings.texts()
            for name, source in before.items():
                if settings.secrets.get(name) != source:
                    self._forget(name)

    def _forget(self, name: str) -> bool:
        """Fetch it anew; what is under way may bring the old one: nobody joins it any more, and it is not kept."""
        self._flights.pop(name, None)
        self._turns[name] = self._turns.get(name, 0) + 1
        return self._kept.pop(name, None) is not None

    def known(self) -> list[Known]:
        """What may be told of each secret, by name; nothing is fetched."""
        settings = self._settings
        used = settings.uses()
        found = []
        for name, source in sorted(settings.secrets.items()):
            scheme, _ = split(source)
            by = self._sources.get(scheme, [])
            shown = source if by else f"{scheme}:{MASK}"
            plugin = by[0].plugin if len(by) == 1 else None
            paths = tuple(path_text(path) for path in used[name])
            found.append(Known(name, shown, plugin, settings.where("secrets", name), paths))
        return found

    def masked(self, text: str) -> str:
        """*text* with ``***`` in the place of every secret that was handed out here, or is written in the settings.

        The last line of defence, for texts that somebody else has made.  Those shorter than four characters stay.
        """
        with self._lock:
            texts = [*self._told, *(each.reveal() for each in self._written)]
            texts += [each.reveal() for how in self._readings for each in how.seen]
            texts += [each.reveal() for seen in self._seen for each in seen]
        return masked(text, texts) if texts else text

    # --- having one --------------------------------------------------------------------------------------------

    async def get(self, name: str) -> Secret:
        """The secret of that name in ``[secrets]``.

        All who want it at one time wait for one call of its source, which goes on when one of them, or all, are
        cancelled.  What was fetched is used for ``[lifecycle] secret_ttl`` seconds; that one cannot be had is not
        remembered.

        Raises:
            SecretError: It cannot be had.
            Reentrant: Whoever provides it wants it for this.
            RuntimeClosing: The runtime does not run.
        """
        self._source(name)
        carrier = self._carrier
        if carrier is None:
            raise RuntimeClosing("secrets: the runtime is not running", hint="async with runtime: ...")
        carrier.check()
        with self._lock:
            kept = self._kept.get(name)
        if kept is not None and self._clock.time() < kept.until:
            return kept.secret
        with self._lock:
            flight = self._flights.get(name)
            if flight is None:
                flight = carrier.start(name, self._fetch(name, carrier, self._turns.get(name, 0)))
                if (
                    flight.task is not None and not flight.task.done()
                ):  # it may run at once, as eager tasks do
                    self._flights[name] = flight
        task = flight.task
        assert task is not None
        with carrier.waiting(flight):
            await asyncio.wait({task})
        if task.cancelled():
            raise RuntimeClosing("secrets: the runtime is closing")
        error = task.exception()
        if error is not None:
            raise error.twin() if isinstance(error, OneiricError) else error
        found: Secret = task.result()
        return found

    def rotate(self, name: str | None = None) -> tuple[str, ...]:
        """Forget what was fetched, of one secret or of all; it is fetched anew when it is wanted again.

        What is bound goes on with what it was built from: ``swap(..., reload=True)`` builds it anew.

        Returns:
            The names of those that had been fetched.
        Raises:
            SecretError: There is none of that name.
        """
        if name is not None:
            self._written_source(name)
        with self._lock:
            names = list(self._settings.secrets) if name is None else [name]
            return tuple([each for each in names if self._forget(each)])

    def fill(self, how: Reading) -> None:
        """Fetch at once what a plugin's table refers to: it is made before there is a loop that could wait.

        Raises:
            SecretError: One cannot be had, or not at once.
        """
        if how not in self._readings:
            self._readings.append(how)
        how.fetched = {name: self._at_once(name) for name in dict.fromkeys(how.names)}

    def noted(self) -> list[Secret]:
        """A list for the secrets of settings that are looked at: they are masked, too; those of the last few are."""
        self._seen.append([])
        return self._seen[-1]

    def carry(self, carrier: Carrier | None) -> None:
        """Fetch by means of *carrier* from now on; None ends what is under way."""
        self._carrier = carrier
        if carrier is None:
            flights, self._flights = self._flights, {}
            for flight in flights.values():
                if flight.task is not None:
                    flight.task.cancel()

    # --- asking the sources ------------------------------------------------------------------------------------

    def _written_source(self, name: str) -> str:
        sources = self._settings.secrets
        if name not in sources:
            near = nearest(name, sources)
            there = f"there are: {a_few(sources)}" if sources else f'add it: [secrets] {name} = "env:NAME"'
            raise SecretError(
                f"there is no {name!r} in [secrets]", hint=f"did you mean {near}?" if near else there
            )
        return sources[name]

    def _source(self, name: str) -> tuple[_Declared, str]:
        scheme, rest = split(self._written_source(name))
        by = self._sources.get(scheme, [])
        if len(by) == 1:
            return by[0], rest
        if by:
            names = " and ".join(sorted(each.plugin for each in by))
            raise self._refusal(name, f"the plugins {names} both declare a source {scheme!r}")
        raise self._refusal(name, f"nobody declares a source {scheme!r}")

    def _refusal(self, name: str, reason: str, hint: str | None = None) -> SecretError:
        source = self._settings.secrets.get(name, "")  # it may be gone since it was asked for
        scheme, _ = split(source)
        shown = source if scheme in self._sources else f"{scheme}:{MASK}"
        where = self._settings.where("secrets", name)
        return SecretError(reason, name=name, source=shown, where=where, hint=hint)

    async def _fetch(self, name: str, carrier: Carrier, turn: int) -> Secret:
        """Ask the source of *name*, and keep what it gives, unless it is to be fetched anew by then."""
        settings = self._settings
        try:
            declared, rest = self._source(name)
            hung = self._hung.setdefault(declared.source.scheme, set())
            if len(hung) >= HUNG:
                raise self._refusal(name, f"{len(hung)} earlier calls of its source never came back")
            asking = carrier.ask(name, _asked(declared.source, rest, name, carrier, hung))
            seconds = settings.lifecycle.secret_timeout
            try:
                await asyncio.wait({asking}, timeout=seconds)
            finally:
                ended = asking.done()
                if not ended:
                    asking.cancel()
            if not ended:
                raise self._refusal(name, f"its source took longer than {seconds:g} s")
            if asking.cancelled():
                raise self._refusal(name, "its source cancelled itself")
            secret = self._checked(name, asking.result(), declared, rest)
            with self._lock:
                ttl = settings.lifecycle.secret_ttl
                if ttl and self._turns.get(name, 0) == turn:
                    self._kept[name] = _Kept(secret, self._clock.time() + ttl)
            return secret
        finally:
            if self._turns.get(name, 0) == turn:
                self._flights.pop(name, None)

    def _checked(self, name: str, answer: _Answer, declared: _Declared, rest: str) -> Secret:
        value = answer.value
        if answer.error is not None:
            raise self._failed(name, declared, answer.error)
        if value is None:
            raise self._refusal(name, f"{declared.source.scheme} has no {rest!r}")
        if not isinstance(value, (str, Secret)):
            raise self._refusal(name, f"its source gave a {type(value).__name__}, not a text")
        secret = Secret(value)
        with self._lock:
            self._told.pop(secret.reveal(), None)
            self._told[secret.reveal()] = None
            while len(self._told) > REMEMBERED:
                del self._told[next(iter(self._told))]
        return secret

    def _failed(self, name: str, declared: _Declared, error: BaseException) -> SecretError:
        """What may be told of *error*: of one of ours what it says; of others not, as it may be what was read."""
        if isinstance(error, SecretError):
            return self._refusal(name, self.masked(error.reason), error.hint)
        if isinstance(error, OneiricError):
            first, *_ = str(error).splitlines() or [type(error).__name__]
            circle = (
                "what provides it cannot be built from it" if isinstance(error, Reentrant) else error.hint
            )
            return self._refusal(name, self.masked(first), circle)
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = "" if trace is None else f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"
        return self._refusal(name, f"the plugin {declared.plugin} raised {type(error).__name__}{place}")

    def _at_once(self, name: str) -> Secret:
        self.learn()
        declared, rest = self._source(name)
        if not declared.built_in or _is_async(declared.source.get):
            raise self._refusal(
                name,
                "the settings of a plugin are read before anything runs",
                "in [plugins.settings] only what env: and file: give can be had",
            )
        return self._checked(name, _called(declared.source.get, rest), declared, rest)


def _called(get: Callable[[str], Any], rest: str) -> _Answer:
    try:
        return _Answer(get(rest))
    except Exception as error:
        return _Answer(error=error)


async def _asked(source: SecretSource, rest: str, name: str, carrier: Carrier, hanging: set[Hung]) -> _Answer:
    """What *source* gives, or raises: not raised here, since whoever logs it would log its text."""
    if _is_async(source.get):
        answer = _called(source.get, rest)
    else:
        hung = Hung(hanging.discard)
        call = functools.partial(_called, source.get, rest)
        try:
            answer = await carrier.in_thread(call, f"secret-{name}", hung)
        except asyncio.CancelledError:
            if hung.threaded:
                hanging.add(hung)
            raise
        except Exception as error:
            return _Answer(error=error)
    if not inspect.isawaitable(answer.value):
        return answer
    try:
        return _Answer(await answer.value)
    except Exception as error:
        return _Answer(error=error)


def _is_async(call: Callable[..., Any]) -> bool:
    while isinstance(call, functools.partial):
        call = call.func
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004 - its colour is asked for
