"""Policies of the forms that hold on to something: what is declared, and what wraps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from oneiric_hookspecs import PluginError

from .faults import FAULTY, Faults, Misbehaved, mistyped, said
from .lint import where
from .records import Answer, Impl


def collect(
    impls: Sequence[Impl],
    arguments: tuple[Any, ...],
    faults: Faults,
    now: Callable[[], float],
    fits: Callable[[Any], bool],
    wanted: str,
) -> list[Answer]:
    """What every plugin declares, each drained inside its own guard; all or nothing for each plugin.

    A plugin that fails is failed until the same hook succeeds again, and declares nothing else meanwhile.
    """
    found: dict[str, list[Answer]] = {}
    broken = set()
    for impl in impls:
        record = impl.record
        if impl.plugin in broken or any(what != impl.hook for what in record.failing):
            continue
        begun = now()
        try:
            values = impl.ask(*arguments)
            if isinstance(values, (str, bytes)):
                raise mistyped(values, f"an iterable; each of its values is {wanted}")
            try:
                iterator = iter(values)
            except TypeError:
                raise mistyped(values, f"an iterable; each of its values is {wanted}") from None
            answers = []
            for value in iterator:
                if not fits(value):
                    raise mistyped(value, wanted)
                answers.append(Answer(impl.plugin, value))
            found.setdefault(impl.plugin, []).extend(answers)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # SystemExit, too: declaring is a part of loading, and nobody else is to suffer from it.
            broken.add(impl.plugin)
            found.pop(impl.plugin, None)
            fault = faults.note(impl, error)
            reason, cause = f"{impl.hook}: {said(fault.error)}", fault.error
            if fault.kind == "type":
                # Nothing of the plugin's was running when this was found: the place is its function.
                cause = PluginError(
                    reason,
                    plugin=record.name,
                    distribution=record.distribution,
                    where=where(impl.function),
                    hint=f"yield {wanted}, or return a list of such",
                )
            record.fail(impl.hook, reason, cause)
        finally:
            record.spent(impl.hook, now() - begun)
    for impl in impls:
        if impl.plugin in found:
            impl.record.recover(impl.hook)
    return [answer for answers in found.values() for answer in answers]


class Around(AbstractContextManager[None]):
    """The context managers of every plugin around what happens inside.

    Entered in order, left in reverse.  One that cannot be entered is left out.  None of them can fail what they
    wrap, swallow its exception, or put another in its place.
    """

    def __init__(
        self, impls: Sequence[Impl], arguments: tuple[Any, ...], faults: Faults, now: Callable[[], float]
    ) -> None:
        self._impls, self._arguments, self._faults, self._now = impls, arguments, faults, now
        self._entered: list[tuple[Impl, AbstractContextManager[Any]]] = []

    def __enter__(self) -> None:
        try:
            for impl in self._impls:
                begun = self._now()
                try:
                    manager = impl.ask(*self._arguments)
                    if manager is None:
                        continue  # nothing to go around with this time
                    if not isinstance(manager, AbstractContextManager):
                        raise mistyped(manager, "a context manager")
                    manager.__enter__()
                    self._entered.append((impl, manager))
                except FAULTY as error:
                    self._faults.note(impl, error)
                impl.record.spent(impl.hook, self._now() - begun)
        except BaseException:
            # KeyboardInterrupt and SystemExit: those inside are left as if the body had raised it.
            self.__exit__(*sys.exc_info())
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stop: BaseException | None = None
        while self._entered:
            impl, manager = self._entered.pop()
            begun = self._now()
            try:
                if manager.__exit__(kind, error, traceback) and error is not None:
                    raise Misbehaved("type", TypeError(f"would have swallowed {type(error).__name__}"))
            except FAULTY as fault:
                if fault is not error:  # raising again what it was given is no fault
                    self._faults.note(impl, fault)
            except BaseException as interrupt:
                stop = interrupt if interrupt is not error else stop
            finally:
                impl.record.spent(impl.hook, self._now() - begun)
        if stop is not None:
            raise stop
