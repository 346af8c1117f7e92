"""The JSON Schema of a class takes what ``structure`` takes, and refuses what it refuses as far as there are words for it."""

import datetime as dt
import enum
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType

import attrs
import pytest
from attrs import validators as v
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from oneiric_hookspecs import Candidate, Domain, Key, Secret, SettingsError

from oneiric.settings import load, structure
from oneiric.settings.document import document_schema
from oneiric.settings.plain import thaw
from oneiric.settings.schema import schema_of


class Color(enum.Enum):
    RED = "red"
    ONE = 1


class Flavour(enum.IntEnum):
    SOUR = 3


class Pair(NamedTuple):
    a: int


Port = NewType("Port", int)
CANARY = Secret("canary")
WHEN = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}"}


@attrs.frozen
class Inner:
    """One of the inner ones.

    Args:
        host: Where it is, such as
            ``db``.
    """

    host: str
    port: Port = Port(5432)


@attrs.frozen
class Tree:
    below: "tuple[Tree, ...]" = ()
    name: str = ""


@attrs.frozen(kw_only=True)
class Rich:
    """Has everything.

    Args:
        level: How much.
        hosts: Where.
    """

    level: Literal["low", "high"] = "low"
    hosts: tuple[str, ...] = attrs.field(default=("a",), validator=v.min_len(1))
    inner: Inner
    when: dt.datetime | None = None
    password: Secret = CANARY
    keys: Mapping[Key, float] = attrs.field(factory=dict)
    ratio: float = attrs.field(default=0.5, validator=[v.ge(0), v.lt(1)])
    folder: Path = Path("x")
    _hidden: int = attrs.field(default=0, alias="shown", validator=v.optional(v.in_([0, 1])))
    code: str | None = attrs.field(default=None, validator=v.optional(v.matches_re(r"[a-z]+\d")))
    not_ours: int = attrs.field(init=False, default=1)


def accepts(schema, data):
    return Draft202012Validator(schema).is_valid(as_json(data))


def as_json(data):
    """The JSON form of plain data."""
    if isinstance(data, Mapping):
        return {key: as_json(item) for key, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [as_json(item) for item in data]
    return data.isoformat() if isinstance(data, (dt.date, dt.time)) else data


def fills(kind, data):
    try:
        structure(kind, data, "x")
    except SettingsError:
        return False
    return True


def test_the_schema_of_a_class_is_exactly_this():
    """Every word of it."""
    schema = schema_of(Rich)
    Draft202012Validator.check_schema(schema)

    name = "(?!.*__)[a-z0-9][a-z0-9._-]{0,127}"
    reference = {"$secret": {"type": "string", "description": "a name in [secrets]"}}
    assert schema == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "title": "Rich",
        "description": "Has everything.",
        "properties": {
            "level": {"enum": ["low", "high"], "description": "How much.", "default": "low"},
            "hosts": {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "description": "Where.",
                "default": ["a"],
            },
            "inner": {
                "type": "object",
                "title": "Inner",
                "description": "One of the inner ones.",
                "properties": {
                    "host": {"type": "string", "description": "Where it is, such as db."},
                    "port": {"type": "integer", "default": 5432},
                },
                "required": ["host"],
                "patternProperties": {"^x-": {}},
                "additionalProperties": False,
            },
            "when": {
                "anyOf": [
                    WHEN,
                    {"type": "null"},
                ]
            },
            "password": {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "properties": reference,
                        "required": ["$secret"],
                        "additionalProperties": False,
                    },
                ]
            },
            "keys": {
                "type": "object",
                "additionalProperties": {"type": "number"},
                "propertyNames": {"type": "string", "pattern": f"^{name}:{name}$"},
                "not": {"required": ["$secret"]},
                "default": {},
            },
            "ratio": {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.5},
            "folder": {"type": "string", "minLength": 1, "default": "x"},
            "shown": {"type": "integer", "enum": [0, 1], "default": 0},
            "code": {"anyOf": [{"type": "string"}, {"type": "null"}], "pattern": r"^(?:[a-z]+\d)$"},
        },
        "required": ["inner"],
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }


