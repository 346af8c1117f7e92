"""The domain ``workflow``: tasks that wait for one another."""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import Domain, hookimpl


@hookimpl
def oneiric_domains() -> Iterable[Domain]:
    yield Domain("workflow", "workflows", "tasks that wait for one another")
