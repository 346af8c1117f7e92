"""``[logging]``: where what the framework logs goes, in a process that is the framework's own."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class LoggingSection:
    """``[logging]``: read by ``oneiric orchestrate`` alone; the logging of an application is its own."""
