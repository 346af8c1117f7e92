"""Calling factories: with keywords only, those that their signature names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from oneiric_hookspecs import Build, Candidate, Permanent, Ready, a_few

#: Attributes by which a function has another signature than its code, as ``inspect`` understands them.
_SPEAK_FOR = frozenset({"__wrapped__", "__signature__"})


def build_of(
    candidate: Candidate, factory: Callable[..., Any], settings: Any, needs: Mapping[str, Any]
) -> Build:
    """Call *factory* with what it names: ``settings``, ``data`` where its domain wants some, ``artifact`` where
    it has one, and each need.

    Raises:
        Permanent: It wants something that nobody fills.
    """
    if isinstance(factory, Ready):
        return Build(factory, mode="inline", enter=candidate.own)
    there = {"settings": settings, **needs}
    if candidate.data is not None:
        there.setdefault("data", candidate.data)
    if candidate.artifact is not None:
        there.setdefault("artifact", candidate.artifact)
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
