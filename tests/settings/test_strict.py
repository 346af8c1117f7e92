"""Plain data becomes an instance, and nothing is coerced."""

import collections
import dataclasses
import datetime as dt
import enum
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict

import attrs
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from oneiric_hookspecs import Key, Problem, SettingsError

from oneiric.settings import structure
from oneiric.settings.plain import canonical, found, path_text


class Colour(enum.Enum):
    RED = "red"
    ONE = 1


class Word(enum.StrEnum):
    YES = "yes"


@attrs.frozen
class Server:
    host: str
    port: int = 80


@attrs.frozen
class Everything:
    servers: tuple[Server, ...] = ()
    weights: dict[str, float] = attrs.field(factory=dict)
    _hidden: int = 0
    made: int = attrs.field(default=7, init=False)


@attrs.frozen
class Checked:
    size: int = attrs.field(default=1, validator=attrs.validators.gt(0))
    name: str = attrs.field(default="a", validator=attrs.validators.matches_re("[a-z]+"))
    level: int = attrs.field(default=0, converter=abs, validator=attrs.validators.lt(10))

    def __attrs_post_init__(self):
        if self.size == 13:
            raise ValueError("13 is\nnot a size")


def not_under(instance, attribute, value):
    if value < instance.low:
        raise ValueError(f"{value} is under {instance.low}")


def scale(value, instance, field):
    if not value:
        raise ValueError(f"is 0 for {field.name} of {instance.low}")
    return value * instance.low


@attrs.frozen
class Related:
    low: int
    high: int = attrs.field(validator=not_under)
    scaled: int = attrs.field(default=1, converter=attrs.Converter(scale, takes_self=True, takes_field=True))


Seconds = NewType("Seconds", float)

DAY = dt.date(1979, 5, 27)
MOMENT = dt.datetime(1979, 5, 27, 7, 32)
NOON = dt.time(12)


def refusals(cls, data, path="p"):
    with pytest.raises(SettingsError) as caught:
        structure(cls, data, path)
    return [str(problem) for problem in caught.value.problems]


ACCEPTED = [
    (bool, True, True),
    (int, 5, 5),
    (float, 5, 5.0),
    (float, 2**53, 2.0**53),
    (float, math.inf, math.inf),
    (str, "", ""),
    (Path, "a/b", Path("a/b")),
    (Path, Path("a"), Path("a")),
    (Key, "adapter:cache", Key("adapter", "cache")),
    (Key, Key("adapter", "cache"), Key("adapter", "cache")),
    (dt.date, DAY, DAY),
    (dt.datetime, MOMENT, MOMENT),
    (dt.time, NOON, NOON),
    (Literal["a", 1], 1, 1),
    (Colour, "red", Colour.RED),
    (Colour, Colour.ONE, Colour.ONE),
    (Word, "yes", Word.YES),
    (int | None, None, None),
    (float | int, 5, 5),
    (str | list[str], ["a"], ["a"]),
    (list[int], [1, 1], [1, 1]),
    (list, [1, "a"], [1, "a"]),
    (Sequence[int], [1], (1,)),
    (tuple[int, ...], [1, 2], (1, 2)),
    (tuple[int, str], [1, "a"], (1, "a")),
    (frozenset[str], ["a"], frozenset("a")),
    (set[int], [], set()),
    (dict[str, int], {"x-rate": 1}, {"x-rate": 1}),
    (dict, {"a": [1]}, {"a": [1]}),
    (Mapping[Key, bool], {"adapter:cache": True}, {Key("adapter", "cache"): True}),
    (Any, {"a": (1, {"b": 2})}, {"a": [1, {"b": 2}]}),
    (Seconds, 1, 1.0),
    (Annotated[int, "of something"], 1, 1),
    (Server, {"host": "h", "x-note": 1}, Server("h")),
    (Everything, {"servers": [{"host": "h"}], "hidden": 2}, Everything((Server("h"),), hidden=2)),
    (Server | None, {"host": "h"}, Server("h")),
    (Checked, {"level": -3}, Checked(level=3)),
    (Related, {"low": 2, "high": 3, "scaled": 5}, Related(2, 3, 5)),
]


