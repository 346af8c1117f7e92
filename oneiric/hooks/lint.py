"""What is wrong with a plugin, found before any of it is registered.

====  ==============================================================================================
E101  the manager has no hook of this name
W102  a function is named like a hook and not marked ``@hookimpl``: it would never be called
E103  an argument that the specification does not have, or that a hook cannot fill
W103  the same for an argument with a default, where it looks like a slip
E104  ``async def`` for a hook that is sync
E105  the hook was removed
E106  pluggy's ``wrapper=True`` or ``hookwrapper=True``
E107  a generator for a hook that collects nothing: its body would never run
W108  the plugin implements no hook at all
W109  loading it changed what belongs to the application; that was put back
D201  the hook, or an argument, is deprecated
====  ==============================================================================================

E fails the plugin; W and D are reported.
"""

from __future__ import annotations

import inspect
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import pluggy
from oneiric_hookspecs import Deprecation, Form, PluginError, Spec, a_few, hookimpl, nearest

MARK = hookimpl.project_name + "_impl"

#: Forms that ask for an iterable, so that a generator function is a fine implementation.
_COLLECTS = (Form.DECLARES, Form.JUDGES)


@attrs.frozen
class Known:
    """What a manager knows: its hooks by name, those removed (name to replacement), deprecated arguments."""

    prefix: str
    specs: Mapping[str, Spec[Any, Any, Any]]
    removed: Mapping[str, str]
    deprecated_arguments: Mapping[str, Mapping[str, Deprecation]]


@attrs.frozen
class Found:
    """A function of a plugin that has to do with a manager's hooks; *options* is None where it is not marked."""

    attribute: str
    hook: str
    function: Callable[..., Any]
    options: pluggy.HookimplOpts | None


def scan(plugin: Any, prefix: str) -> Iterator[Found]:
    """The functions of *plugin* that are marked, or named like hooks, with *prefix*.

    Nothing of the plugin runs: no property is read.  A function that a module merely imported is looked at only
    if it is marked, for then it would be called.
    """
    for attribute, function in _functions(plugin):
        options: pluggy.HookimplOpts | None = getattr(function, MARK, None)
        if options is None and inspect.ismodule(plugin) and function.__module__ != plugin.__name__:
            continue
        hook = (options.get("specname") if options else None) or attribute
        if hook.startswith(f"{prefix}_"):
            yield Found(attribute, hook, function, options)


def lint(found: Found, known: Known, plugin: str, distribution: str | None = None) -> Iterator[PluginError]:
    """What is wrong with one function; nothing if all is well."""
    function, name = found.function, found.hook
    shown = name if name == found.attribute else f"{name} ({found.attribute})"
    place = where(function)

    def finding(code: str, message: str, hint: str | None = None) -> PluginError:
        return PluginError(
            message, code=code, plugin=plugin, distribution=distribution, where=place, hint=hint
        )

    spec = known.specs.get(name)
    if found.options is None:
        meant = name if spec or name in known.removed else nearest(name, known.specs)
        if meant is not None:
            slip = "" if meant == name else f"; did you mean {meant}?"
            yield finding(
                "W102", f"{name} is named like a hook and not marked", f"write @hookimpl above it{slip}"
            )
        return
    if name in known.removed:
        yield finding("E105", f"the hook {shown} was removed", f"use {known.removed[name]}")
        return
    if found.options.get("wrapper") or found.options.get("hookwrapper"):
        yield finding("E106", f"{shown} is a pluggy wrapper", _around(known))
        return
    if spec is None:
        if not found.options.get("optionalhook"):
            near = nearest(name, known.specs)
            hint = f"did you mean {near}?" if near else f"there are: {a_few(known.specs)}"
            yield finding("E101", f"there is no hook {shown}", hint)
        return
    yield from _arguments(finding, shown, spec, function)
    if inspect.iscoroutinefunction(function) and not spec.is_async:
        yield finding("E104", f"{shown} is sync, and this is async def", "write def")
    elif inspect.isasyncgenfunction(function) and not (spec.is_async and spec.form is Form.JUDGES):
        yield finding("E104", f"{shown} cannot be an async generator", "return what it yields")
    elif inspect.isgeneratorfunction(function) and spec.form not in _COLLECTS:
        hint = (
            "write @contextlib.contextmanager below @hookimpl" if spec.form is Form.WRAPS else _around(known)
        )
        yield finding("E107", f"{shown} yields, so its body would never run", hint)
    if spec.deprecated is not None:
        yield finding("D201", f"the hook {shown} is {spec.deprecated}")
    for argument, deprecation in known.deprecated_arguments.get(name, {}).items():
        if argument in inspect.signature(function).parameters:
            yield finding("D201", f"the argument {argument} of {shown} is {deprecation}")


