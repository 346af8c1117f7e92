"""validation.schema: everything that is wrong, at once; by fields and by JSON Schema."""

import sys
import time

import pytest

KEY = "validation.schema"

ORDER = {
    "id": {"type": "integer", "min": 1},
    "total": {"type": "number", "max": 1000},
    "paid": {"type": "boolean"},
    "code": {"type": "string", "pattern": "[A-Z]{3}-[0-9]+", "required": False},
    "kind": {"choices": ["new", "old", 1]},
    "note": {"type": "string", "nullable": True, "max": 3},
    "items": {
        "type": "array",
        "min": 1,
        "items": {"type": "object", "fields": {"sku": {"type": "string"}}, "extra": True},
    },
}
GOOD = {"id": 1, "total": 9, "paid": False, "kind": "new", "note": None, "items": [{"sku": "x", "n": 1}]}


def problems(result):
    return [(each["path"], each["message"]) for each in result["problems"]]


def test_what_is_as_it_should_be_is_valid(kits):
    """All fields, and those that may be left out."""
    for data in (GOOD, GOOD | {"code": "ABC-12", "note": "abc", "total": 0.5, "kind": 1}):
        assert kits.call(KEY, data=data, fields=ORDER) == {"valid": True, "problems": [], "more": False}


def test_everything_that_is_wrong_is_told_at_once(kits):
    """By its path, with what was expected and what was found."""
    bad = {
        "id": True,
        "total": 1000.5,
        "paid": 1,
        "code": "ABC-12x",
        "kind": True,
        "note": "long",
        "items": [{"sku": 5}, {}, "x"],
        "totl": 1,
    }

    assert problems(kits.call(KEY, data=bad, fields=ORDER)) == [
        ("id", "expected a whole number, found true"),
        ("total", "expected a number of at most 1000, found 1000.5"),
        ("paid", "expected true or false, found 1"),
        ("code", "does not match '[A-Z]{3}-[0-9]+'"),
        ("kind", "expected one of 'new', 'old', 1, found true"),
        ("note", "expected a length of at most 3, found 4"),
        ("items[0].sku", "expected a text, found 5"),
        ("items[1].sku", "is missing; expected a text"),
        ("items[2]", "expected an object, found 'x'"),
        ("totl", "is not known; did you mean 'total'?"),
    ]


@pytest.mark.parametrize(
    ("field", "value", "valid"),
    [
        ({"type": "integer"}, 1.0, False),
        ({"type": "integer"}, 10**30, True),
        ({"type": "number"}, True, False),
        ({"type": "number"}, 1, True),
        ({"type": "string"}, None, False),
        ({"type": "any"}, None, True),
        ({"type": "boolean"}, 0, False),
        ({"type": "array"}, {}, False),
        ({"type": "object"}, [], False),
        ({"choices": [1]}, True, False),
        ({"choices": [[1, {"a": 2}]]}, [1, {"a": 2}], True),
        ({"choices": [[1, {"a": 2}]]}, [1, {"a": True}], False),
        ({"type": "string", "min": 2}, "é", False),
        ({"type": "array", "max": 1}, [1, 2], False),
        ({"type": "string", "pattern": "a|b"}, "ab", False),
    ],
    ids=range(15),
)
def test_kinds_are_strict(kits, field, value, valid):
    """A bool is no number, 1.0 no integer, null nothing that was asked for."""
    assert kits.call(KEY, data={"x": value}, fields={"x": field})["valid"] is valid


def test_more_than_the_fields_only_where_allowed(kits):
    """At the top, and in an object."""
    assert kits.call(KEY, data={"y": 1}, fields={})["valid"] is False
    assert kits.call(KEY, data={"y": 1}, fields={}, extra=True)["valid"] is True


