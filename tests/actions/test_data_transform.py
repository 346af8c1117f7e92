"""data.transform: include, exclude, rename, defaults; and nothing is lost silently."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneiric.plugins.actions.data_transform import Request

KEY = "data.transform"

ORDER = {
    "id": 7,
    "user": {"name": "Ann", "mail": "a@b", "address": {"city": "X"}},
    "items": [{"n": 1}],
    "note": None,
}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ORDER),
        ({"include": ["id"]}, {"id": 7}),
        ({"include": []}, {}),
        ({"include": ["user.name", "id"]}, {"id": 7, "user": {"name": "Ann"}}),
        ({"include": ["user.name", "user"]}, {"user": ORDER["user"]}),
        ({"include": ["note"]}, {"note": None}),
        ({"exclude": ["user", "items", "nothing.here"]}, {"id": 7, "note": None}),
        (
            {"include": ["user"], "exclude": ["user.mail", "user.address.city"]},
            {"user": {"name": "Ann", "address": {}}},
        ),
        ({"include": ["id", "note"], "rename": {"id": "note", "note": "id"}}, {"note": 7, "id": None}),
        ({"include": ["id"], "rename": {"id": "order.number"}}, {"order": {"number": 7}}),
        ({"include": ["user.name"], "rename": {"user.name": "name"}}, {"user": {}, "name": "Ann"}),
        (
            {
                "include": ["user.name", "user.mail"],
                "rename": {"user.name": "user.mail", "user.mail": "user.name"},
            },
            {"user": {"mail": "Ann", "name": "a@b"}},
        ),
        ({"include": ["id"], "rename": {"id": "id"}}, {"id": 7}),
        ({"include": ["id"], "rename": {"id": "user", "user": "gone"}}, {"user": 7}),
        (
            {"include": ["id", "note"], "defaults": {"id": 1, "note": 1, "new.deep": []}},
            {"id": 7, "note": None, "new": {"deep": []}},
        ),
        ({"include": ["id"], "rename": {"id": "x"}, "defaults": {"id": 0}}, {"x": 7, "id": 0}),
        ({"include": ["id"], "exclude": ["id"], "defaults": {"id": 0}}, {"id": 0}),
        ({"include": ["id"], "rename": {"id": '"a.b"'}}, {"a.b": 7}),
    ],
    ids=range(18),
)
def test_in_this_order(kits, asked, expected):
    """Chosen, left out, renamed, filled in; names keep their order."""
    result = kits.call(KEY, data=ORDER, **asked)["data"]

    assert result == expected
    assert list(result) == list(expected)


def test_what_is_given_is_not_changed(kits):
    """The result is a copy, to its depths."""
    data = {"a": {"b": [1]}, "c": 2}

    async def scenario(runtime):
        face = runtime.domain("action")
        result = await face.invoke(KEY, Request(data, exclude=("c",), defaults={"a.x": 1}))
        result.data["a"]["b"].append(2)

    kits.run(scenario)

    assert data == {"a": {"b": [1]}, "c": 2}


def test_names_with_dots_stand_in_quotes(kits):
    """A quote in a name, too."""
    data = {"a.b": {"c": 1}, 'say "x"': 2, "": 3}

    assert kits.call(KEY, data=data, include=['"a.b".c', '"say \\"x\\""'])["data"] == {
        "a.b": {"c": 1},
        'say "x"': 2,
    }


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"rename": {"a": "b"}}, ["rename.a: there is something at b already"]),
        ({"rename": {"a": "x", "b": "x"}}, ["rename.b: there is something at x already"]),
        ({"rename": {"a": "b.c"}}, ["rename.a: b.c leads through what is no table"]),
        ({"rename": {"t": "x", "t.u": "y"}}, ['rename."t.u": is below t, which is renamed too']),
        ({"rename": {"a": "x", "b": "x.y"}}, ["rename.b: x.y is below x, which is a new name too"]),
        ({"defaults": {"a.b": 1}}, ['defaults."a.b": leads through what is no table']),
        (
            {"include": ["a..b"]},
            ["include[0]: 'a..b' is no path: names with dots between them, those with a dot in quotes"],
        ),
        (
            {"exclude": [""]},
            ["exclude[0]: '' is no path: names with dots between them, those with a dot in quotes"],
        ),
        ({"exclude": ["x" * 501]}, ["exclude[0]: a path has at most 500 characters, found 501"]),
        ({"exclude": [".".join("x" * 33)]}, ["exclude[0]: a path has at most 32 parts, found 33"]),
        (
            {"rename": {"a": "b."}},
            ["rename.a: 'b.' is no path: names with dots between them, those with a dot in quotes"],
        ),
        (
            {"rename": {'"a': "b"}},
            ["rename.\"a: '\"a' is no path: names with dots between them, those with a dot in quotes"],
        ),
        (
            {"missing": "error", "include": ["a", "zz"], "rename": {"yy": "b"}},
            ["data: there is nothing at zz", "data: there is nothing at yy"],
        ),
    ],
    ids=range(13),
)
def test_a_collision_is_an_error(kits, asked, said):
    """And so is a path that is none, or leads through what is no table; all at once."""
    assert kits.refused(KEY, data={"a": 1, "b": 2, "t": {"u": 3}}, **asked) == said


def test_what_is_missing_is_told(kits):
    """In the result, or as an error where the settings say so."""
    asked = {"data": {"a": 1}, "include": ["a", "b.c"], "rename": {"x": "y"}}

    assert kits.call(KEY, **asked)["missing"] == ["b.c", "x"]
    kits.settings(f'[actions.settings."{KEY}"]\nmissing = "error"\n')
    assert kits.refused(KEY, **asked) == ["data: there is nothing at b.c", "data: there is nothing at x"]
    assert kits.call(KEY, **asked, missing="ignore")["data"] == {"a": 1}


names = st.sampled_from(["a", "b", "c", "a.b", '"x.y"'])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.recursive(
        st.integers(),
        lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c", "x.y"]), inner),
        max_leaves=8,
    ).filter(lambda data: isinstance(data, dict)),
    rename=st.dictionaries(names, names, max_size=4),
)
def test_renaming_keeps_every_value(kits, data, rename):
    """However names change places, no value is lost; or it is an error."""

    def leaves(value):
        return (
            sorted(leaf for item in value.values() for leaf in leaves(item))
            if isinstance(value, dict)
            else [value]
        )

    [answer] = kits.refusals(KEY, [{"data": data, "rename": rename}])

    assert isinstance(answer, str) or leaves(answer["data"]) == leaves(data)


def test_limits_come_from_the_settings(kits):
    """Depth, values and paths."""
    kits.settings(f'[actions.settings."{KEY}"]\nmax_depth = 2\nmax_values = 5\nmax_paths = 1\n')
    asked = [
        {"data": {"a": {"b": {}}}},
        {"data": dict.fromkeys("abcde", 1)},
        {"data": {}, "exclude": ["a", "b"]},
        {"data": {}, "defaults": {"a": [[[]]]}},
    ]

    assert [kits.refused(KEY, **each)[0] for each in asked] == [
        "data.a.b: is nested deeper than 2",
        "data: holds more than 5 values",
        "exclude: names 2 paths, and 1 are allowed",
        "defaults.a[0]: is nested deeper than 2",
    ]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "data: is missing; expected a table"),
        ({"data": []}, "data: expected a table, found a list"),
        ({"data": {}, "include": "a"}, "include: expected a list, found 'a'"),
        ({"data": {}, "rename": {"a": 1}}, "rename.a: expected a text, found 1"),
        ({"data": {}, "exclude": [True]}, "exclude[0]: expected a text, found true"),
        ({"data": {}, "mising": 1}, "mising: unknown key (did you mean missing?)"),
        ({"data": {"a": float("nan")}}, "data.a: nan is no number of JSON"),
    ],
    ids=range(7),
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type: one line."""
    [line] = kits.refused(KEY, **request_)

    assert line.startswith(said)
