"""Times as people write and read them."""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _Type = click.ParamType[float]
else:
    _Type = click.ParamType  # which some versions of click do not let take a parameter

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhd])")
_MOST = 10 * 365 * 86_400.0


class When(_Type):
    """A duration (``90s``, ``10m``, ``2h``, ``1d``) or an RFC 3339 time, as seconds since 1970.

    Args:
        past: Whether a duration counts back from now, and times that are over are meant.
    """

    name = "when"

    def __init__(self, *, past: bool = False) -> None:
        self._past = past

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The time that *value* means."""
        if isinstance(value, float):
            return value
        now = time.time()
        seconds = duration(value)
        if seconds is not None:
            if seconds > _MOST:
                self.fail(f"{value!r} is more than ten years", param, ctx)
            at = now - seconds if self._past else now + seconds
        else:
            at = self._stamp(value, param, ctx)
        if not self._past and at <= now:
            self.fail(f"{value!r} is over already", param, ctx)
        return at

    def _stamp(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        form = "a duration as 90s, 10m, 2h, 1d, or a time as 2030-01-31T18:00:00Z"
        try:
            found = dt.datetime.fromisoformat(value)
            if found.tzinfo is None:
                self.fail(f"{value!r} does not say its offset, as Z or +01:00 at the end", param, ctx)
            return found.timestamp()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: expected {form}", param, ctx)


def duration(text: str) -> float | None:
    """How many seconds *text* is, such as ``1h30m``; None where it is no duration."""
    found = _DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in found)


def stamp(at: float | None) -> str | None:
    """*at* as RFC 3339, in UTC."""
    if at is None:
        return None
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    except (ValueError, OverflowError, OSError):  # somebody's clock, or somebody's damage
        return None


def today(text: str | None) -> str:
    """A stamp for people: only the time of day where it is today's."""
    if text is None:
        return ""
    return text[11:] if text[:10] == (stamp(time.time()) or "")[:10] else text


def took(ms: float | None) -> str:
    """How long something took, for people."""
    if ms is None:
        return ""
    return f"{ms:.3g} ms" if ms < 1_000 else f"{ms / 1_000:.3g} s"
