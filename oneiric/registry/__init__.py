"""What was declared, and by whom: an immutable snapshot, sources that are replaced whole, the difference of two.

Readers take no lock.  All snapshots of a registry share one dict of shelves, one shelf a key, which a writer changes in
place; a shelf carries the revision that made it, so a reader whose snapshot is older knows that it was not meant, and
finds the one it wants in what the writer set aside.  So a lookup is one dict subscription, and a change costs what
changed: no snapshot is ever copied.  (A map of two layers was tried: either each lookup of an old key pays for the
second layer, or each merge of the layers pays for everything.)

What a decision is, is somebody else's business: a ``Resolver`` makes them, from what stands on one shelf.
"""

from .change import Change
from .registry import Registry
from .shelf import OnMissing, Outcome, Record, Resolver
from .snapshot import Changed, Snapshot

__all__ = ["Change", "Changed", "OnMissing", "Outcome", "Record", "Registry", "Resolver", "Snapshot"]
