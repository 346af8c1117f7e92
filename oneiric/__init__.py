"""Oneiric: pluggable parts that can be explained, swapped and rolled back while an application runs.

Nothing happens at import: what is named here is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .assembly import assemble
    from .hooks import HookManager
    from .orchestrator import orchestrate
    from .runtime import Runtime
    from .settings import Settings

__all__ = ["HookManager", "Runtime", "Settings", "assemble", "orchestrate"]
__version__ = "1.0.0"

_HOMES = {
    "HookManager": "hooks",
    "Runtime": "runtime",
    "Settings": "settings",
    "assemble": "assembly",
    "orchestrate": "orchestrator",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'oneiric' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"oneiric.{home}"), name)
    return value