@pytest.mark.parametrize(("cls", "data", "value"), ACCEPTED, ids=found)
def test_what_has_the_type_is_taken(cls, data, value):
    """A value of the right type comes out equal, and of exactly that type."""
    made = structure(cls, data, "p")
    assert (made, type(made)) == (value, type(value))


REFUSED = [
    (bool, "false", ["p: expected true or false, found 'false'"]),
    (bool, 1, ["p: expected true or false, found 1"]),
    (int, True, ["p: expected a whole number, found true"]),
    (int, "5", ["p: expected a whole number, found '5'"]),
    (int, 5.0, ["p: expected a whole number, found 5.0"]),
    (float, True, ["p: expected a number, found true"]),
    (float, "1.5", ["p: expected a number, found '1.5'"]),
    (float, math.nan, ["p: expected a number, found nan"]),
    (float, 10**400, ["p: expected a number that a float can hold, found 1" + "0" * 36 + "..."]),
    (float, 2**53 + 1, ["p: expected a number that a float can hold, found 9007199254740993"]),
    (float, 10**5000, ["p: expected a number that a float can hold, found a int"]),
    (str, 5, ["p: expected a text, found 5"]),
    (str, None, ["p: expected a text, found nothing"]),
    (str, DAY, ["p: expected a text, found 1979-05-27"]),
    (int, "x" * 100, ["p: expected a whole number, found '" + "x" * 36 + "..."]),
    (Path, "", ["p: expected a path, found ''"]),
    (Path, 5, ["p: expected a path, found 5"]),
    (Key, "cache", ["p: 'cache' is not a key (write it as domain:name, for example adapter:cache)"]),
    (Key, 5, ["p: expected a key such as adapter:cache, found 5"]),
    (dt.date, MOMENT, ["p: expected a date, found 1979-05-27T07:32:00"]),
    (dt.datetime, DAY, ["p: expected a date and time, found 1979-05-27"]),
    (dt.time, "12:00", ["p: expected a time, found '12:00'"]),
    (Literal["on", "off"], True, ["p: expected one of 'on', 'off', found true"]),
    (Literal["sqlite", 1], True, ["p: expected one of 'sqlite', 1, found true"]),
    (
        Literal["sqlite", "disk"],
        "sqlit",
        ["p: expected one of 'sqlite', 'disk', found 'sqlit' (did you mean 'sqlite'?)"],
    ),
    (Colour, "RED", ["p: expected one of 'red', 1, found 'RED'"]),
    (Colour, True, ["p: expected one of 'red', 1, found true"]),
    (int | None, "5", ["p: expected a whole number, found '5'"]),
    (int | str, 1.5, ["p: expected a whole number or a text, found 1.5"]),
    (Server | None, {"port": 1}, ["p.host: is missing; expected a text"]),
    (
        str | Server,
        {"hots": "h"},
        ["p.hots: unknown key (did you mean host?)", "p.host: is missing; expected a text"],
    ),
    (None, 0, ["p: expected nothing, found 0"]),
    (list[str], "ab", ["p: expected a list, found 'ab'"]),
    (
        list[int],
        [1, "a", True],
        ["p[1]: expected a whole number, found 'a'", "p[2]: expected a whole number, found true"],
    ),
    (tuple[str, ...], {"a": 1}, ["p: expected a list, found a table"]),
    (tuple[int, str], [1], ["p: expected a list of 2, found one of 1"]),
    (tuple[int, str], "ab", ["p: expected a list, found 'ab'"]),
    (frozenset[str], ["a", "b", "a"], ["p[2]: 'a' is given twice"]),
    (dict[str, int], [["a", 1]], ["p: expected a table, found a list"]),
    (
        dict[str, int],
        {"a": True, 1: 1},
        ["p.a: expected a whole number, found true", "p.1: expected a text, found 1"],
    ),
    (Server, [], ["p: expected a table, found a list"]),
    (Everything, {"made": 1}, ["p.made: unknown key (there are: hidden, servers, weights)"]),
    (
        Everything,
        {"servers": [{"host": 1, "prot": 1}], "weights": {"a b": "1"}},
        [
            "p.servers[0].host: expected a text, found 1",
            "p.servers[0].prot: unknown key (did you mean port?)",
            "p.weights.\"a b\": expected a number, found '1'",
        ],
    ),
    (
        Checked,
        {"size": 0, "name": "A"},
        ["p.size: 'size' must be > 0: 0", "p.name: 'name' must match regex '[a-z]+' ('A' doesn't)"],
    ),
    (
        Checked,
        {"size": "1", "level": -10},
        ["p.size: expected a whole number, found '1'", "p.level: 'level' must be < 10: 10"],
    ),
    (Checked, {"size": 13}, ["p: 13 is not a size"]),
    (Related, {"low": 3, "high": 2}, ["p.high: 2 is under 3"]),
    (Related, {"low": "3", "high": 2}, ["p.low: expected a whole number, found '3'"]),
    (Related, {"low": 1, "high": 2, "scaled": 0}, ["p.scaled: is 0 for scaled of 1"]),
]


