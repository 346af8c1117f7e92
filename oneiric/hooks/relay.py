"""A hook, ready to be called."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, overload

from oneiric_hookspecs import Form, Spec

from .around import Around, collect
from .dispatch import Compiled, timed
from .faults import Fault, Faults
from .records import Answer, Impl
from .waiting import Waiting

P = ParamSpec("P")
R = TypeVar("R")


class Hook(Generic[P, R]):
    """A hook, ready to be called: ``hook(*arguments)``, awaited if its specification is ``async def``.

    What a call does is the policy of the specification's form.

    Attributes:
        spec: The specification.
        impls: The implementations, in the order in which they are asked; ``if hook.impls:`` is a cheap guard.
    """

    # Every hook is the one instance of a class of its own (see `make`), whose __call__ is the compiled caller:
    # so Python calls it without a look at *args and **kwargs.
    __slots__ = ("_compiled", "_detailed", "_faults", "_lock", "_now", "_waiting", "impls", "spec")

    spec: Spec[P, R, Any]
    impls: tuple[Impl, ...]
    _compiled: Compiled
    _detailed: Callable[..., Any] | None
    _faults: Faults
    _lock: threading.Lock
    _now: Callable[[], float]
    _waiting: Waiting

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call every implementation that the form's policy asks."""
        with self._lock:  # or a plan made meanwhile would be overwritten by the one before it
            call = self._caller(provenance=False)
            type(self).__call__ = call  # type: ignore[method-assign]
        result: R = call(self, *args, **kwargs)
        return result

    @overload
    def answers(  # type: ignore[overload-overlap]  # a result of type Any fits both
        self: Hook[P, Coroutine[Any, Any, Any]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, list[Answer]]: ...
    @overload
    def answers(self, *args: P.args, **kwargs: P.kwargs) -> list[Answer]: ...
    def answers(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, and say who answered: one ``Answer`` a value declared, one or none that was decided or performed,
        one an objection.

        Raises:
            TypeError: It observes or wraps: nobody answers.
        """
        form = self.spec.form
        if form in (Form.OBSERVES, Form.WRAPS):
            raise TypeError(f"{self.spec.name} {form.value}, so nobody answers it")
        if self.spec.is_async:
            return self._told_later(args, kwargs)
        return self._told(self._ask(args, kwargs))

    @overload
    def notify(
        self: Hook[P, Coroutine[Any, Any, None]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, list[Fault]]: ...
    @overload
    def notify(self: Hook[P, None], *args: P.args, **kwargs: P.kwargs) -> list[Fault]: ...
    def notify(self, *args: Any, **kwargs: Any) -> Any:
        """Call observers, and give what went wrong.

        Raises:
            TypeError: It does not observe.
        """
        self._must(Form.OBSERVES, "notify")
        return self._ask(args, kwargs)

    def decide(self, *args: P.args, **kwargs: P.kwargs) -> tuple[Answer | None, list[Fault]]:
        """Ask deciders, and give the answer with its plugin, and what went wrong before it.

        Raises:
            OneiricError: A plugin's answer is a refusal.
            TypeError: It does not decide.
        """
        self._must(Form.DECIDES, "decide")
        found: tuple[Answer | None, list[Fault]] = self._ask(args, kwargs)
        return found

    def __repr__(self) -> str:
        return f"<hook {self.spec.name}: {self.spec.form.value}, implemented by {len(self.impls)}>"

    # --- what the manager uses -----------------------------------------------------------------------------------

    @staticmethod
    def make(
        spec: Spec[Any, Any, Any], faults: Faults, now: Callable[[], float], limit: float
    ) -> Hook[Any, Any]:
        """A hook without implementations."""
        cls = type(f"Hook_{spec.name}", (Hook,), {"__slots__": (), "__doc__": spec.function.__doc__})
        hook: Hook[Any, Any] = cls()
        hook.spec, hook._faults, hook._now, hook._lock = spec, faults, now, threading.Lock()
        compiled = hook._compiled = Compiled(spec)
        hook._waiting = Waiting(faults, now, limit, compiled.check, compiled.wanted)
        hook.plan(())
        return hook

    def plan(self, impls: Sequence[Impl]) -> None:
        """Ask *impls* from now on; calls that have begun go on with those they began with."""
        with self._lock:
            self.impls = tuple(impls)
            # Compiled by the first call: most hooks of most processes are never called.
            self._detailed = None
            type(self).__call__ = Hook.__call__  # type: ignore[method-assign]

    def _ask(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self._lock:
            if self._detailed is None:
                self._detailed = self._caller(provenance=True)
            detailed = self._detailed
        return detailed(self, *args, **kwargs)

    def _caller(self, *, provenance: bool) -> Callable[..., Any]:
        impls = self.impls
        plain = tuple((impl, impl.ask) for impl in impls)
        measured = tuple((impl, timed(impl, self._now)) for impl in impls)
        faults, now = self._faults, self._now
        run = self._runner(impls, provenance=provenance)
        return self._compiled.caller(
            plain, measured, faults.note, faults.strike, now, run, empty=not impls, provenance=provenance
        )

    def _runner(
        self, impls: tuple[Impl, ...], *, provenance: bool
    ) -> Callable[[tuple[Any, ...]], Any] | None:
        """The policies that are written out; None for those that are compiled."""
        form, faults, now = self.spec.form, self._faults, self._now
        waiting, check, wanted = self._waiting, self._compiled.check, self._compiled.wanted
        if form is Form.WRAPS:
            return lambda arguments: Around(impls, arguments, faults, now)
        if form is Form.DECLARES and provenance:
            return lambda arguments: collect(impls, arguments, faults, now, check, wanted)
        if form is Form.DECLARES:
            return lambda arguments: [
                each.value for each in collect(impls, arguments, faults, now, check, wanted)
            ]
        if not self.spec.is_async:
            return None
        if form is Form.JUDGES:
            return lambda arguments: waiting.judge(impls, arguments)
        if form is Form.OBSERVES and provenance:
            return lambda arguments: waiting.observe(impls, arguments)
        if form is Form.OBSERVES:
            return lambda arguments: waiting.tell(impls, arguments)
        if provenance:
            return lambda arguments: waiting.perform(impls, arguments)
        return lambda arguments: waiting.result(impls, arguments)

    def _told(self, given: Any) -> list[Answer]:
        if self.spec.form is Form.DECLARES:
            return list(given)
        if self.spec.form is Form.JUDGES:
            return [Answer(objection.plugin, objection) for objection in given]
        return [] if given[0] is None else [given[0]]

    async def _told_later(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Answer]:
        return self._told(await self._ask(args, kwargs))

    def _must(self, form: Form, method: str) -> None:
        if self.spec.form is not form:
            raise TypeError(
                f"{self.spec.name} {self.spec.form.value}; {method} is for hooks that {_INFINITIVE[form]}"
            )


_INFINITIVE = {Form.OBSERVES: "observe", Form.DECIDES: "decide"}
