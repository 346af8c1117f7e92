"""Callers, compiled for each specification: its very signature, arguments by position, one policy.

A caller is made by ``exec`` from one of the texts below, as attrs and dataclasses make ``__init__``: a generic
``*args, **kwargs`` would cost as much as three implementations.  The text depends on the specification alone; a
changed set of plugins makes a new closure from the same code.  Names that begin with an underscore are the
dispatcher's, so no argument of a hook may.

Each text has two ends: what a plain call gives (``answer``, ``nothing``), and, for those who want to know who
answered and what went wrong, the same with provenance.
"""

from __future__ import annotations

import collections.abc
import inspect
import linecache
import types
import typing
from asyncio import CancelledError
from collections.abc import Callable, Generator, Sequence
from textwrap import indent
from typing import Any

import attrs
from oneiric_hookspecs import Form, Objection, OneiricError, PluginError, Spec

from .faults import FAULTY, Fault, mistyped, said
from .records import Answer, Impl

SAMPLE = 64  # one sync call in so many is measured

_HEAD = """
def make(_plain, _timed, _note, _strike, _now, _run):
    _left = {sample}
    def __call__(_self{parameters}):
        nonlocal _left
        _left -= 1
        if _left > 0:  # not "if _left": two threads may both have counted
            _asks = _plain
        else:
            _left, _asks = {sample}, _timed
        _faults = ()
"""

# Nobody to ask: nothing to count either.  And the forms whose policy is no loop worth unfolding.
_HEAD_SHORT = """
def make(_plain, _timed, _note, _strike, _now, _run):
    def __call__(_self{parameters}):
"""
_DELEGATES = "return _run(({arguments}))"

_DECIDES = """
for _impl, _ask in _asks:
    try:
        _answer = _ask({arguments})
    except _OneiricError:
        raise  # a refusal is an answer
    except _FAULTY as _error:
        _faults += (_note(_impl, _error),)
        continue
    if _answer is not None:
        if {fits}:
            return {answer}
        _faults += (_note(_impl, _mistyped(_answer, _wanted)),)
return {nothing}
"""

_PERFORMS = """
for _impl, _ask in _asks:
    try:
        _answer = _ask({arguments})
    except _CancelledError as _error:
        raise _outcome(_impl, _note(_impl, _error)) from _error
    if _answer is not None:
        if {fits}:
            return {answer}
        raise _outcome(_impl, _note(_impl, _mistyped(_answer, _wanted)))
return {nothing}
"""

_JUDGES = """
_objections = []
for _impl, _ask in _asks:
    try:
        _said = _ask({arguments})
        if _said is not None:
            _objections += _heard(_impl, _said)
    except _FAULTY as _error:
        _objections.append(_closed(_note(_impl, _error)))
return _objections
"""

_OBSERVES = """
for _impl, _ask in _asks:
    if _impl.until and _now() < _impl.until:
        continue
    try:
        _answer = _ask({arguments})
        if _answer is not None:
            raise _mistyped(_answer, _wanted)
    except _FAULTY as _error:
        _faults += (_strike(_impl, _error),)
    else:
        if _impl.strikes:
            _impl.strikes, _impl.until = 0, 0.0
return {nothing}
"""

_TEXTS = {Form.DECIDES: _DECIDES, Form.PERFORMS: _PERFORMS, Form.JUDGES: _JUDGES, Form.OBSERVES: _OBSERVES}

# What a call gives: an answer, and nothing.  With provenance a caller decides what to make of the pair.
_PLAIN = {"answer": "_answer", "nothing": "None"}
_WITH_PROVENANCE = {
    "answer": "_Answer(_impl.plugin, _answer), list(_faults)",
    "nothing": "None, list(_faults)",
}


def heard(impl: Impl, said: Any) -> list[Objection]:
    """What a judge said, with its name; *said* is not None."""
    if isinstance(said, str):  # an iterable, and never what was meant
        raise mistyped(said, "an iterable of Objection")
    try:
        objections = list(said)
    except TypeError:
        if isinstance(said, collections.abc.Iterable):
            raise
        raise mistyped(said, "an iterable of Objection") from None
    for objection in objections:
        if not isinstance(objection, Objection):
            raise mistyped(objection, "an Objection")
    return [
        attrs.evolve(each, plugin=impl.plugin) for each in objections
    ]  # it may be of a class that says more


def fits(answer: Any) -> tuple[str, Any, str]:
    """How to test ``_answer`` against the type *answer*: an expression, its ``_Type``, and words for people."""
    origin = typing.get_origin(answer) or answer
    if origin is collections.abc.Callable:
        return "callable(_answer)", None, "a callable"
    if origin is Any or origin is object:
        return "True", None, "anything"
    if origin in (typing.Union, types.UnionType):
        origin = answer
    try:
        isinstance(None, origin)
    except TypeError:
        raise PluginError(
            f"answers cannot be checked against {answer!r}",
            hint="give a class, a runtime-checkable protocol, or a union of such",
        ) from None
    name = getattr(origin, "__name__", None) or str(origin)
    wanted = "None" if origin is type(None) else f"an instance of {name}"
    return "isinstance(_answer, _Type)", origin, wanted


