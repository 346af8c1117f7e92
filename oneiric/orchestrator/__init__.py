"""A process that keeps going: what operators want is made so, what happens is written down, what fails is restarted.

::

    async with orchestrate(assemble("oneiric.toml")) as orchestrator:
        ...

``oneiric orchestrate`` is this and nothing else.  Inside, each part does one thing:

``reconciling``  what operators want, and settings and streams bring, becomes what is bound
``recording``    what is bound, and what happened, is written into the state store
``asking``       what commands ask every process to do once is done, and answered
``nodes``        the process says that it lives, and tidies up after those that do not
``watching``     settings files that change are taken
``measuring``    how long operations take, and what comes of them
``reporting``    all of it as plain data, for people and scrapers
``loops``        each goes on, whatever goes wrong in it
"""

from .orchestrator import Orchestrator, orchestrate
from .restoring import restore

__all__ = ["Orchestrator", "orchestrate", "restore"]
