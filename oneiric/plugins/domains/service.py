"""The domain ``service``: what the application offers, with a life of its own."""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import Domain, hookimpl


@hookimpl
def oneiric_domains() -> Iterable[Domain]:
    yield Domain("service", "services", "what the application offers, with a life of its own")
