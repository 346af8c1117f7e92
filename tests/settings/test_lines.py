"""The line of everything that is written in a TOML file."""

import tomllib
from datetime import date, datetime, time

import pytest
import tomli_w
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from oneiric.settings.lines import line_of, positions

NASTY = '''\
# [not.a.table]
title = "a # b = c" # [x]
"quoted.key" = 'C:\\' # after a literal
"esc\\u0061ped" = 1

[ a . "b.c" ]  # spaces in a header
d.e . f = 1
text = """
[not.a.header]
not_a_key = 1 \\""" still
"""
raw = \'\'\'
[nor.this]\'\'\'
after = true
quotes = """two: """""
when = 1979-05-27 07:32:00Z
next = 1979-05-27

[[list]]
name = "first"
[list.sub]
deep = 1
[[list]]
name = "second"
items = [ # comment ]
  1979-05-27 07:32:00, 2,
  { x = 1, y.z = [
    "]",
    [] ] },
]
[[list.inner]]
v = {}
[a]
late = 1
'''

LINES = [
    (("title",), 2),
    (("quoted.key",), 3),
    (("escaped",), 4),
    (("a",), 32),
    (("a", "b.c"), 6),
    (("a", "b.c", "d"), 7),
    (("a", "b.c", "d", "e", "f"), 7),
    (("a", "b.c", "text"), 8),
    (("a", "b.c", "raw"), 12),
    (("a", "b.c", "after"), 14),
    (("a", "b.c", "quotes"), 15),
    (("a", "b.c", "when"), 16),
    (("a", "b.c", "next"), 17),
    (("list",), 19),
    (("list", 0), 19),
    (("list", 0, "name"), 20),
    (("list", 0, "sub"), 21),
    (("list", 0, "sub", "deep"), 22),
    (("list", 1), 23),
    (("list", 1, "items"), 25),
    (("list", 1, "items", 0), 26),
    (("list", 1, "items", 1), 26),
    (("list", 1, "items", 2, "x"), 27),
    (("list", 1, "items", 2, "y", "z", 0), 28),
    (("list", 1, "items", 2, "y", "z", 1), 29),
    (("list", 1, "inner", 0), 31),
    (("list", 1, "inner", 0, "v"), 32),
    (("a", "late"), 34),
]
LINES = [(path, line if path != ("a",) else 33) for path, line in LINES]


def paths(value, path=()):
    """The path of everything in *value*."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, below in pairs:
        yield (*path, part)
        yield from paths(below, (*path, part))


@pytest.mark.parametrize(("path", "line"), LINES)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_kind_of_key_has_its_line(path, line, newline):
    """Comments, strings of all sorts, dotted and quoted keys, and tables in lists do not shift a line."""
    text = NASTY.replace("\n", newline)
    tomllib.loads(text)
    assert positions(text)[path] == line


def test_nothing_that_is_written_has_no_line():
    """The scanner finds all that the parser finds, and nothing else."""
    assert set(positions(NASTY)) == set(paths(tomllib.loads(NASTY)))


keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
scalars = (
    st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.dates(date(1900, 1, 1)).filter(bool)
    | st.datetimes(datetime(1900, 1, 1))
    | st.times().map(lambda each: time(each.hour, each.minute, each.second))
)
tables = st.dictionaries(
    keys,
    st.recursive(
        scalars,
        lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables, st.booleans())
def test_whatever_a_writer_writes_is_found(table, multiline):
    """Every path of a written file has a line, and that line is one of the file's."""
    text = tomli_w.dumps(table, multiline_strings=multiline)
    found = positions(text)
    assert set(found) == set(paths(tomllib.loads(text)))
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())


@examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_the_line_is_the_very_one(blanks):
    """With any number of blank lines between, each key is found where it stands."""
    text, expected = "", {}
    for number, blank in enumerate(blanks):
        text += "\n" * blank
        expected[f"k{number}",] = text.count("\n") + 1
        text += f'k{number} = """\nx\n"""\n'
    assert positions(text) == expected


def test_what_is_not_written_has_the_line_of_what_encloses_it():
    """A missing key is reported where its table is; what has no table, nowhere."""
    lines = positions("\n[a.b]\nc = 1\n")
    assert [line_of(lines, path) for path in [("a", "b", "c"), ("a", "b", "x", 0), ("a", "y"), ("z",)]] == [
        3,
        2,
        2,
        None,
    ]


@pytest.mark.parametrize("text", ["a", "a = [1", "[a", '"\\q" = 1', "= 1", "a = {b", "[[a]"])
def test_text_that_is_not_toml_does_no_harm(text):
    """It is said elsewhere what is wrong with it; what came before is still found."""
    assert positions(f"ok = 1\n{text}")["ok",] == 1


def test_deep_nesting_does_no_harm():
    """Where it goes too deep, the table's own line still stands."""
    assert positions("a = 1\nb = " + "[" * 100_000)["b",] == 2
