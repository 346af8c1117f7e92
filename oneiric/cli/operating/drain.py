"""``oneiric drain``."""

from __future__ import annotations

from .imposing import imposing

command = imposing(
    "drain",
    """Let no new users come to a part, or a domain, and close it when the last has gone.

    It waits until that is so in every running process; after drain_timeout it is closed over their heads.  `oneiric
    resume` brings it back.
    """,
)
