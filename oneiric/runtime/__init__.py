"""What an application holds.

The values in which it answers are loaded when it is first asked: assembling one makes none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core import Runtime
from .work import Task

if TYPE_CHECKING:
    from .blocking import Blocking
    from .plan import Planned
    from .status import GenerationStatus, SlotStatus, Status

__all__ = ["Blocking", "GenerationStatus", "Planned", "Runtime", "SlotStatus", "Status", "Task"]

_HOMES = {
    "Blocking": "blocking",
    "GenerationStatus": "status",
    "Planned": "plan",
    "SlotStatus": "status",
    "Status": "status",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'oneiric.runtime' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"oneiric.runtime.{home}"), name)
    return value
