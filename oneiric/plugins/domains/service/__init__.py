"""The domain ``service``: what the application offers, with a life of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import attrs
from oneiric_hookspecs import (
    Build,
    Candidate,
    Domain,
    Generation,
    Health,
    Host,
    OneiricError,
    Operation,
    PluginContext,
    hookimpl,
)
from oneiric_hookspecs.health import Kind

from oneiric.plugins._calling import build_of

from .living import Lives
from .telling import Services


class Plugin:
    """The domain, and what keeps its instances at work."""

    def __init__(self, context: PluginContext) -> None:
        self._lives = Lives(context.host, context.clock)
        self._services = Services(context.host, self._lives)

    @hookimpl
    def oneiric_domains(self) -> Iterable[Domain]:
        yield Domain(
            "service",
            "services",
            "what the application offers, with a life of its own",
            face=self._face,
            eager=True,
        )

    def _face(self, host: Host) -> Services:
        return self._services

    @hookimpl
    def oneiric_activate(
        self, candidate: Candidate, factory: Callable[..., Any], settings: Any, needs: Mapping[str, Any]
    ) -> Build | None:
        """As the factory is called anyway; what it makes is at work for as long as it is bound."""
        if candidate.key.domain != "service":
            return None
        build = build_of(candidate, factory, settings, needs)
        return attrs.evolve(build, around=partial(self._lives.around, candidate))

    @hookimpl
    def oneiric_probe(self, generation: Generation, kind: Kind) -> Callable[[], Awaitable[Health]] | None:
        """Failed where its ``run()`` has ended; else it is asked as everything is."""
        if generation.key.domain != "service":
            return None
        life = self._lives.of(generation.instance)
        if life is None or not life.failure or (kind == "liveness" and life.finished):
            return None
        failed = Health("failed", life.failure)

        async def answer() -> Health:
            return failed

        return answer

    @hookimpl
    def oneiric_failed(self, operation: Operation, error: OneiricError) -> None:
        """One that did not come up is not merely one that nobody has asked for."""
        if operation.key.domain == "service":
            self._lives.did_not_come_up(operation.key.name, error)
