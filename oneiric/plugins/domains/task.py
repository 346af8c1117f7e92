"""The domain ``task``: work that is run once, later, or on a schedule."""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import Domain, hookimpl


@hookimpl
def oneiric_domains() -> Iterable[Domain]:
    yield Domain("task", "tasks", "work that is run once, later, or on a schedule")
