"""Checks of this machine: time zones, and what is left of a search for a bad plugin."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .checking import Trouble, check
from .patient import Patient


@check("time-zones-missing", "warn", mends="`pip install tzdata`, or the system's package of that name")
def time_zones_missing(patient: Patient) -> Iterator[Trouble]:
    """There are no data of time zones, so that a schedule can name none."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo.no_cache("Europe/Lisbon")
    except (ZoneInfoNotFoundError, OSError):
        yield Trouble("there are no data of time zones", os.environ.get("PYTHONTZPATH"), "pip install tzdata")


@check("bisect-left-over", "warn", mends="`unset ONEIRIC_BISECT_OFF`")
def bisect_left_over(patient: Patient) -> Iterator[Trouble]:
    """The variable by which ``oneiric bisect`` leaves plugins out is set, though none is running."""
    from oneiric.hooks.switching import BISECT

    if os.environ.get(BISECT):
        yield Trouble(f"{BISECT} leaves out {os.environ[BISECT]}", BISECT, f"unset {BISECT}")
