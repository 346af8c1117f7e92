"""What the commands about settings share."""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneiric_hookspecs import Candidate, Domain, Problem

    from oneiric.runtime import Runtime
    from oneiric.settings import Settings


def plugged(runtime: Runtime) -> tuple[list[Domain], list[Candidate], dict[str, type | None]]:
    """The domains, the candidates, and the plugins that take settings, with their class."""
    snapshot = runtime.snapshot
    return (
        list(snapshot.domains.values()),
        [record.candidate for key in sorted(snapshot.keys()) for record in snapshot.records(key)],
        {
            each.name: each.settings_class
            for each in runtime.hooks.plugins
            if each.state == "on" and each.may_take_settings
        },
    )


def near(where: str | None) -> str | None:
    """A place as seen from here: files below the working directory by their relative path."""
    if where is None:
        return None
    try:
        here = f"{Path.cwd()}{os.sep}"
    except OSError:
        return where
    return where.removeprefix(here)


def problem(one: Problem) -> dict[str, Any]:
    """A problem as plain data."""
    return {"path": one.path, "message": one.message, "where": one.where, "hint": one.hint}


def as_toml(value: Any) -> str:
    """*value* as a file of settings would write it."""
    from oneiric.settings.plain import path_text, quoted

    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{path_text([name])} = {as_toml(item)}" for name, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return quoted(value) if isinstance(value, str) else str(value)


def as_json(value: Any) -> Any:
    """*value* as JSON has it: dates as texts, and so are numbers that are not finite."""
    if isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def counts(settings: Settings) -> list[dict[str, Any]]:
    """How many settings each layer sets, the weakest first; what sets none is left out."""
    found: dict[str, int] = {}
    for layer in settings.origin.layers:
        name = near(layer.name) or ""
        found[name] = found.get(name, 0) + layer.count()
    if settings.pending:
        found["environment"] = found.get("environment", 0) + settings.pending
    return [{"from": name, "settings": number} for name, number in found.items() if number]
