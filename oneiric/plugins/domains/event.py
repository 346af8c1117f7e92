"""The domain ``event``: handlers of what has happened."""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import Domain, hookimpl


@hookimpl
def oneiric_domains() -> Iterable[Domain]:
    yield Domain("event", "events", "handlers of what has happened")
