"""Actions: verbs with a typed request, typed settings and a typed result."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from .errors import PluginError
from .keys import check_name


@attrs.frozen
class Action:
    """A verb that a plugin brings, declared by ``oneiric_actions``.

    What is given to it is structured first, strictly: a request that does not fit never reaches ``run``.

    Args:
        name: Its key in the domain ``action``, such as ``http.fetch``.
        summary: One line for people.
        takes: The class of its request: an attrs class, whose fields are what a caller may give.
        run: ``await run(request, settings)``; a function that is not ``async`` is run in a thread, as it may wait.
        returns: The class of its result; None for plain data.
        settings: The class of its settings, ``[actions.settings."NAME"]``; None where it has none.
        idempotent: Whether it may be run again where nobody knows whether it has run.
        timeout: Seconds it may take; None for as long as its caller waits.
    """

    name: str
    summary: str
    takes: type
    run: Callable[..., Awaitable[Any] | Any] = attrs.field(eq=False, repr=False)
    returns: type | None = None
    settings: type | None = None
    idempotent: bool = False
    timeout: float | None = None

    def __attrs_post_init__(self) -> None:
        check_name(self.name, "action")
        if not callable(self.run):
            raise PluginError(f"action {self.name}: run is called, found {self.run!r}")
        classes: dict[str, Any] = {"takes": self.takes, "returns": self.returns, "settings": self.settings}
        for what, cls in classes.items():
            if (cls is not None or what == "takes") and not (isinstance(cls, type) and attrs.has(cls)):
                raise PluginError(f"action {self.name}: {what} is an attrs class, found {cls!r}")
        if self.timeout is not None and not 0 < self.timeout < math.inf:
            raise PluginError(
                f"action {self.name}: timeout is a number of seconds above 0, found {self.timeout!r}"
            )