def test_a_class_that_holds_itself_is_referred_to():
    """As deep as one likes."""
    schema = schema_of(Tree)
    Draft202012Validator.check_schema(schema)

    deep = {"below": [{"below": [{"name": "x"}]}]}
    assert accepts(schema, deep)
    assert fills(Tree, deep)
    wrong = {"below": [{"below": [{"nam": "x"}]}]}
    assert not accepts(schema, wrong)
    assert not fills(Tree, wrong)


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (bytes, {"not": {}}),
        (Pair, {"not": {}}),
        (Any, {}),
        (Color, {"enum": ["red", 1]}),
        (Flavour, {"enum": [3]}),
        (Literal[Color.RED], {"not": {}}),
        (Literal[1, True, None], {"enum": [1, True, None]}),
        (Annotated[int, "port"], {"type": "integer"}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (set[Any], {"type": "array"}),
        (frozenset[dt.datetime], {"type": "array", "items": WHEN}),
        (list, {"type": "array"}),
        (Sequence[int], {"type": "array", "items": {"type": "integer"}}),
        (
            tuple[int, str],
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (dt.date, {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
        (dict, {"type": "object", "not": {"required": ["$secret"]}}),
    ],
    ids=str,
)
def test_the_schema_of_a_type(kind, schema):
    """What settings cannot fill, nothing fills."""
    assert schema_of(kind) == {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


@pytest.mark.parametrize(
    ("validator", "keywords"),
    [
        (v.gt(1), {"exclusiveMinimum": 1}),
        (v.le(2.5), {"maximum": 2.5}),
        (v.ge(float("-inf")), {}),
        (v.and_(v.ge(1), v.le(3)), {"minimum": 1, "maximum": 3}),
        (v.in_({2, 1}), {"enum": [1, 2]}),
        (v.in_(range(3)), {}),
        (v.not_(v.ge(3)), {}),
        (v.or_(v.ge(3), v.le(1)), {}),
        (v.instance_of(int), {}),
        (v.min_len(2), {}),
        (lambda *_: None, {}),
    ],
)
def test_a_validator_says_its_bound(validator, keywords):
    """What it says in words that a schema has; of any other nothing is said."""
    cls = attrs.make_class("C", {"x": attrs.field(type=int, default=2, validator=validator)})

    assert schema_of(cls)["properties"]["x"] == {"type": "integer", **keywords, "default": 2}


@pytest.mark.parametrize(
    ("pattern", "flags", "match", "written"),
    [
        ("a|b", 0, None, "^(?:a|b)$"),
        ("a|b", 0, re.match, "^(?:a|b)"),
        ("a|b", 0, re.search, "a|b"),
        ("a", re.IGNORECASE, None, None),
        ("(?P<x>a)", 0, None, None),
        (r"a\Z", 0, None, None),
    ],
)
def test_a_pattern_is_written_as_it_is_matched(pattern, flags, match, written):
    """One that a schema would read otherwise is left out."""
    rule = v.matches_re(pattern, flags, match)
    cls = attrs.make_class("C", {"x": attrs.field(type=str, validator=rule)})

    assert schema_of(cls)["properties"]["x"].get("pattern") == written


def test_what_a_converter_changes_has_no_bounds():
    """The bound is of what comes out of it."""
    cls = attrs.make_class("C", {"x": attrs.field(type=int, converter=abs, validator=v.ge(1))})

    assert schema_of(cls)["properties"]["x"] == {"type": "integer"}
    assert fills(cls, {"x": -1})


def test_no_default_that_is_a_secret():
    """Nor one that would have to be made first."""

    @attrs.frozen
    class Vault:
        one: Secret = CANARY
        two: tuple[Secret, ...] = (CANARY,)
        three: int = attrs.Factory(lambda self: 1, takes_self=True)

    properties = schema_of(Vault)["properties"]
    assert "canary" not in str(properties)
    assert ["default" in each for each in properties.values()] == [False, False, False]


def test_the_runtime_gives_it():
    """To plugins, as ``host.schema``."""
    from oneiric import assemble

    assert assemble({}, environment=False).schema(Inner) == schema_of(Inner)


# --- whatever the class and the data ------------------------------------------------------------------------------------

scalars = st.sampled_from(
    [
        bool,
        int,
        float,
        str,
        Path,
        Key,
        Color,
        Flavour,
        Secret,
        dt.date,
        dt.time,
        dt.datetime,
        type(None),
        Any,
        bytes,
        Port,
    ]
)


def of_several(kind):
    literals = st.lists(
        st.sampled_from(["a", "b", 1, True, None]), min_size=1, max_size=3, unique_by=lambda x: (type(x), x)
    )
    return st.one_of(
        st.builds(lambda one: list[one], kind),
        st.builds(lambda one: tuple[one, ...], kind),
        st.builds(lambda one, two: tuple[one, two], kind, kind),
        st.builds(lambda one: dict[str, one], kind),
        st.builds(lambda one: Sequence[one], kind),
        st.builds(lambda one: set[one], st.sampled_from([bool, int, float, str, Color, Key])),
        st.builds(lambda one: one | None if isinstance(one, type) else one, kind),
        st.builds(lambda options: Literal[tuple(options)], literals),
        st.builds(
            one_class,
            st.dictionaries(st.sampled_from(["a", "b", "c"]), st.tuples(kind, st.booleans()), max_size=3),
        ),
    )


def one_class(fields):
    made = {
        name: attrs.field(type=kind, kw_only=True, **({"default": None} if optional else {}))
        for name, (kind, optional) in fields.items()
    }
    return attrs.make_class("Made", made, frozen=True)


kinds = st.recursive(scalars, of_several, max_leaves=6)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-3, 3)
    | st.sampled_from(["", "a", "b", "red", "adapter:cache", "x.y"])
    | st.dates()
    | st.times()
    | st.datetimes(),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "x-a", "$secret"]), below, max_size=3)
    ),
    max_leaves=8,
)


