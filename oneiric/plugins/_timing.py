"""When something is due: by cron or at an interval, in a time zone, between dates, at some times of the day."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Any, Literal

import attrs
from attrs.validators import ge, le, optional
from oneiric_hookspecs import nearest

from ._cron import Cron

#: How many times that are due are looked at for one inside the window.
TRIES = 5000
_YEARS = (1970, 2200)
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,64}(/[A-Za-z0-9_+-]{1,64}){0,3}", re.ASCII)
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


class Unfit(ValueError):
    """A field does not fit.  ``hint`` says what would."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def zone_of(name: str) -> dt.tzinfo:
    """The time zone of that name.  Raises: Unfit."""
    if name == "UTC":
        return dt.UTC  # which is known without any data
    from zoneinfo import (  # most processes have no schedule
        ZoneInfo,
        ZoneInfoNotFoundError,
        available_timezones,
    )

    try:
        if _ZONE.fullmatch(name) is not None:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass

    known = available_timezones()
    near = nearest(name[:64], known)
    hint = f"did you mean {near}?" if near else "such as UTC or Europe/Berlin"
    if not known:
        hint = "there are no data of time zones; to have them: pip install tzdata"
    raise Unfit(f"there is no time zone {name[:64]!r}", hint)


def moment(text: str, zone: dt.tzinfo, *, end: bool = False) -> float:
    """A date, or a date and time, in seconds since 1970; of a date its first moment, or its last.

    Raises:
        Unfit: It is neither.
    """
    at: dt.datetime | None
    end = end and len(text) == 10
    try:
        at = dt.datetime.fromisoformat(text) + dt.timedelta(days=end)
    except (ValueError, OverflowError):
        at = None
    if at is None or not _YEARS[0] <= at.year <= _YEARS[1]:
        hint = "write 2027-01-31, 2027-01-31T08:00 or 2027-01-31T08:00+01:00"
        years = f"from {_YEARS[0]} to {_YEARS[1]}"
        raise Unfit(f"expected a date, or a date and time, {years}, found {text[:40]!r}", hint)
    return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).timestamp() - (0.001 if end else 0)


def _a_cron(_: Any, attribute: Any, value: str | None) -> None:
    if value is not None:
        Cron(value)


def _a_zone(_: Any, attribute: Any, value: str | None) -> None:
    if value is not None:
        zone_of(value)


def a_moment(_: Any, attribute: Any, value: str | None) -> None:
    """A validator: a date, or a date and time."""
    if value is not None:
        moment(value, dt.UTC)


def _a_window(_: Any, attribute: Any, value: str | None) -> None:
    if value is None:
        return
    found = _WINDOW.fullmatch(value)
    if found is None or found.groups()[:2] == found.groups()[2:]:
        raise Unfit(f"expected two times of the day, found {value[:40]!r}", "write 09:00-17:00")