def closed(fault: Fault) -> Objection:
    """A judge that fails objects: what cannot be judged is refused."""
    return Objection(f"could not judge: {said(fault.error)}", fault.plugin, failed=True)


def outcome(impl: Impl, fault: Fault) -> PluginError:
    """What a performer did wrong is the outcome of the call."""
    what = (
        f"{impl.hook} {fault.error}"
        if fault.kind == "type"
        else f"{impl.hook} raised CancelledError by itself"
    )
    return PluginError(what, plugin=impl.plugin, distribution=impl.record.distribution)


def adapt(
    function: Callable[..., Any], names: Sequence[str], wanted: Sequence[str], named: Sequence[str]
) -> Any:
    """Make *function*, which takes *wanted* by position and *named* with defaults, callable with all of *names*."""
    if (*wanted, *named) == tuple(names):
        return function
    given = [*wanted, *(f"{name}={name}" for name in named if name in names)]
    return eval(f"lambda {', '.join(names)}: _function({', '.join(given)})", {"_function": function})  # noqa: S307


def timed(impl: Impl, now: Callable[[], float]) -> Callable[..., Any]:
    """``impl.ask``, measured; a generator is drained, since its body is what takes the time."""

    def measured(*arguments: Any) -> Any:
        begun = now()
        try:
            answer = impl.ask(*arguments)
            return list(answer) if isinstance(answer, Generator) else answer
        finally:
            impl.record.spent(impl.hook, now() - begun)

    return measured


class Compiled:
    """The callers of one specification, compiled when first needed.

    Raises:
        PluginError: Its answers cannot be checked, or an argument has a name that is the dispatcher's.
    """

    def __init__(self, spec: Spec[Any, Any, Any]) -> None:
        self._spec = spec
        self._parameters = inspect.signature(spec.function).parameters
        for name in self._parameters:
            if name.startswith("_"):
                raise PluginError(
                    f"{spec.name}: no argument of a hook begins with an underscore, as {name} does"
                )
        self._fits, self._type, self.wanted = fits(spec.answer)
        self._makers: dict[tuple[bool, bool], Callable[..., Any]] = {}

    def check(self, answer: Any) -> bool:
        """Whether *answer* is of the hook's type."""
        return (
            isinstance(answer, self._type)
            if self._type is not None
            else self._fits == "True" or callable(answer)
        )

    def caller(self, *given: Any, empty: bool, provenance: bool) -> Callable[..., Any]:
        """A function that takes the hook object and the specification's arguments.

        Args:
            given: What the text's ``make`` takes.
            empty: Whether there is nobody to ask.
            provenance: Whether to say who answered, and what went wrong.
        """
        make = self._makers.get((empty, provenance))
        if make is None:
            make = self._makers[empty, provenance] = self._compile(
                *self._text(empty=empty, provenance=provenance)
            )
        function: Callable[..., Any] = make(*given)
        function.__qualname__ = self._spec.name  # so that a TypeError names the hook
        return function

    def _text(self, *, empty: bool, provenance: bool) -> tuple[str, str]:
        form, ends = self._spec.form, _WITH_PROVENANCE if provenance else _PLAIN
        if form is Form.OBSERVES:
            ends = {"answer": "", "nothing": "list(_faults)" if provenance else "None"}
        if self._spec.is_async or form not in _TEXTS:
            return _HEAD_SHORT, _DELEGATES
        if empty:
            return _HEAD_SHORT, "_faults = ()\nreturn " + ("[]" if form is Form.JUDGES else ends["nothing"])
        return _HEAD, _fill(_TEXTS[form], fits=self._fits, **ends)

    def _compile(self, head: str, body: str) -> Callable[..., Any]:
        defaults = {
            f"_default_{name}": parameter.default
            for name, parameter in self._parameters.items()
            if parameter.default is not parameter.empty
        }
        parameters = "".join(
            f", {name}=_default_{name}" if f"_default_{name}" in defaults else f", {name}"
            for name in self._parameters
        )
        arguments = "".join(f"{name}, " for name in self._parameters)
        lines = _fill(head, sample=str(SAMPLE), parameters=parameters)
        lines += indent(_fill(body, arguments=arguments), "        ") + "\n    return __call__\n"
        namespace = {**_NAMES, **defaults, "_Type": self._type, "_wanted": self.wanted}
        file = f"<hook {self._spec.name}>"
        # So that a traceback through it shows its lines.
        linecache.cache[file] = (len(lines), None, lines.splitlines(keepends=True), file)
        exec(compile(lines, file, "exec"), namespace)  # noqa: S102
        make: Callable[..., Any] = namespace["make"]
        return make


def _fill(text: str, **parts: str) -> str:
    # str.format would trip over braces in what was filled in before.
    for name, part in parts.items():
        text = text.replace("{" + name + "}", part)
    return text


_NAMES: dict[str, Any] = {
    "_Answer": Answer,
    "_OneiricError": OneiricError,
    "_CancelledError": CancelledError,
    "_FAULTY": FAULTY,
    "_closed": closed,
    "_heard": heard,
    "_mistyped": mistyped,
    "_outcome": outcome,
}
