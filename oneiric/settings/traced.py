"""``[telemetry]``: what is told to OpenTelemetry."""

from __future__ import annotations

import attrs

from .rules import at_least


@attrs.frozen(kw_only=True)
class TelemetrySection:
    """``[telemetry]``: what is told to OpenTelemetry, where the application has set up an SDK of it.

    Args:
        spans: Whether each operation is a span.
        metrics: Whether there are metrics.
        max_keys: Metrics name the part, in ``key``, in domains of so many keys or fewer; in others it is empty.
    """

    spans: bool = True
    metrics: bool = True
    max_keys: int = attrs.field(default=200, validator=at_least(0))
