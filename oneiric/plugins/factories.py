"""How candidates are loaded and built unless another plugin does it: by calling their factory.

A factory is called with keywords only, those its signature names: ``settings``, ``artifact``, and one for each need.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from oneiric_hookspecs import Build, Candidate, Permanent, Ready, a_few, hookimpl, nearest

#: The entry-point group of factories that are named ``ep:NAME``.
GROUP = "oneiric.factories"
#: Attributes by which a function has another signature than its code, as ``inspect`` understands them.
_SPEAK_FOR = frozenset({"__wrapped__", "__signature__"})


@hookimpl(trylast=True)
def oneiric_load(candidate: Candidate) -> Callable[..., Any]:
    """The factory itself, or what its name leads to."""
    factory = candidate.factory
    if not isinstance(factory, str):
        return factory
    found = _entry_point(factory) if factory.startswith("ep:") else _imported(factory)
    if not callable(found):
        raise Permanent(f"the factory {factory!r} is a {type(found).__name__}, which cannot be called")
    return found  # type: ignore[no-any-return]


@hookimpl(trylast=True)
def oneiric_activate(
    candidate: Candidate, factory: Callable[..., Any], settings: Any, needs: Mapping[str, Any]
) -> Build:
    """Call the factory with what it names."""
    if isinstance(factory, Ready):
        return Build(factory, mode="inline", enter=candidate.own)
    there = {"settings": settings, **needs}
    wanted = _keywords(factory)
    if wanted is not None:
        missing = [name for name, required in wanted.items() if required and name not in there]
        if missing:
            raise Permanent(
                f"its factory wants {', '.join(missing)}, which nobody fills",
                hint=f"there is: {a_few(there)}; a need fills the keyword of its name",
            )
        there = {name: value for name, value in there.items() if name in wanted}
    return Build(functools.partial(factory, **there) if there else factory)


def _keywords(factory: Callable[..., Any]) -> dict[str, bool] | None:
    """The keywords *factory* names, and whether each is required; None where it does not say."""
    code = getattr(factory, "__code__", None)
    # Unless it says itself that its code is not what counts.
    if code is not None and inspect.isfunction(factory) and not factory.__dict__.keys() & _SPEAK_FOR:
        return _of_code(code, len(factory.__defaults__ or ()), frozenset(factory.__kwdefaults__ or ()))
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return {}  # some built-in types have none; they are called without anything
    return {
        each.name: each.default is each.empty
        for each in parameters
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }


@functools.lru_cache(maxsize=4096)
def _of_code(code: Any, defaults: int, optional: frozenset[str]) -> dict[str, bool]:
    # ``inspect.signature`` would take a third of a swap.
    positional = code.co_varnames[code.co_posonlyargcount : code.co_argcount]
    required = len(code.co_varnames[: code.co_argcount]) - defaults - code.co_posonlyargcount
    named = {name: index < required for index, name in enumerate(positional)}
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return named | {name: name not in optional for name in keyword_only}


def _imported(target: str) -> Any:
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise Permanent(f"the factory {target!r} cannot be imported: {error}") from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            near = nearest(part, [name for name in dir(found) if not name.startswith("_")])
            hint = f"did you mean {near}?" if near else None
            raise Permanent(f"the factory {target!r} is not there: {error}", hint=hint) from error
    return found


def _entry_point(target: str) -> Any:
    name = target.removeprefix("ep:")
    there = entry_points(group=GROUP)
    found = [each for each in there if each.name == name]
    if not found:
        near = nearest(name, there.names)
        hint = f"did you mean ep:{near}?" if near else f"there are: {a_few(there.names)}"
        raise Permanent(f"no distribution has a factory {name!r} in the group {GROUP}", hint=hint)
    if len(found) > 1:
        who = a_few(each.dist.name for each in found if each.dist is not None)
        raise Permanent(
            f"several distributions have a factory {name!r}: {who}", hint="name it as pkg.mod:attr"
        )
    return found[0].load()
