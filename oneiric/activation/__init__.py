"""A decision becomes a live generation: held open by its host task, made under a deadline, leased by its users."""

from .activator import Activator
from .closing import Closing
from .fetching import Fetching
from .generation import Fingerprint, Generation, fingerprint_of
from .holding import Owners
from .lease import Handle, Lease, TracedLease, TracedUse, Use
from .operation import Operation, Want, current
from .slot import Cell, Slot, Switch
from .threads import Count, Threads

__all__ = [
    "Activator",
    "Cell",
    "Closing",
    "Count",
    "Fetching",
    "Fingerprint",
    "Generation",
    "Handle",
    "Lease",
    "Operation",
    "Owners",
    "Slot",
    "Switch",
    "Threads",
    "TracedLease",
    "TracedUse",
    "Use",
    "Want",
    "current",
    "fingerprint_of",
]
