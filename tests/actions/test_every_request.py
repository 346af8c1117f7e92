"""Whatever an action is asked, the answer is its result or one error, which names the field; and a slip does nothing."""

import asyncio
import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import ActionError, OneiricError

from oneiric import assemble

_spec = spec_from_file_location("every_action", Path(__file__).parent / "test_every_action.py")
every_action = module_from_spec(_spec)
_spec.loader.exec_module(every_action)
ROWS, NAMES = every_action.ROWS, every_action.NAMES

#: A value of each kind that JSON knows; a whole number is a number, too.
KINDS = {
    "null": None,
    "boolean": True,
    "integer": 3,
    "number": 0.5,
    "string": "x",
    "array": [[]],
    "object": {"x": {}},
}
#: What would take long, or leave the process, is set to what does not.
SETTINGS = """
[app]
state_dir = "{folder}/state"
[state]
url = "memory:"
[actions.settings."security.secure"]
scrypt_ln = 10
scrypt_p = 1
[actions.settings."http.fetch"]
hosts = ["a.test"]
attempts = 1
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """``runtime(main)`` gives what ``await main(runtime)`` does; it is one for all tests here."""
    folder = tmp_path_factory.mktemp("requests")
    (folder / "oneiric.toml").write_text(SETTINGS.format(folder=folder))
    with asyncio.Runner() as runner:
        made = assemble(folder / "oneiric.toml", environment=False)
        runner.run(made.start())
        yield lambda main: runner.run(main(made))
        runner.run(made.close())


def kinds_of(schema, whole):
    """The kinds of value that a schema takes; all where it does not say."""
    if "$ref" in schema:
        return kinds_of(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return set().union(*(kinds_of(each, whole) for each in schema[word]))
    if "const" in schema or "enum" in schema:
        found = {kind_of(each) for each in schema.get("enum", [schema.get("const")])}
    elif "type" in schema:
        found = {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
    else:
        return set(KINDS)
    return found | {"integer"} if "number" in found else found


def kind_of(value):
    """By the very class: true is no number."""
    return next(kind for kind, each in KINDS.items() if each.__class__ is value.__class__)


async def said(runtime, name, request):
    """The error of a request; None where there is a result."""
    try:
        await runtime.call("action", name, request)
    except OneiricError as error:
        return error
    return None


@pytest.mark.parametrize("name", NAMES)
def test_a_field_takes_nothing_of_another_kind(name, runtime):
    """True is no number, a number no text; the error has one line for the field, and it begins with its path."""

    async def main(runtime):
        schema = runtime.schema(runtime.domain("action").get(name).takes)
        before = await runtime.state.revision("")
        wrong = []
        for field, about in schema["properties"].items():
            for kind in KINDS.keys() - kinds_of(about, schema):
                error = await said(runtime, name, {**ROWS[name].request, field: KINDS[kind]})
                paths = [each.path for each in error.problems] if isinstance(error, ActionError) else error
                if paths != [field] and not (
                    isinstance(paths, list) and paths[0].startswith((f"{field}.", f"{field}["))
                ):
                    wrong.append((field, kind, paths))
        return wrong, before == await runtime.state.revision("")

    assert runtime(main) == ([], True)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_or_unknown_is_named(name, runtime):
    """All of it at once."""

    async def main(runtime):
        schema = runtime.schema(runtime.domain("action").get(name).takes)
        error = await said(runtime, name, {"nothing_like_it": 1, "nor_this": 2})
        return schema.get("required", []), [each.path for each in error.problems]

    required, paths = runtime(main)
    assert sorted(paths) == sorted([*required, "nothing_like_it", "nor_this"])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MORE = {
    "null": st.none(),
    "boolean": st.booleans(),
    "integer": st.integers() | st.sampled_from([2**31, 2**63, 10**400, -1, 0]),
    "number": st.floats() | st.sampled_from([1e308, 5e-324, -0.0]),
    "string": st.text(max_size=30)
    | st.sampled_from(["\ud800", "\0", "../..", "\x1b[2J", "x" * 10_000, "{{}}", "%s"]),
    "array": st.lists(PLAIN, max_size=4),
    "object": st.dictionaries(st.text(max_size=8), PLAIN, max_size=4),
}


def strategy(schema, whole):
    """Requests of the right kinds, and what they should not hold."""
    if "$ref" in schema:
        return strategy(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return st.one_of([strategy(each, whole) for each in schema[word]])
    if "properties" in schema:
        fields = {name: strategy(each, whole) for name, each in schema["properties"].items()}
        required = {name: fields.pop(name) for name in schema.get("required", [])}
        return st.fixed_dictionaries(required, optional=fields)
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return st.lists(strategy(schema["items"], whole), max_size=3)
    return st.one_of([MORE[kind] for kind in sorted(kinds_of(schema, whole))])


@pytest.mark.parametrize("name", NAMES)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_request_of_the_right_kinds(name, runtime, data):
    """A result that is plain data, or one error that names the action: never an exception of a bug."""

    async def schema(runtime):
        return runtime.schema(runtime.domain("action").get(name).takes)

    whole = runtime(schema)
    request = data.draw(strategy(whole, whole))

    async def main(runtime):
        try:
            return json.dumps(await runtime.call("action", name, request)), ""
        except OneiricError as error:
            return "", str(error)

    _, text = runtime(main)
    assert not text or name in text
    assert len(text) < 5000
    assert " failed: " not in text
    assert "\x1b" not in text
