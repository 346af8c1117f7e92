"""What a process that keeps going serves over HTTP: its health, its status, and what plugins declare.

::

    async with orchestrate(runtime) as orchestrator:
        async with listening("127.0.0.1", 9000, orchestrator, routes) as at:
            print(f"http://{at}")

``places``       which address is meant, and which hosts are this machine
``application``  what is answered: an ASGI application, which can be mounted elsewhere, too
``asking``       a route is asked within a time limit
``wire``         connections: how many, how long, how large
``listening``    from the first connection to the last
"""

from .application import Application, Served
from .listening import AddressTaken, NoServer, listening
from .places import At, BadAddress, address, is_loopback

__all__ = [
    "AddressTaken",
    "Application",
    "At",
    "BadAddress",
    "NoServer",
    "Served",
    "address",
    "is_loopback",
    "listening",
]