def warn(finding: PluginError, function: Callable[..., Any]) -> None:
    """Give *finding* as a DeprecationWarning that points at the plugin's line."""
    code = inspect.unwrap(function).__code__
    warnings.warn_explicit(str(finding), DeprecationWarning, code.co_filename, code.co_firstlineno)


def where(thing: Any) -> str | None:
    """``file:line`` of a function, class or module; None where there is none."""
    thing = inspect.unwrap(thing) if callable(thing) and not inspect.isclass(thing) else thing
    if inspect.ismethod(thing):
        thing = thing.__func__
    if inspect.isfunction(thing):
        return f"{thing.__code__.co_filename}:{thing.__code__.co_firstlineno}"
    if inspect.ismodule(thing):
        return f"{thing.__file__}:1" if getattr(thing, "__file__", None) else None
    cls = thing if inspect.isclass(thing) else type(thing)
    # The first line of a class is not kept before Python 3.13; its first method is near enough.
    lines = [each.__code__ for each in vars(cls).values() if inspect.isfunction(each)]
    here = [
        code for code in lines if code.co_filename != "<string>" and not code.co_filename.startswith("<attrs")
    ]
    first = min(here, key=lambda code: code.co_firstlineno, default=None)
    return None if first is None else f"{first.co_filename}:{first.co_firstlineno}"


def _arguments(
    finding: Callable[..., PluginError], shown: str, spec: Spec[Any, Any, Any], function: Callable[..., Any]
) -> Iterator[PluginError]:
    known = spec.arguments
    for parameter in inspect.signature(function).parameters.values():
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield finding(
                "E103", f"{shown} takes {parameter}, which a hook never fills", "name the arguments it wants"
            )
        elif parameter.kind is parameter.KEYWORD_ONLY and (
            name in known or parameter.default is parameter.empty
        ):
            yield finding(
                "E103", f"{shown} takes {name} as a keyword only, which a hook never fills", "remove the *"
            )
        elif name in known:
            continue
        elif parameter.default is parameter.empty:
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else f"it has: {', '.join(known) or 'none'}"
            yield finding("E103", f"{shown} has no argument {name}", hint)
        elif near := nearest(name, known):
            # An argument with a default may be one that a later version has; one letter off, it is a slip.
            yield finding(
                "W103", f"{shown} has no argument {name}, so its default is used", f"did you mean {near}?"
            )


def _around(known: Known) -> str:
    wraps = [name for name, spec in known.specs.items() if spec.form is Form.WRAPS]
    there = f" (there are: {a_few(wraps)})" if wraps else ""
    return f"give a context manager to a hook that wraps{there}"


def _functions(plugin: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Its functions and methods by name, sorted."""
    if inspect.ismodule(plugin):
        # Of what it holds nothing has to be looked up, and it holds much that is none.
        for attribute in sorted(vars(plugin)):
            value = vars(plugin)[attribute]
            if isinstance(value, (types.FunctionType, types.MethodType)):
                yield attribute, value
        return
    for attribute in sorted(_names(plugin)):
        function = _function(plugin, attribute)
        if function is not None:
            yield attribute, function


def _names(plugin: Any) -> set[str]:
    cls = plugin if inspect.isclass(plugin) else type(plugin)
    names = {name for base in cls.__mro__ if base is not object for name in vars(base)}
    return names | set(getattr(plugin, "__dict__", {}))


def _function(plugin: Any, attribute: str) -> Callable[..., Any] | None:
    """The function or bound method of that name; None for anything else."""
    static = inspect.getattr_static(plugin, attribute, None)
    if inspect.isclass(plugin) and isinstance(static, types.FunctionType):
        # Only to be looked at: without ``self``, as an instance will have it.
        return types.MethodType(static, plugin)
    if isinstance(static, (types.FunctionType, types.MethodType, staticmethod, classmethod)):
        function: Callable[..., Any] = getattr(plugin, attribute)
        return function if isinstance(function, (types.FunctionType, types.MethodType)) else None
    return None
