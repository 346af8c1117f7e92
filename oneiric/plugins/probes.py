"""How a generation is asked for its health unless another plugin knows better."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from oneiric_hookspecs import Generation, hookimpl
from oneiric_hookspecs.health import Kind


@hookimpl(trylast=True)
def oneiric_probe(generation: Generation, kind: Kind) -> Callable[[], Any] | None:
    """The candidate's ``health(instance)``, else the instance's own ``health()``, else nothing: it is ok.

    For liveness the instance's own ``liveness()``, and never the others: what they ask of may be another's fault.
    """
    instance = generation.instance
    if kind == "liveness":
        return _own(instance, "liveness")
    check = generation.candidate.health
    return functools.partial(check, instance) if check is not None else _own(instance, "health")


def _own(instance: Any, name: str) -> Callable[[], Any] | None:
    # Looked up on the class: an object that answers to every name has no health of its own.
    return getattr(instance, name) if callable(getattr(type(instance), name, None)) else None