@pytest.mark.parametrize(("cls", "data", "messages"), REFUSED, ids=found)
def test_nothing_is_coerced(cls, data, messages):
    """What has another type is refused, saying what was expected, what was found, and what is near."""
    assert refusals(cls, data) == messages


@dataclasses.dataclass
class Data:
    a: int = 0


class Pair(NamedTuple):
    a: int


class Typed(TypedDict):
    a: int


@attrs.frozen
class Lost:
    a: "Nowhere" = None  # noqa: F821


@pytest.mark.parametrize(
    "cls", [bytes, complex, Data, Pair, Typed, Lost, collections.OrderedDict, dict[str, bytes]], ids=str
)
def test_a_type_that_toml_cannot_write_is_refused(cls):
    """A class of settings with such a field is found out when it is filled, and not filled leniently."""
    with pytest.raises(SettingsError, match=r"settings cannot fill|annotation that cannot be read"):
        structure(cls, {"a": 1} if cls is not bytes else "a", "p")


MISFITS = {
    bool: st.integers() | st.text() | st.floats(),
    int: st.booleans() | st.text() | st.floats(),
    float: st.booleans() | st.text() | st.just(math.nan),
    str: st.booleans() | st.integers() | st.floats() | st.lists(st.text()),
    list[int]: st.text() | st.dictionaries(st.text(), st.integers()) | st.lists(st.booleans(), min_size=1),
    dict[str, str]: st.lists(st.text()) | st.text() | st.dictionaries(st.text(), st.integers(), min_size=1),
}


@examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(list(MISFITS)), st.lists(st.sampled_from(["a", "b.c"]), max_size=3))
def test_confused_types_are_always_refused_at_their_place(data, kind, path):
    """However deep it stands, a value of the wrong type is refused under its own path."""
    value = data.draw(MISFITS[kind])
    for part in reversed(path):
        value, kind = {part: value}, dict[str, kind]
    with pytest.raises(SettingsError) as caught:
        structure(kind, value, "p")
    assert all(problem.path.startswith(path_text(["p", *path])) for problem in caught.value.problems)


def test_where_may_be_said_or_asked():
    """The place is a text for everything, or looked up by the path below."""
    for where in ("f:1", lambda path: f"f:{path[-1]}"):
        with pytest.raises(SettingsError) as caught:
            structure(Server, {"host": 1}, "p", where=where)
        at = "f:1" if where == "f:1" else "f:host"
        assert caught.value.problems == (Problem("p.host", "expected a text, found 1", at),)


def test_importing_the_settings_does_not_import_cattrs():
    """The dearest import waits until something is structured."""
    script = "import sys, oneiric.settings; sys.exit('cattrs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_texts_tell_values_apart_that_python_calls_equal():
    """The canonical text depends on types, and not on the order of keys."""
    values = [1, 1.0, True, "1", "true", [1], {"1": 1}, None, DAY, "1979-05-27", MOMENT]
    assert len({canonical(value) for value in values}) == len(values)
    assert canonical({"a": 1, "b": (2,)}) == canonical({"b": [2], "a": 1}) == '{"a" = 1, "b" = [2]}'


def test_a_repr_that_fails_does_no_harm():
    """What was found is then named by its type."""

    class Rude:
        def __repr__(self):
            raise RuntimeError

    assert found(Rude()) == "a Rude"
