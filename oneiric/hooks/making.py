"""From what was named, or given, to the object whose functions are asked."""

from __future__ import annotations

import importlib
import inspect
import logging
import reprlib
from collections.abc import Callable
from typing import Any

from oneiric_hookspecs import Clock, PluginContext, PluginError, nearest

Structure = Callable[[Any, Any, str], Any]


def named(target: str) -> Any:
    """The module, or the attribute of one, that *target* names: ``pkg.mod`` or ``pkg.mod:attr``.

    Raises:
        PluginError: It names no module, or the module has no such attribute.
        BaseException: Whatever importing it raises.
    """
    module_name, _, path = target.partition(":")
    if not all(module_name.split(".")):  # import_module would speak of packages
        shown = repr(target) if target else "nothing"
        raise PluginError(f"it names {shown}, which is no module", hint="write pkg.mod or pkg.mod:attr")
    found = importlib.import_module(module_name)
    for attribute in path.split(".") if path else ():
        try:
            found = getattr(found, attribute)
        except AttributeError as error:
            near = nearest(attribute, dir(found))
            hint = f"did you mean {near}?" if near else None
            raise PluginError(f"{module_name} has no {path}", hint=hint) from error
    return found


def must_be_plugin(given: Any, name: str) -> None:
    """Refuse what can have no hook implementations: a number, a text, a list, a function, and the like.

    Raises:
        PluginError: It can have none.
    """
    cls = given if inspect.isclass(given) else type(given)
    if cls.__module__ != "builtins" or inspect.ismodule(given):
        return
    shown = (
        reprlib.repr(given)
        if inspect.isclass(given) or given is None
        else f"{reprlib.repr(given)} ({cls.__name__})"
    )
    hint = "give a module, a class, or an object with hookimpls"
    if isinstance(given, str):
        hint += "; load([...]) takes names"
    raise PluginError(f"{shown} cannot be a plugin", plugin=name, hint=hint)


def instance(
    given: Any, name: str, settings: Any, structure: Structure, *, prefix: str, clock: Clock, host: Any
) -> Any:
    """What is asked: a class is called with its context, or with nothing; anything else is asked itself.

    Args:
        given: A module, a class, or an object.
        name: The plugin's name.
        settings: Its table; None where there is none.
        structure: Turns the table into the class's ``Settings``.
        prefix: What its logger begins with.
        clock: For its context.
        host: For its context.
    Raises:
        PluginError: There are settings that it does not take, or a class that cannot be called so.
        Exception: Whatever the class raises.
    """
    wanted = inspect.getattr_static(given, "Settings", None) if inspect.isclass(given) else None
    path = f"plugins.settings.{name}"
    if wanted is None and settings is not None:
        hint = (
            "give its class an attrs class as Settings"
            if inspect.isclass(given)
            else "only a plugin class takes them"
        )
        raise PluginError(f"there are settings under {path}, and it takes none", plugin=name, hint=hint)
    if not inspect.isclass(given):
        return given
    make: Callable[..., Any] = given
    if not _takes_context(given, name):
        if wanted is not None:
            raise PluginError(
                f"the class {given.__qualname__} has Settings, and takes no context that would bring them",
                plugin=name,
                hint=_INIT,
            )
        return make()
    structured = None if wanted is None else structure(wanted, {} if settings is None else settings, path)
    log = logging.getLogger(f"{prefix}.plugin.{name}")
    return make(PluginContext(name=name, settings=structured, log=log, clock=clock, host=host))


_INIT = "write def __init__(self, context: PluginContext)"


def _takes_context(cls: type, name: str) -> bool:
    """Whether *cls* is called with a context; False where it is called with nothing.

    Raises:
        PluginError: It wants something else.
    """
    try:
        signature = inspect.signature(cls)
        if not signature.parameters:
            return False
        signature.bind(None)
    except (TypeError, ValueError) as error:  # ValueError: it is written in C, and says nothing
        raise PluginError(
            f"the class {cls.__qualname__} is called neither with a context nor with nothing",
            plugin=name,
            hint=f"{_INIT}, or give an instance",
        ) from error
    return True


def plain_structure(cls: Any, data: Any, path: str) -> Any:
    """*data* as keyword arguments of *cls*; for applications that bring no better one.

    Raises:
        PluginError: They do not fit.
    """
    if isinstance(data, cls):
        return data
    try:
        return cls(**data)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{path}: {error}", hint=f"it takes {inspect.signature(cls)}") from error


def name_of(given: Any) -> str:
    """The name of a plugin that was given none: its module's, its class's, or its own class's."""
    if inspect.ismodule(given):
        return given.__name__
    return given.__name__ if inspect.isclass(given) else type(given).__name__
