"""State that outlives the process: which store holds it, and what it means.

A store knows keys and plain data (``oneiric_hookspecs.StateStore``); which plugin brings it, the settings choose.  The
views know what stands under which key: ``Desired`` what operators want, ``Observed`` what nodes do, ``History`` what
has happened.
"""

from .desired import Admin, Desired, Mark, Note, Pin, Wanted
from .history import Event, History, Told
from .observed import Observed, Seen
from .opening import ApplicationStore, choose

__all__ = [
    "Admin",
    "ApplicationStore",
    "Desired",
    "Event",
    "History",
    "Mark",
    "Note",
    "Observed",
    "Pin",
    "Seen",
    "Told",
    "Wanted",
    "choose",
]