def test_data_that_are_no_object(kits):
    """The path of the whole is empty."""
    assert problems(kits.call(KEY, data=[1], fields={})) == [("", "expected an object, found a list")]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"x": {"type": "int"}}, "fields.x.type: expected one of "),
        ({"x": {"typ": "any"}}, "fields.x.typ: unknown key (did you mean type?)"),
        (
            {"x": {"type": "boolean", "min": 1}},
            "fields.x: min is for string and array and integer and number, and type is 'boolean'",
        ),
        ({"x": {"type": "string", "min": 2, "max": 1}}, "fields.x: min is 2, and max 1"),
        ({"x": {"type": "string", "pattern": "("}}, "fields.x: '(' is no pattern: "),
        (
            {"x": {"type": "string", "pattern": "(a+)+"}},
            "fields.x: '(a+)+': what is repeated holds no repetition",
        ),
        (
            {"x": {"type": "array", "items": {"type": "array", "items": {"type": "?"}}}},
            "fields.x.items.items.type: ",
        ),
        ({"x": "string"}, "fields.x: expected a table, found 'string'"),
        ({"x": {"required": 1}}, "fields.x.required: expected true or false, found 1"),
    ],
    ids=range(9),
)
def test_fields_that_are_none_are_refused(kits, fields, said):
    """By their path."""
    [line] = kits.refused(KEY, data={}, fields=fields)

    assert line.startswith(said)


def test_a_text_that_is_too_long_for_a_pattern_is_a_problem(kits):
    """It is not tried for ever."""
    fields = {"x": {"type": "string", "pattern": ".*a.*b.*c"}}
    started = time.perf_counter()
    found = problems(kits.call(KEY, data={"x": "ab" * 1000}, fields=fields))

    assert found == [("x", "is longer than the 271 characters that the pattern can be tried on")]
    assert time.perf_counter() - started < 5


# --- JSON Schema -----------------------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer"}, "tree": {"$ref": "#/$defs/tree"}},
    "$defs": {"tree": {"type": "object", "additionalProperties": {"$ref": "#/$defs/tree"}}},
}


def test_json_schema(kits):
    """Valid, and not; references inside the schema are followed."""
    assert kits.call(KEY, data={"id": 1, "tree": {"a": {"b": {}}}}, schema=SCHEMA)["valid"] is True
    assert problems(kits.call(KEY, data={"tree": {"a": {"b": 5}}}, schema=SCHEMA)) == [
        ("", "'id' is a required property"),
        ("tree.a.b", "5 is not of type 'object'"),
    ]
    assert kits.call(KEY, data={"id": True}, schema=SCHEMA)["valid"] is False
    assert kits.call(KEY, data=1, schema=False)["valid"] is False


def test_the_draft_is_that_of_the_schema(kits):
    """An old one means what it meant."""
    old = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}

    assert kits.call(KEY, data=[5], schema=old)["valid"] is False


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (
            {"$ref": "https://example.org/x"},
            "schema.$ref: 'https://example.org/x' is not in this schema: only #... is followed",
        ),
        (
            {"anyOf": [{"$ref": "file:///etc/passwd"}]},
            "schema.anyOf[0].$ref: 'file:///etc/passwd' is not in this schema",
        ),
        ({"$dynamicRef": "x.json"}, "schema.$dynamicRef: 'x.json' is not in this schema"),
        ({"$ref": "#/$defs/none"}, "schema: refers to what is not there: '/$defs/none'"),
        ({"$ref": "#"}, "schema: refers to itself "),
        ({"type": "strin"}, "schema.type: 'strin' is not valid under any of the given schemas"),
        ({"$schema": "urn:x"}, "schema.$schema: there is no draft 'urn:x'"),
        ({"$schema": 5}, "schema.$schema: there is no draft 5"),
        (
            {"not": {"$schema": "http://json-schema.org/draft-07/schema#"}},
            "schema.not.$schema: stands at the top of a schema only",
        ),
        (
            {"properties": {"a": {"pattern": "(a+)+$"}}},
            "schema.properties.a.pattern: '(a+)+$': what is repeated",
        ),
        ({"patternProperties": {"(a|b)*": {}}}, "schema.patternProperties: '(a|b)*': what is repeated"),
        ({"allOf": {}}, "schema.allOf: "),
    ],
    ids=range(12),
)
def test_a_schema_that_does_not_do_is_refused(kits, schema, said):
    """It leads out, never ends, or is none; nothing is fetched."""
    [line] = kits.refused(KEY, data={"a": "x"}, schema=schema)

    assert line.startswith(said)


