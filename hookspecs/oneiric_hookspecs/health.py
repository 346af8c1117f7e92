"""How well something is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

Status = Literal["ok", "degraded", "unknown", "failed"]
Kind = Literal["startup", "readiness", "liveness", "passive"]

#: From well to ill; an aggregate is the worst of its members.
STATUSES: tuple[Status, ...] = ("ok", "degraded", "unknown", "failed")


@attrs.frozen
class Health:
    """One answer about the health of a generation.

    Args:
        status: ``ok``, ``degraded``, ``unknown`` or ``failed``.
        reason: A sentence; empty where there is nothing to say.
        details: Anything JSON, for people and dashboards.
        observed_at: Seconds on the runtime's clock.
        latency: How long the answer took, in seconds.
        kind: What was asked.
    """

    status: Status
    reason: str = ""
    details: Mapping[str, Any] = attrs.field(factory=dict)
    observed_at: float = 0.0
    latency: float = 0.0
    kind: Kind = "readiness"

    def __attrs_post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"a health status is one of {', '.join(STATUSES)}, found {self.status!r}")

    @property
    def passes(self) -> bool:
        """Whether it is well enough to be bound: ``ok`` or ``degraded``; an unknown answer does not pass."""
        return self.status in ("ok", "degraded")

    def worst(self, other: Health) -> Health:
        """The worse of the two; this one where they are equal."""
        return other if STATUSES.index(other.status) > STATUSES.index(self.status) else self
