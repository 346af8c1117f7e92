"""What supervision tells about a part."""

from __future__ import annotations

import attrs
from oneiric_hookspecs import Health, Key


@attrs.frozen
class Supervised:
    """How one part is; reading it probes nothing.

    Args:
        key: Which.
        health: Its own: what its answers came to, by the thresholds of ``[health]``; None where it is neither bound nor
            to be up.
        effective: The same with what it needs.
        flapping: Whether it changes too often, and is held at ``degraded`` for that.
        stale: Whether its last answer is too old to count.
        failures: How often it failed by itself in the last ``[restart] period``.
        next_attempt: When it is started again, on the runtime's clock; None where nothing waits for that.
        exhausted: Whether it was given up, or is only tried slowly.
        given_up: Why it is left as it is, in a sentence; empty where it is not.
    """

    key: Key
    health: Health | None = None
    effective: Health | None = None
    flapping: bool = False
    stale: bool = False
    failures: int = 0
    next_attempt: float | None = None
    exhausted: bool = False
    given_up: str = ""
