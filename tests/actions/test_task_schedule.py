"""task.schedule: the times that a schedule means, and nothing else."""

import datetime as dt
import time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneiric.plugins._cron import NAMES, Cron, CronError

KEY = "task.schedule"


def times(kits, count, after, **timing):
    """The next times, in the schedule's zone, without seconds and offset where they are whole."""
    return [each["local"] for each in kits.call(KEY, preview=count, after=after, **timing)["times"]]


#: An expression, the time it is asked at (UTC), and when it is due from then on.
CASES = [
    ("* * * * *", "2026-01-01T00:00:30", ["2026-01-01T00:01", "2026-01-01T00:02"]),
    ("*/15 * * * *", "2026-01-01T00:00", ["2026-01-01T00:15", "2026-01-01T00:30"]),
    ("5 4 * * *", "2026-01-01T04:05", ["2026-01-02T04:05", "2026-01-03T04:05"]),
    ("5 0 * 8 *", "2026-08-31T00:05", ["2027-08-01T00:05", "2027-08-02T00:05"]),
    ("15 14 1 * *", "2026-01-31T00:00", ["2026-02-01T14:15", "2026-03-01T14:15"]),
    ("0 22 * * 1-5", "2026-01-02T22:00", ["2026-01-05T22:00", "2026-01-06T22:00"]),
    ("23 0-20/2 * * *", "2026-01-01T19:00", ["2026-01-01T20:23", "2026-01-02T00:23"]),
    ("5 4 * * SUN", "2026-01-01", ["2026-01-04T04:05", "2026-01-11T04:05"]),
    ("5 4 * * sun", "2026-01-01", ["2026-01-04T04:05", "2026-01-11T04:05"]),
    ("0 0,12 1 */2 *", "2026-01-01T12:00", ["2026-03-01T00:00", "2026-03-01T12:00"]),
    ("0 4 8-14 * *", "2026-01-14T04:00", ["2026-02-08T04:00", "2026-02-09T04:00"]),
    ("0 0 1,15 * WED", "2026-01-01", ["2026-01-07T00:00", "2026-01-14T00:00", "2026-01-15T00:00"]),
    ("0 0 * jan,Jul mon-fri", "2026-01-30T00:00", ["2026-07-01T00:00", "2026-07-02T00:00"]),
    ("0 0 * * 0", "2026-01-01", ["2026-01-04T00:00"]),
    ("0 0 * * 7", "2026-01-01", ["2026-01-04T00:00"]),
    ("0 0 29 2 *", "2025-01-01", ["2028-02-29T00:00", "2032-02-29T00:00"]),
    ("0 0 29 2 *", "2096-03-01", ["2104-02-29T00:00"]),
    ("0 0 31 * *", "2026-01-31T00:00", ["2026-03-31T00:00", "2026-05-31T00:00"]),
    ("0 0 L * *", "2028-02-01", ["2028-02-29T00:00", "2028-03-31T00:00"]),
    ("0 0 LW * *", "2026-01-01", ["2026-01-30T00:00", "2026-02-27T00:00"]),
    ("0 0 * * MON#2", "2026-01-01", ["2026-01-12T00:00", "2026-02-09T00:00"]),
    ("0 0 * * 5L", "2026-01-01", ["2026-01-30T00:00", "2026-02-27T00:00"]),
    ("@hourly", "2026-01-01T00:30", ["2026-01-01T01:00", "2026-01-01T02:00"]),
    ("@daily", "2026-01-01", ["2026-01-02T00:00", "2026-01-03T00:00"]),
    ("@midnight", "2026-01-01", ["2026-01-02T00:00"]),
    ("@weekly", "2026-01-01", ["2026-01-04T00:00", "2026-01-11T00:00"]),
    ("@monthly", "2026-01-01", ["2026-02-01T00:00", "2026-03-01T00:00"]),
    ("@yearly", "2026-01-01", ["2027-01-01T00:00"]),
    (" @Annually ", "2026-01-01", ["2027-01-01T00:00"]),
]


@pytest.mark.parametrize(("cron", "after", "expected"), CASES)
def test_an_expression_is_due_when_it_says(kits, cron, after, expected):
    """As cron has it, names of months and weekdays, leap days and the names of whole expressions included."""
    assert times(kits, len(expected), after, cron=cron) == [f"{each}:00+00:00" for each in expected]


