"""How a generation is asked for its health unless another plugin knows better."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from oneiric_hookspecs import Generation, hookimpl


@hookimpl(trylast=True)
def oneiric_probe(generation: Generation) -> Callable[[], Any] | None:
    """The candidate's ``health(instance)``, else the instance's own ``health()``, else nothing: it is ok."""
    check = generation.candidate.health
    if check is not None:
        return functools.partial(check, generation.instance)
    # Looked up on the class: an object that answers to every name has no health of its own.
    if callable(getattr(type(generation.instance), "health", None)):
        return generation.instance.health  # type: ignore[no-any-return]
    return None