@attrs.frozen(kw_only=True, eq=False)
class Timing:
    """When something is due: by ``cron``, or ``every`` so many seconds.

    Args:
        cron: Minute, hour, day of the month, month, weekday: ``30 8 * * MON-FRI``; or ``@daily``.
        every: Seconds from one to the next, 1 or more; clocks that change do not count.
        anchor: A date and time that the seconds are counted from, in both directions; None is the beginning of 1970.
        zone: The time zone: ``Europe/Berlin``; None as the settings say.
        since: A date, or a date and time; never before.
        until: A date, whose day still counts, or a date and time; never later.
        window: Times of the day: ``09:00-17:00``, the last excluded, or over midnight: ``22:00-06:00``.
        jitter: Up to so many seconds later, by chance, and before the next.
        max_runs: How often in all; None for no end.
        overlap: Where the one before still goes on: ``skip`` leaves one out, ``queue`` has it wait.
        missed: Where nobody was there, or the clock was set: ``skip`` leaves out what is past, ``once`` does it once
            for all of them.
    """

    cron: str | None = attrs.field(default=None, validator=_a_cron)
    every: float | None = attrs.field(default=None, validator=optional([ge(1), le(10 * 366 * 86_400)]))
    anchor: str | None = attrs.field(default=None, validator=a_moment)
    zone: str | None = attrs.field(default=None, validator=_a_zone)
    since: str | None = attrs.field(default=None, validator=a_moment)
    until: str | None = attrs.field(default=None, validator=a_moment)
    window: str | None = attrs.field(default=None, validator=_a_window)
    jitter: float = attrs.field(default=0.0, validator=[ge(0), le(86_400)])
    max_runs: int | None = attrs.field(default=None, validator=optional([ge(1), le(2**53)]))
    overlap: Literal["skip", "queue"] = "skip"
    missed: Literal["skip", "once"] = "skip"

    def check(self) -> None:
        """What its fields do not show by themselves.  Raises: ValueError."""
        if (self.cron is None) == (self.every is None):
            found = "neither" if self.cron is None else "both"
            raise ValueError(f"give one of cron and every, found {found}")
        if self.anchor is not None and self.every is None:
            raise ValueError("anchor is for every, and cron has the time in it")
        plan = Plan(self, "UTC")
        if plan.since is not None and plan.until is not None and plan.since > plan.until:
            raise ValueError(f"until, {self.until}, is before since, {self.since}")
        if plan.never:
            raise ValueError(f"it is never due in the window {self.window}: none of {TRIES:,} times is")

    @property
    def when(self) -> str:
        """In a few words."""
        said = self.cron if self.cron is not None else f"every {self.every:g} s"
        return f"{said} {self.window}" if self.window is not None else f"{said}"


class Plan:
    """The times at which something is due.

    Args:
        timing: When.
        zone: Where it does not say.
    """

    def __init__(self, timing: Timing, zone: str) -> None:
        self.timing = timing
        self.zone_name = timing.zone if timing.zone is not None else zone
        self.zone = zone_of(self.zone_name)
        self.since = None if timing.since is None else moment(timing.since, self.zone)
        self.until = None if timing.until is None else moment(timing.until, self.zone, end=True)
        self._anchor = 0.0 if timing.anchor is None else moment(timing.anchor, self.zone)
        self._cron = None if timing.cron is None else Cron(timing.cron)
        self._window: tuple[dt.time, dt.time] | None = None
        if timing.window is not None:
            opens, closes = timing.window.split("-")
            self._window = dt.time.fromisoformat(opens), dt.time.fromisoformat(closes)

    def after(self, at: float) -> float | None:
        """The first time it is due after *at*, in seconds since 1970 (UTC); None where there is none."""
        if self.since is not None:
            at = max(at, self.since - 0.001)
        return self._search(at, self.until)

    def local(self, at: float) -> dt.datetime:
        """That time in the zone."""
        return dt.datetime.fromtimestamp(at, self.zone)

    @property
    def never(self) -> bool:
        """Whether the window leaves out all of them, dates aside."""
        return self._window is not None and self._search(_BEGIN, None) is None

    def _search(self, at: float, until: float | None) -> float | None:
        for _ in range(TRIES):
            due = self._next(at)
            if due is None or (until is not None and due > until):
                return None
            if self._window is None or self._open(due, *self._window):
                return due
            at = self._opens(due, self._window[0]) - 0.001
        return None

    def _next(self, at: float) -> float | None:
        if self._cron is not None:
            return self._cron.after(at, self.zone)
        assert self.timing.every is not None
        count = math.floor((at - self._anchor) / self.timing.every) + 1
        due = self._anchor + count * self.timing.every
        while due <= at:  # what cannot be told apart from it
            count += 1
            due = self._anchor + count * self.timing.every
        return due

    def _open(self, at: float, opens: dt.time, closes: dt.time) -> bool:
        now = self.local(at).time()
        return opens <= now < closes if opens < closes else now >= opens or now < closes

    def _opens(self, at: float, opens: dt.time) -> float:
        """When the window opens next, after *at*."""
        day = self.local(at).date()
        while True:
            found = dt.datetime.combine(day, opens, self.zone).timestamp()
            if found > at:
                return found
            day += dt.timedelta(days=1)


#: Where the search for one that is ever due begins.
_BEGIN = dt.datetime(2024, 1, 1, tzinfo=dt.UTC).timestamp()