def test_a_schema_that_means_more_than_all_the_time_is_stopped(kits):
    """Each definition asks for the next one twice."""
    defs = {f"d{place}": {"allOf": [{"$ref": f"#/$defs/d{place + 1}"}] * 2} for place in range(30)}
    schema = {"$ref": "#/$defs/d0", "$defs": defs | {"d30": {}}}
    started = time.perf_counter()

    assert kits.refused(KEY, data=1, schema=schema) == ["schema: refers to itself more than 10,000 times"]
    assert time.perf_counter() - started < 20


def test_a_pattern_is_held_against_the_longest_text(kits):
    """A name in the data counts, too."""
    schema = {"properties": {"a": {"pattern": "x.*y"}}}

    assert kits.call(KEY, data={"a": "x y"}, schema=schema)["valid"] is True
    assert kits.refused(KEY, data={"b" * 9000: 1}, schema=schema) == [
        "schema.properties.a.pattern: may take too long on a text of 9,000 characters"
    ]


def test_jsonschema_that_is_not_installed_is_named(kits, monkeypatch):
    """What to install is said; fields still work."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    [said] = kits.refusals(KEY, [{"data": 1, "schema": True}])

    assert said == (
        "validation.schema: JSON Schema needs a library that is not installed\n"
        "  pip install 'oneiric[schema]'; or give fields"
    )
    assert kits.call(KEY, data={}, fields={})["valid"] is True


def test_what_is_wrong_may_be_an_error(kits):
    """Where the settings say so; and no more is told than they say."""
    kits.settings(f'[actions.settings."{KEY}"]\non_invalid = "error"\nmax_problems = 2\n')

    assert kits.refused(KEY, data={"a": 1, "b": 2, "c": 3}, fields={}) == [
        "data.a: is not known",
        "data.b: is not known",
        f'see the setting actions.settings."{KEY}".on_invalid',
    ]
    kits.settings(f'[actions.settings."{KEY}"]\nmax_problems = 2\n')
    result = kits.call(KEY, data={"a": 1, "b": 2, "c": 3}, fields={})
    assert (len(result["problems"]), result["more"]) == (2, True)


def test_limits_come_from_the_settings(kits):
    """Of data, and of schemas."""
    kits.settings(f'[actions.settings."{KEY}"]\nmax_depth = 2\nmax_values = 4\n')

    assert kits.refused(KEY, data=[[[]]], fields={}) == ["data[0][0]: is nested deeper than 2"]
    assert kits.refused(KEY, data=[1, 1, 1, 1], schema=True) == ["data: holds more than 4 values"]
    assert kits.refused(KEY, data=1, schema={"not": {"not": {}}}) == [
        "schema.not.not: is nested deeper than 2"
    ]


def nested(levels):
    field = {"type": "array"}
    for _ in range(levels):
        field = {"type": "array", "items": field}
    return field


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"data": 1}, "give one of fields and schema, found none of them"),
        ({"data": 1, "fields": {}, "schema": True}, "give one of fields and schema, found fields and schema"),
        ({"fields": {}}, "data: is missing; expected a value"),
        ({"data": 1, "schema": "true"}, "schema: expected "),
        ({"data": 1, "fields": []}, "fields: expected a table, found a list"),
        ({"data": 1, "fields": {"x": nested(2000)}}, ""),
    ],
    ids=range(6),
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type, too deep: one line."""
    [line] = kits.refused(KEY, **request_)

    assert line.startswith(said)
