"""``oneiric pause``."""

from __future__ import annotations

from .imposing import imposing

command = imposing(
    "pause",
    """Let no new users come to a part, or a domain; those it has go on.

    They are told so at once, and until `oneiric resume`.  Nothing changes by itself meanwhile.
    """,
)
