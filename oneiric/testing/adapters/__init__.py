"""What every storage, queue, database and client of HTTP promises, as tests for whoever writes one.

Any test runner finds them::

    class TestMyQueue(QueueConformance):
        async def open(self, place, **settings):
            return await MyQueue.connect(name=place, **settings)

Each test has a place of its own; two adapters that are opened on one place are two on the same.  A test takes nothing
but ``self``, runs a loop of its own, and closes what it has opened.
"""

from .databases import DatabaseConformance
from .queues import QueueConformance
from .storages import StorageConformance
from .webs import HttpConformance

__all__ = ["DatabaseConformance", "HttpConformance", "QueueConformance", "StorageConformance"]
