"""State that outlives the process: which store holds it, and what it means.

A store knows keys and plain data (``oneiric_hookspecs.StateStore``); which plugin brings it, the settings choose.  The
views know what stands under which key: ``Desired`` what operators want, ``Observed`` what nodes do, ``History`` what
has happened, ``Requests`` what is asked of every node once; ``living`` which nodes there are.
"""

from .desired import Admin, Desired, Mark, Note, Pin, Wanted
from .history import Event, History, Told
from .nodes import Living, Node, living, this_process
from .observed import Observed, Seen
from .opening import ApplicationStore, choose
from .requests import Answered, Asked, Requests

__all__ = [
    "Admin",
    "Answered",
    "ApplicationStore",
    "Asked",
    "Desired",
    "Event",
    "History",
    "Living",
    "Mark",
    "Node",
    "Note",
    "Observed",
    "Pin",
    "Requests",
    "Seen",
    "Told",
    "Wanted",
    "choose",
    "living",
    "this_process",
]
