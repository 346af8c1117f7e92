"""How candidates are loaded and built unless another plugin does it: by calling their factory.

A factory is called with keywords only, those its signature names: ``settings``, ``data`` where its domain wants some,
``artifact``, and one for each need.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from oneiric_hookspecs import Build, Candidate, Permanent, a_few, hookimpl, nearest

from oneiric.plugins._calling import build_of
from oneiric.plugins._entry_points import FACTORIES, factories


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
    return build_of(candidate, factory, settings, needs)


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
    there = factories()
    found = [each for each in there if each.name == name]
    if not found:
        names = {each.name for each in there}
        near = nearest(name, names)
        hint = f"did you mean ep:{near}?" if near else f"there are: {a_few(names)}"
        raise Permanent(f"no distribution has a factory {name!r} in the group {FACTORIES}", hint=hint)
    if len(found) > 1:
        who = a_few(each.dist.name for each in found if each.dist is not None)
        raise Permanent(
            f"several distributions have a factory {name!r}: {who}", hint="name it as pkg.mod:attr"
        )
    return found[0].load()
