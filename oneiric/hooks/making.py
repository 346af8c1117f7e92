"""From what was named, or given, to the object whose functions are asked."""

from __future__ import annotations

import importlib
import inspect
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oneiric_hookspecs import Clock, PluginContext, PluginError, nearest

Structure = Callable[[Any, Any, str], Any]


def named(target: str) -> Any:
    """The module, or the attribute of one, that *target* names: ``pkg.mod`` or ``pkg.mod:attr``.

    Raises:
        PluginError: The module has no such attribute.
        BaseException: Whatever importing it raises.
    """
    module_name, _, path = target.partition(":")
    found = importlib.import_module(module_name)
    for attribute in path.split(".") if path else ():
        try:
            found = getattr(found, attribute)
        except AttributeError as error:
            near = nearest(attribute, dir(found))
            hint = f"did you mean {near}?" if near else None
            raise PluginError(f"{module_name} has no {path}", hint=hint) from error
    return found


def instance(
    given: Any, name: str, settings: Any, structure: Structure, *, prefix: str, clock: Clock, host: Any
) -> Any:
    """What is asked: a class is called with its context, anything else is asked itself.

    Args:
        given: A module, a class, or an object.
        name: The plugin's name.
        settings: Its table; None where there is none.
        structure: Turns the table into the class's ``Settings``.
        prefix: What its logger begins with.
        clock: For its context.
        host: For its context.
    Raises:
        PluginError: There are settings that it does not take, or a class that takes no context.
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
    structured = None if wanted is None else structure(wanted, {} if settings is None else settings, path)
    log = logging.getLogger(f"{prefix}.plugin.{name}")
    context = PluginContext(name=name, settings=structured, log=log, clock=clock, host=host)
    try:
        inspect.signature(given).bind(context)
    except TypeError as error:
        hint = "write def __init__(self, context: PluginContext)"
        raise PluginError(
            f"the class {given.__qualname__} is not called with a context", plugin=name, hint=hint
        ) from error
    make: Callable[[PluginContext], Any] = given
    return make(context)


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


def culprit(error: BaseException) -> str | None:
    """``file:line`` where *error* happened, outside Python's own importing; None where nobody knows."""
    if isinstance(error, PluginError):
        return error.where
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    ours = (str(Path(__file__).parent), str(Path(importlib.__file__).parent), "<frozen importlib")
    frames = [
        each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(ours)
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
