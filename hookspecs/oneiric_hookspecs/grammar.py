"""The grammar of hooks: the form of a name tells how the hook is called.

=========  ==========================  ===============================================================
form       a name such as              policy
=========  ==========================  ===============================================================
declares   ``oneiric_candidates``      collect: every plugin, drained one by one, all or nothing each
decides    ``oneiric_resolve``         the first answer that is not None; sync and pure
performs   ``oneiric_activate``        the first that takes it; its outcome is final
judges     ``oneiric_check_swap``      veto: every plugin, and one objection decides; fails closed
observes   ``oneiric_swapped``         isolate: every plugin, bounded; faults are recorded
wraps      ``oneiric_around_x``        entered in order, left in reverse; can neither fail nor replace
=========  ==========================  ===============================================================

A spec is sync or async by being ``def`` or ``async def``.  The decorators belong to no project: an application
declares hooks of its own, with its own prefix, by the same six, and its plugins mark theirs with the same
``hookimpl``.  The prefix of a name tells a manager which of a plugin's functions are for it.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractContextManager
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

import attrs
import pluggy

from .errors import Objection

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
A = TypeVar("A")

#: Marks a function of a plugin as the implementation of the hook of its name.
hookimpl = pluggy.HookimplMarker("oneiric")


class Form(enum.Enum):
    """How a hook is called."""

    DECLARES = "declares"
    DECIDES = "decides"
    PERFORMS = "performs"
    JUDGES = "judges"
    OBSERVES = "observes"
    WRAPS = "wraps"


@attrs.frozen
class Deprecation:
    """Why not to implement a hook any more.

    Args:
        since: The version that deprecated it.
        gone_in: The version that removes it.
        instead: What replaces it.
    """

    since: str
    gone_in: str
    instead: str

    def __str__(self) -> str:
        return f"deprecated since {self.since}, gone in {self.gone_in}; use {self.instead}"


@attrs.frozen(eq=False)
class Spec(Generic[P, R, A]):
    """A hook's specification: what ``hooks[spec](...)`` takes and gives.

    Type parameters: the arguments, the result of a call, and what an implementation may return.

    Args:
        function: What was declared; its docstring is the contract.
        form: How it is called.
        answer: The type of one answer.
        deprecated: Why not to implement it; None while it is current.

    Attributes:
        arguments: The names of the arguments, in order.
    """

    function: Callable[P, Any]
    form: Form
    answer: type
    deprecated: Deprecation | None = None
    # Read once: it is asked for with every implementation.
    arguments: tuple[str, ...] = attrs.field(init=False, repr=False)

    @arguments.default
    def _arguments(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.function).parameters)

    @property
    def name(self) -> str:
        """The hook's name."""
        return self.function.__name__

    @property
    def is_async(self) -> bool:
        """Whether a call is awaited."""
        return inspect.iscoroutinefunction(self.function)


def _spec(
    function: Callable[..., Any], form: Form, answer: type, deprecated: Deprecation | None, *, sync: bool
) -> Any:
    if sync and inspect.iscoroutinefunction(function):
        raise TypeError(f"{function.__name__}: a hook that {form.value} is sync; write def, not async def")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise TypeError(
                f"{function.__name__}: {parameter} is neither positional nor a keyword; a hook takes names"
            )
    return Spec(function, form, answer, deprecated)


def declares(
    answer: type[T], *, deprecated: Deprecation | None = None
) -> Callable[[Callable[P, Iterable[T]]], Spec[P, list[T], Iterable[T]]]:
    """Every plugin may declare any number of *answer*; a call collects them, oldest plugin first."""
    return lambda function: _spec(function, Form.DECLARES, answer, deprecated, sync=True)


def decides(
    answer: type[T], *, deprecated: Deprecation | None = None
) -> Callable[[Callable[P, T | None]], Spec[P, T | None, T | None]]:
    """The first *answer* that is not None decides; newest plugin first; sync and pure."""
    return lambda function: _spec(function, Form.DECIDES, answer, deprecated, sync=True)


class _Performs(Protocol):
    # The answer's type is taken from the function: typing has no ``type`` for a callable.
    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T | None]], /
    ) -> Spec[P, Coroutine[Any, Any, T | None], T | Awaitable[T | None] | None]: ...
    @overload
    def __call__(self, function: Callable[P, T | None], /) -> Spec[P, T | None, T | None]: ...


def performs(answer: Any, *, deprecated: Deprecation | None = None) -> _Performs:
    """The first plugin that takes it, by not answering None, does it; newest first; its outcome is final."""

    def decorate(function: Callable[..., Any]) -> Any:
        return _spec(function, Form.PERFORMS, answer, deprecated, sync=False)

    return decorate


_Said = Iterable[Objection] | None


@overload
def judges(
    function: Callable[P, Coroutine[Any, Any, _Said]],
) -> Spec[P, Coroutine[Any, Any, list[Objection]], _Said | Awaitable[_Said]]: ...
@overload
def judges(function: Callable[P, _Said]) -> Spec[P, list[Objection], _Said]: ...
def judges(function: Callable[..., Any]) -> Any:
    """Every plugin is asked; an objection of one decides, and so does a fault; a call collects the objections."""
    return _spec(function, Form.JUDGES, Objection, None, sync=False)


@overload
def observes(
    function: Callable[P, Coroutine[Any, Any, None]],
) -> Spec[P, Coroutine[Any, Any, None], Awaitable[None] | None]: ...
@overload
def observes(function: Callable[P, None]) -> Spec[P, None, None]: ...
def observes(function: Callable[..., Any]) -> Any:
    """Every plugin is told; what goes wrong there is recorded and changes nothing."""
    return _spec(function, Form.OBSERVES, type(None), None, sync=False)


def wraps(
    function: Callable[P, AbstractContextManager[Any] | None],
) -> Spec[P, AbstractContextManager[None], AbstractContextManager[Any] | None]:
    """Every plugin gives a context manager around what happens, or None; entered in order, left in reverse."""
    spec: Spec[P, AbstractContextManager[None], AbstractContextManager[Any] | None]
    spec = _spec(function, Form.WRAPS, AbstractContextManager, None, sync=True)
    return spec


class Implements(Protocol[P, A]):
    """What ``implements(spec)`` gives: a decorator for a function, or for a method."""

    @overload
    def __call__(self, impl: Callable[P, A], /) -> Callable[P, A]: ...
    @overload
    def __call__(self, impl: Callable[Concatenate[Any, P], A], /) -> Callable[Concatenate[Any, P], A]: ...


def implements(spec: Spec[P, Any, A], *, tryfirst: bool = False, trylast: bool = False) -> Implements[P, A]:
    """``@hookimpl``, checked by the type checker: arguments and result must be the spec's.

    An implementation that wants fewer arguments, which is legal, is marked with ``@hookimpl``.

    Args:
        spec: The hook; the function's own name does not matter.
        tryfirst: Ask it before the others of its form.
        trylast: Ask it after them.
    """
    return hookimpl(specname=spec.name, tryfirst=tryfirst, trylast=trylast)
