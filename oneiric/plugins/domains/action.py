"""The domain ``action``: verbs with typed arguments and a typed result."""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import Domain, hookimpl


@hookimpl
def oneiric_domains() -> Iterable[Domain]:
    yield Domain("action", "actions", "verbs with typed arguments and a typed result")
