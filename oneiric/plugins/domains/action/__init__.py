"""The domain ``action``: verbs with typed arguments and a typed result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oneiric_hookspecs import Domain, Host, hookimpl, specs

from .invoking import Actions, Bound, candidate_of


@hookimpl
def oneiric_domains() -> Iterable[Domain]:
    yield Domain(
        "action",
        "actions",
        "verbs with typed arguments and a typed result",
        contract=Bound,
        call=_call,
        face=Actions,
        declared_by=specs.oneiric_actions,
        to_candidate=candidate_of,
        settings_by="key",
    )


async def _call(host: Host, name: str, payload: Any) -> Any:
    return await Actions(host).call(name, payload)
