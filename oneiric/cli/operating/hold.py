"""``oneiric hold``."""

from __future__ import annotations

from .imposing import imposing

command = imposing(
    "hold",
    """Let nothing change a part, or a domain, by itself: settings and streams wait until it is resumed.

    Users go on, and new ones come.  An operator's swap passes with --override.
    """,
)
