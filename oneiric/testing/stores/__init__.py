"""What every state store promises, as tests for whoever writes one; any test runner finds them.

::

    class TestMyStore(StoreConformance):
        async def open(self, place, retention):
            return await MyStore.connect(database=place, keep=retention)

Each test has a place of its own; two stores that are opened on one place are two on the same.  A test takes nothing but
``self``, runs a loop of its own, and closes what it has opened.
"""

from .crowds import Crowds
from .ending import Ending
from .fleets import Fleets
from .hints import Hints
from .logs import Logs
from .nodes import Nodes
from .revisions import Revisions
from .values import Values

__all__ = ["StoreConformance"]


class StoreConformance(Values, Revisions, Hints, Crowds, Nodes, Logs, Ending, Fleets):
    """The promises of ``StateStore``; override ``open``, and ``away`` where a place can be cut off for a while.

    Attributes:
        durable: Whether what is stored is there again when nobody had it open meanwhile.
        patience: Seconds in which a change of another store is hinted at.
        workers: How many tasks are at it at once where many are.
        fleet: How many nodes there are where many are.
        stores: How many stores of one place they share.
    """
