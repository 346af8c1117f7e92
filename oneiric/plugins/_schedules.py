"""What the scheduler and the action that starts schedules agree on: a schedule, and where it is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import attrs
from oneiric_hookspecs import NAME, Host

from ._timing import Timing, Unfit

if TYPE_CHECKING:
    from .scheduler.running import Scheduler

#: In the state store: schedules that were started, and what is known of each that runs.
KEPT, KNOWN = "schedules/", "scheduled/"
# Weak on both sides: a scheduler knows its runtime, and neither would ever be let go of.
_active: WeakKeyDictionary[Host, ref[Scheduler]] = WeakKeyDictionary()


def make_active(host: Host, scheduler: Scheduler) -> None:
    """*scheduler* is that of *host* from now on, as long as somebody else holds it."""
    _active[host] = ref(scheduler)


def active(host: Host) -> Scheduler | None:
    """The scheduler of a runtime; None where it has none."""
    found = _active.get(host)
    return None if found is None else found()


def a_name(_: Any, attribute: Any, value: Any) -> None:
    """A validator: a name, as of a task."""
    if value is not None and NAME.fullmatch(value) is None:
        raise Unfit(f"{value[:60]!r} is no name", "lower-case letters, digits and . _ -")


def names(_: Any, attribute: Any, value: Iterable[str]) -> None:
    """A validator: the keys of a table are names."""
    for name in value:
        a_name(_, attribute, name)


@attrs.frozen(kw_only=True)
class Schedule(Timing):
    """A task, and when it is run.

    Args:
        task: Its name.
        payload: What it is run with, plain data.
    """

    task: str = attrs.field(validator=a_name)
    payload: Any = None

    def __attrs_post_init__(self) -> None:
        self.check()


def iso(at: float) -> str:
    """A time in UTC, to the second where it is whole."""
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat().replace("+00:00", "Z")