def fitting(kind):
    """Data that are meant for *kind*, most of which fit."""
    import typing

    origin, args = typing.get_origin(kind), typing.get_args(kind)
    known = {
        bool: st.booleans(),
        int: st.integers(),
        Port: st.integers(),
        float: st.floats(allow_nan=False),
        str: st.text(max_size=3),
        Secret: st.text(max_size=3),
        Path: st.text(max_size=3),
        Key: st.just("adapter:cache"),
        Color: st.sampled_from(["red", 1]),
        Flavour: st.just(3),
        dt.date: st.dates(),
        dt.time: st.times(),
        dt.datetime: st.datetimes(timezones=st.sampled_from([None, dt.UTC])),
        type(None): st.none(),
    }
    if kind in known:
        return known[kind]
    if origin in (list, set, Sequence) or (origin is not None and origin.__name__ == "Sequence"):
        return st.lists(fitting(args[0]), max_size=3)
    if origin is tuple:
        if args[-1] is Ellipsis:
            return st.lists(fitting(args[0]), max_size=3)
        return st.tuples(*map(fitting, args))
    if origin is dict:
        return st.dictionaries(st.text(max_size=2), fitting(args[1]), max_size=3)
    if origin is Literal:
        return st.sampled_from(args)
    if attrs.has(kind):
        return st.fixed_dictionaries({}, optional={f.name: fitting(f.type) for f in attrs.fields(kind)})
    if args:
        return st.one_of(*map(fitting, args))
    return values


@examples(deadline=None)
@given(st.data())
def test_what_structure_takes_the_schema_takes(data):
    """Whatever the type, and whatever the data."""
    kind = data.draw(kinds)
    schema = schema_of(kind)
    Draft202012Validator.check_schema(schema)
    value = data.draw(fitting(kind) | values)

    if fills(kind, value):
        assert accepts(schema, value)


plain_scalars = st.sampled_from([bool, str, float, Color, type(None), Any])


@examples(deadline=None)
@given(st.data())
def test_what_the_schema_takes_structure_takes(data):
    """Where it has all the words: the types that JSON has too, and what is made of them."""
    kind = data.draw(
        st.recursive(
            plain_scalars,
            lambda one: st.one_of(
                st.builds(lambda one: list[one], one),
                st.builds(lambda one, two: tuple[one, two], one, one),
                st.builds(lambda one: dict[str, one], one),
                st.builds(
                    one_class,
                    st.dictionaries(st.sampled_from(["a", "b"]), st.tuples(one, st.booleans()), max_size=2),
                ),
            ),
            max_leaves=5,
        )
    )
    value = as_json(data.draw(fitting(kind) | values))

    if accepts(schema_of(kind), value) and "$secret" not in str(value):
        assert fills(kind, value) or 1.0 in _all(value)  # to a schema 1.0 is the 1 of Color.ONE


def _all(value):
    if isinstance(value, Mapping):
        return [each for item in value.values() for each in _all(item)]
    if isinstance(value, list):
        return [each for item in value for each in _all(item)]
    return [value]


# --- of a whole file ----------------------------------------------------------------------------------------------------


@attrs.frozen
class Disk:
    path: str
    password: Secret | None = None
    replicas: tuple[Inner, ...] = ()


@attrs.frozen
class Fetch:
    timeout: float = 1.0


@attrs.frozen
class Log:
    level: int = 0


DOMAINS = (Domain("adapter", "adapters", "replaceable parts"), Domain("action", "actions", settings_by="key"))
CANDIDATES = (
    Candidate(Key("adapter", "cache"), "disk", dict, settings_class=Disk),
    Candidate(Key("adapter", "cache"), "null", dict),
    Candidate(Key("action", "http.fetch"), "kit", dict, settings_class=Fetch),
)
PLUGINS = {"log": Log}


@functools.cache
def document(**options):
    schema = document_schema(DOMAINS, CANDIDATES, PLUGINS, **options)
    Draft202012Validator.check_schema(schema)
    return schema


