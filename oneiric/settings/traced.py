"""``[telemetry]``: what is told to OpenTelemetry."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class TelemetrySection:
    """``[telemetry]``: what is told to OpenTelemetry.

    Args:
        spans: Whether each operation is a span.
        metrics: Whether there are metrics.
    """

    spans: bool = True
    metrics: bool = True
