"""Expressions of cron: five fields, or a name such as ``@daily``.

Fields are those of Debian's cron: minute, hour, day of the month, month, weekday; with lists, ranges, steps, the names
of months and weekdays, ``L`` for the last day, ``LW`` for the last working day, ``5L`` for the last Friday and
``MON#2`` for the second Monday.  Where both days are restricted, either will do; where one begins with ``*``, both have
to fit.

When clocks change: what is due at a set time of day is due once.  Where that time is passed over, it is due at its end;
where it comes twice, the first time.  What is due by ``*`` minutes or hours goes by the time that really passes.
"""

from __future__ import annotations

import datetime as dt
import math

NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
#: What each field is called, and what may stand in it.
FIELDS = (
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31, L or LW"),
    ("month", "1-12 or JAN-DEC"),
    ("weekday", "0-7 or SUN-SAT"),
)
#: How many characters an expression may have.
LONGEST = 500
_ANY = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


class CronError(ValueError):
    """An expression is not well formed.  ``hint`` says what would be."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Cron:
    """When an expression is due.

    Args:
        text: The expression.
    Raises:
        CronError: It is not well formed, or never due.
    """

    def __init__(self, text: str) -> None:
        self._text = _checked(text)

    def after(self, at: float, zone: dt.tzinfo) -> float | None:
        """The first time it is due after *at*, in seconds since 1970; None where that is too far away."""
        from cronsim import CronSim  # most processes have no schedule

        times = CronSim(self._text, dt.datetime.fromtimestamp(math.floor(at), zone))
        while True:
            try:
                due = next(times).timestamp()
            except (StopIteration, OverflowError, ValueError):  # beyond the last year there is
                return None
            # In an hour that comes twice the library begins with the first.
            if due > at:
                return due


def _checked(text: str) -> str:
    """The five fields of an expression.  Raises: CronError."""
    if len(text) > LONGEST:
        raise CronError(f"is {len(text):,} characters long, and {LONGEST} are allowed")
    if text.lstrip().startswith("@"):
        found = NAMES.get(text.strip().lower())
        if found is None:
            raise CronError(f"there is no {text.strip()[:30]!r}", f"there are: {', '.join(sorted(NAMES))}")
        return found
    fields = text.split()
    if len(fields) != len(FIELDS):
        names = ", ".join(name for name, _ in FIELDS)
        raise CronError(f"wants 5 fields, and has {len(fields)}", f"they are: {names}")
    for place, (field, (name, allowed)) in enumerate(zip(fields, FIELDS, strict=True)):
        alone = ["*"] * len(FIELDS)
        alone[place] = field
        if not field.isascii() or not _fits(" ".join(alone)):
            raise CronError(f"{field[:30]!r} is no {name}, field {place + 1} of 5", f"it takes {allowed}")
    plain = " ".join(fields)
    if not _fits(plain):
        raise CronError("is never due: no month that it names has such a day")
    return plain


def _fits(text: str) -> bool:
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(text, _ANY))
    except (CronSimError, StopIteration):
        return False
    return True