#: A zone, an expression, the time it is asked at, and when it is due: clocks change in between.
CHANGES = {
    "Berlin skips an hour: what was due in it is due at its end": (
        "Europe/Berlin", "30 2 * * *", "2026-03-28T12:00",
        ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
    ),
    "Berlin has an hour twice: what is due in it is due the first time": (
        "Europe/Berlin", "30 2 * * *", "2026-10-24T12:00",
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
    ),
    "Berlin, every hour, skipped": (
        "Europe/Berlin", "0 * * * *", "2026-03-29T00:30:00+01:00",
        ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"],
    ),
    "Berlin, every hour, twice": (
        "Europe/Berlin", "0 * * * *", "2026-10-25T01:30:00+02:00",
        ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"],
    ),
    "Berlin, asked in the second of the two hours": (
        "Europe/Berlin", "45 2 * * *", "2026-10-25T02:30:00+01:00", ["2026-10-26T02:45:00+01:00"],
    ),
    "Sydney skips an hour in October": (
        "Australia/Sydney", "30 2 * * *", "2026-10-03T12:00",
        ["2026-10-04T03:00:00+11:00", "2026-10-05T02:30:00+11:00"],
    ),
    "Sydney has an hour twice in April": (
        "Australia/Sydney", "30 2 * * *", "2026-04-04T12:00",
        ["2026-04-05T02:30:00+11:00", "2026-04-06T02:30:00+10:00"],
    ),
    "Lord Howe skips half an hour": (
        "Australia/Lord_Howe", "*/20 * * * *", "2026-10-04T01:40:00+10:30",
        ["2026-10-04T02:40:00+11:00", "2026-10-04T03:00:00+11:00"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_clocks_that_change_neither_lose_nor_double_a_run(kits, what):
    """In both directions, in both hemispheres."""
    zone, cron, after, expected = CHANGES[what]

    assert times(kits, len(expected), after, cron=cron, zone=zone) == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Sydney", "America/New_York"])
def test_once_a_day_is_365_times_a_year(kits, zone):
    """Whatever the clocks do: once on each day."""
    kits.settings(f'[actions.settings."{KEY}"]\nmax_preview = 365\n')
    found = times(kits, 365, "2025-12-31T23:59", cron="30 2 * * *", zone=zone)

    assert len({each[:10] for each in found}) == 365
    assert found == sorted(found)


def test_an_interval_is_counted_from_its_anchor(kits):
    """In seconds that pass: clocks that change do not count."""
    timing = {"every": 12 * 3600, "anchor": "2026-03-28T09:00", "zone": "Europe/Berlin"}

    assert times(kits, 4, "2026-03-28T00:00", **timing) == [
        "2026-03-28T09:00:00+01:00",
        "2026-03-28T21:00:00+01:00",
        "2026-03-29T10:00:00+02:00",
        "2026-03-29T22:00:00+02:00",
    ]


def test_a_window_leaves_out_what_is_outside(kits):
    """Its beginning is inside, its end is not; one over midnight is two."""
    day = times(kits, 3, "2026-01-01T16:00", cron="*/30 * * * *", window="09:00-17:00")
    night = times(kits, 3, "2026-01-01T05:00", cron="0 * * * *", window="22:00-06:00")

    assert [each[8:16] for each in day] == ["01T16:30", "02T09:00", "02T09:30"]
    assert [each[8:16] for each in night] == ["01T22:00", "01T23:00", "02T00:00"]


def test_dates_are_the_first_and_the_last(kits):
    """Of a date the whole day counts; behind it there is nothing, and that is said."""
    result = kits.call(
        KEY, cron="@daily", since="2026-05-01", until="2026-05-02", zone="Asia/Tokyo", after="2026-01-01"
    )

    assert result == {
        "operation": "preview",
        "name": None,
        "zone": "Asia/Tokyo",
        "when": "@daily",
        "times": [
            {"local": "2026-05-01T00:00:00+09:00", "utc": "2026-04-30T15:00:00Z"},
            {"local": "2026-05-02T00:00:00+09:00", "utc": "2026-05-01T15:00:00Z"},
        ],
        "ended": True,
        "changed": False,
    }


REFUSED = {
    "a minute": ({"cron": "60 * * * *"}, "cron: '60' is no minute, field 1 of 5 (it takes 0-59)"),
    "an hour": ({"cron": "0 24 * * *"}, "cron: '24' is no hour, field 2 of 5 (it takes 0-23)"),
    "a day": (
        {"cron": "0 0 32 * *"},
        "cron: '32' is no day of the month, field 3 of 5 (it takes 1-31, L or LW)",
    ),
    "a month": ({"cron": "0 0 1 FOO *"}, "cron: 'FOO' is no month, field 4 of 5 (it takes 1-12 or JAN-DEC)"),
    "a weekday": ({"cron": "0 0 * * 8"}, "cron: '8' is no weekday, field 5 of 5 (it takes 0-7 or SUN-SAT)"),
    "a step": ({"cron": "*/0 * * * *"}, "cron: '*/0' is no minute, field 1 of 5 (it takes 0-59)"),
    "a range": ({"cron": "0 9-5 * * *"}, "cron: '9-5' is no hour, field 2 of 5 (it takes 0-23)"),
    "too few": (
        {"cron": "0 0"},
        "cron: wants 5 fields, and has 2 (they are: minute, hour, day of the month, month, weekday)",
    ),
    "seconds": (
        {"cron": "0 0 0 * * *"},
        "cron: wants 5 fields, and has 6 (they are: minute, hour, day of the month, month, weekday)",
    ),
    "a name": (
        {"cron": "@dayly"},
        "cron: there is no '@dayly' "
        "(there are: @annually, @daily, @hourly, @midnight, @monthly, @weekly, @yearly)",
    ),
    "February 30": ({"cron": "0 0 30 2 *"}, "cron: is never due: no month that it names has such a day"),
    "April 31": ({"cron": "0 0 31 4,6,9,11 *"}, "cron: is never due: no month that it names has such a day"),
    "long": ({"cron": "1," * 5000}, "cron: is 10,000 characters long, and 500 are allowed"),
    "a window": (
        {"cron": "0 3 * * *", "window": "09:00-17:00"},
        "it is never due in the window 09:00-17:00: none of 5,000 times is",
    ),
    "no window": (
        {"cron": "@daily", "window": "24:00-25:00"},
        "window: expected two times of the day, found '24:00-25:00' (write 09:00-17:00)",
    ),
    "a zone": (
        {"cron": "@daily", "zone": "Europe/Berln"},
        "zone: there is no time zone 'Europe/Berln' (did you mean Europe/Berlin?)",
    ),
    "no zone": (
        {"cron": "@daily", "zone": "../../etc/passwd"},
        "zone: there is no time zone '../../etc/passwd' (such as UTC or Europe/Berlin)",
    ),
    "both": ({"cron": "@daily", "every": 5}, "give one of cron and every, found both"),
    "neither": ({}, "give one of cron and every, found neither"),
    "backwards": (
        {"cron": "@daily", "since": "2026-02-01", "until": "2026-01-01"},
        "until, 2026-01-01, is before since, 2026-02-01",
    ),
    "much": ({"cron": "@daily", "preview": 101}, "preview: is 101, and 100 are allowed"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_schedule_is_refused(kits, what):
    """With the path, the field of the expression, and what it takes; within a second."""
    request, said = REFUSED[what]
    began = time.process_time()

    assert kits.refused(KEY, **request)[0] == said
    assert time.process_time() - began < 3


def test_everything_that_is_wrong_is_said_at_once(kits):
    """Each with its path."""
    said = kits.refused(KEY, cron="x", zone="y", since="z", every=True, max_runs=0, overlap="both")

    assert [each.partition(":")[0] for each in said] == [
        "every",
        "overlap",
        "cron",
        "zone",
        "since",
        "max_runs",
    ]


@given(st.text("0123456789*/,-#LWMONSU@ \t²é", max_size=40) | st.text(max_size=60))
def test_any_text_is_an_expression_or_is_none(text):
    """Nothing else comes out; and what is due is due later, and at a whole minute."""
    try:
        cron = Cron(text)
    except CronError as error:
        assert str(error)
        return
    at = dt.datetime(2026, 3, 28, tzinfo=dt.UTC).timestamp()
    due = cron.after(at, ZoneInfo("Europe/Berlin"))
    assert due is not None
    assert due > at
    assert due % 60 == 0


@given(
    cron=st.sampled_from(["30 2 * * *", "0 * * * *", "*/7 2,3 * * *", "15 1-3 25-31 * *", *NAMES.values()]),
    zone=st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "UTC"]),
    at=st.floats(1.7e9, 1.9e9),
)
def test_the_next_time_is_later_and_nothing_lies_between(cron, zone, at):
    """From wherever it is asked: whoever asks a moment before is told the same."""
    found = Cron(cron).after(at, ZoneInfo(zone))

    assert found > at
    assert Cron(cron).after((at + found) / 2, ZoneInfo(zone)) == found


def test_nobody_runs_what_nobody_keeps(kits):
    """To start it where the scheduler does not look is refused, with what to set."""
    request = {"operation": "start", "name": "a", "task": "reindex", "cron": "@daily"}

    [said] = kits.refusals(KEY, [request])
    assert said.splitlines() == [
        f"{KEY}: nobody would run it",
        "  set kept = true in [plugins.settings.scheduler]",
    ]