def valid(data):
    """Whether the settings are, of both phases."""
    from oneiric_hookspecs import SettingsError

    try:
        load(data, environ={}).bind(DOMAINS, CANDIDATES, plugins=PLUGINS)
    except SettingsError:
        return False
    return True


WHOLE = {
    "x-note": 1,
    "app": {"name": "shop", "plugins": ["shop.plugin"], "x-note": 1},
    "plugins": {"off": ["a"], "settings": {"log": {"level": 1}, "x-a": 1}},
    "resolver": {"stack_order": "a:1"},
    "lifecycle": {"create_timeout": 3, "keys": {"adapter:cache": {"mode": "exclusive"}, "x-a": 1}},
    "secrets": {"db": "env:DB"},
    "state": {"url": "memory:"},
    "adapters": {
        "selections": {"cache": "disk", "later": "one"},
        "settings": {"cache": {"disk": {"path": "p", "password": {"$secret": "db"}}}},
    },
    "actions": {"settings": {"http.fetch": {"timeout": 3}}},
    "profile": {"prod": {"adapters": {"settings": {"cache": {"disk": {"password": "x"}}}}}, "x-a": 1},
}

SLIPS = [
    {"ap": {}},
    {"app": {"nam": 1}},
    {"app": {"name": "My Shop"}},
    {"app": 1},
    {"plugins": {"off": "a"}},
    {"plugins": {"settings": {"log": {"level": "x"}}}},
    {"plugins": {"settings": {"nobody": {}}}},
    {"resolver": {"stack_order": 1}},
    {"resolver": {"stack_order": {"a": "1"}}},
    {"lifecycle": {"create_timeout": 0}},
    {"lifecycle": {"probation": -1}},
    {"lifecycle": {"max_generations": 1}},
    {"lifecycle": {"keys": {"cache": {}}}},
    {"lifecycle": {"keys": {"adapter:cache": {"mode": "x"}}}},
    {"secrets": {"db": "DB"}},
    {"adapters": {"selections": {"cache": 1}}},
    {"adapters": {"selections": {"cache": "Big Disk"}}},
    {"adapters": {"select": {}}},
    {"adapters": {"settings": {"cache": {"disk": {"pth": 1}}}}},
    {"adapters": {"settings": {"cache": {"null": {}}}}},
    {"adapters": {"settings": {"cache": {"dsk": {}}}}},
    {"adapters": {"settings": {"cash": {}}}},
    {"actions": {"settings": {"http.fetch": {"timeuot": 1}}}},
    {"profile": 1},
    {"profile": {"prod": {"app": {"nam": 1}}}},
    {"profile": {"test": {"profile": {}}}},
]


def test_a_whole_file_that_is_valid_is_taken():
    """The schema's word and the loader's are the same."""
    assert valid(WHOLE)
    assert accepts(document(), WHOLE)
    assert accepts(document(may_come=True), WHOLE)


@pytest.mark.parametrize("slip", SLIPS, ids=str)
def test_a_slip_is_seen_in_the_editor(slip):
    """Whatever is refused when it is loaded, and can be said."""
    assert not valid(slip)
    assert not accepts(document(), slip)


def test_nothing_is_required_of_one_file():
    """What it does not say may stand in another one, or in the environment."""
    assert accepts(document(), {"adapters": {"settings": {"cache": {"disk": {}}}}})


def test_what_stands_in_a_list_is_whole():
    """A list takes the place of a list, so no other layer completes its items."""
    replicas = {"adapters": {"settings": {"cache": {"disk": {"path": "p", "replicas": [{"port": 1}]}}}}}

    assert not valid(replicas)
    assert not accepts(document(), replicas)


def test_where_plugins_are_missing_more_may_be_right():
    """Nobody knows what they would declare; what is known is still checked."""
    lenient = document(may_come=True)

    for more in (
        {"queues": {}},
        {"adapters": {"settings": {"queue": {"q": {}}, "cache": {"valkey": {}}}}},
        {"plugins": {"settings": {"nobody": {}}}},
    ):
        assert accepts(lenient, more)
        assert not accepts(document(), more)
    assert not accepts(lenient, {"adapters": {"settings": {"cache": {"disk": {"pth": 1}}}}})


def test_known_providers_are_offered():
    """And another one may be written."""
    selections = document()["$defs"]["section-adapters"]["properties"]["selections"]["properties"]

    assert selections["cache"]["anyOf"][0] == {"enum": ["disk", "null"]}


@examples(deadline=None)
@given(
    st.fixed_dictionaries({}, optional={name: st.just(thaw(table)) for name, table in WHOLE.items()}),
    st.sampled_from(SLIPS),
)
def test_parts_of_a_valid_file_are_taken_and_with_a_slip_refused(part, slip):
    """In whatever company."""
    assert accepts(document(), part)
    assert not accepts(document(), part | slip)
