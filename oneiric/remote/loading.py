"""The factories that entries name: whether they may be imported at all, and what their settings are.

Rules:

G1  ``ep:NAME`` is one entry point of the group, of one installed distribution
G2  ``pkg.mod:attr`` is named by the stream's list, whole or up to a dot, before anything is imported
G3  what is found there was defined there: what a module has only imported is not its own
"""

from __future__ import annotations

import importlib
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

import attrs
from oneiric_hookspecs import Domain, StreamView, nearest

from oneiric.installed import installed

#: The entry-point group of factories that are named ``ep:NAME``.
GROUP = "oneiric.factories"


class Unloadable(Exception):
    """A factory cannot be had, and why."""


@attrs.frozen
class Loaded:
    """What a factory's name leads to.

    Args:
        found: What stands there.
        settings_class: The attrs class of its settings; None where it takes none.
        declared: Whether it is a value that the domain declares (an action), and no factory.
    """

    found: Any
    settings_class: type | None = None
    declared: bool = False


def load(name: str, domain: Domain, view: StreamView) -> Loaded:
    """Import the factory *name*.  Its gates come first, whoever has looked before.

    Raises:
        Unloadable: It may not be, or cannot be.
    """
    found = _entry_point(name.removeprefix("ep:")) if name.startswith("ep:") else _named(name, view)
    hook = domain.declared_by
    answer = None if hook is None else hook.answer
    if hook is not None and isinstance(found, types.FunctionType) and found.__name__ == hook.name:
        found = _only(found, name)
    if isinstance(answer, type) and isinstance(found, answer) and domain.to_candidate is not None:
        return Loaded(found, declared=True)
    if not callable(found):
        raise Unloadable(f"{name} is a {type(found).__name__}, which cannot be called")
    return Loaded(found, settings_class(found, name))


def _only(declare: Any, name: str) -> Any:
    """What a plugin's own function declares, where that is one thing."""
    try:
        declared = list(declare())
    except Exception as error:
        raise Unloadable(f"{name} failed: {type(error).__name__}: {_line(error)}") from error
    if len(declared) != 1:
        raise Unloadable(f"{name} declares {len(declared)} things, and one is wanted")
    return declared[0]


def _entry_point(name: str) -> Any:
    """G1."""
    there = [each for each in installed(GROUP) if not each.fault]
    found = {(each.target, each.distribution) for each in there if each.name == name}
    if len(found) != 1:
        near = nearest(name, {each.name for each in there})
        hint = f"; did its publisher mean ep:{near}?" if near and not found else ""
        raise Unloadable(
            f"several distributions have a factory {name}"
            if found
            else f"no distribution that is installed has a factory {name}{hint}"
        )
    [(target, _)] = found
    module_name, _, path = target.partition(":")
    try:
        loaded: Any = importlib.import_module(module_name)
        for part in filter(None, path.split(".")):
            loaded = getattr(loaded, part)
    except Exception as error:
        raise Unloadable(f"ep:{name} cannot be imported: {type(error).__name__}: {_line(error)}") from error
    return loaded


def _named(name: str, view: StreamView) -> Any:
    """G2 and G3."""
    if not view.may_name(name):
        raise Unloadable(f"{name} is not in the list of the stream's factories")
    module_name, _, path = name.partition(":")
    if path.startswith("_") or "._" in path:
        raise Unloadable(f"{name} is private")
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise Unloadable(f"{name} cannot be imported: {type(error).__name__}: {_line(error)}") from error
    if not isinstance(found, (type, types.FunctionType)):
        raise Unloadable(f"{name} is neither a function nor a class; an entry point may name it")
    if (found.__module__, found.__qualname__) != (module_name, path):
        raise Unloadable(f"{name} is defined elsewhere, as {found.__module__}:{found.__qualname__}")
    return found


def settings_class(factory: Any, name: str) -> type | None:
    """The class of a factory's settings: its attribute ``Settings``, or what its parameter ``settings`` is said to be.

    Raises:
        Unloadable: It says so in words that cannot be read.
    """
    own = getattr(factory, "Settings", None)
    if isinstance(own, type) and attrs.has(own):
        return own
    try:
        parameter = inspect.signature(factory).parameters.get("settings")
    except (TypeError, ValueError):
        return None
    if parameter is None or parameter.annotation is parameter.empty:
        return None
    annotation = parameter.annotation
    if isinstance(annotation, str):
        try:
            annotation = _hints(factory)["settings"]
        except Exception as error:
            raise Unloadable(f"{name}: what its settings are cannot be read: {_line(error)}") from error
    for each in (annotation, *typing.get_args(annotation)):
        if isinstance(each, type) and attrs.has(each):
            return each
    return None


def _hints(factory: Any) -> dict[str, Any]:
    target: Any = inspect.unwrap(factory)
    if isinstance(target, type):
        target = inspect.getattr_static(target, "__init__")
    if not isinstance(target, (types.FunctionType, types.MethodType)):
        target = type(factory).__call__
    space: Mapping[str, Any] = vars(sys.modules[target.__module__])
    # Of the one parameter alone: another one may be named in words that only a type checker reads.
    written = target.__annotations__["settings"]
    if not isinstance(written, str):
        return {"settings": written}
    return typing.get_type_hints(types.SimpleNamespace(__annotations__={"settings": written}), dict(space))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


class Loader:
    """Loads factories, each once: very many entries name the same.

    Args:
        view: The stream that names them.
    """

    def __init__(self, view: StreamView) -> None:
        self._view = view
        self._known: dict[tuple[str, str], Loaded | Unloadable] = {}

    def __call__(self, name: str, domain: Domain) -> Loaded:
        """As ``load``; what could not be had is not tried again."""
        found = self._known.get((name, domain.name))
        if found is None:
            try:
                found = load(name, domain, self._view)
            except Unloadable as error:
                found = error
            self._known[name, domain.name] = found
        if isinstance(found, Unloadable):
            raise Unloadable(str(found))
        return found
