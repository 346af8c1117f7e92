"""automation.trigger: which rules hold, by operators that mean one thing each; and patterns that end."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneiric.plugins._filters import OPS, Condition, all_of, compiled
from oneiric.plugins._patterns import Pattern

KEY = "automation.trigger"

DATA = {
    "order": {
        "total": 100,
        "paid": True,
        "code": "A-1",
        "lines": [{"n": 1}, {"n": 2}],
        "note": None,
        "x.y": 1,
    },
    "tags": ["new", 1],
}


@pytest.mark.parametrize(
    ("path", "op", "value", "holds"),
    [
        ("order.total", "equals", 100, True),
        ("order.total", "equals", 100.0, True),
        ("order.total", "equals", "100", False),
        ("order.paid", "equals", True, True),
        ("order.paid", "equals", 1, False),
        ("order.note", "equals", None, True),
        ("order.nothing", "equals", None, False),
        ("order.lines", "equals", [{"n": 1}, {"n": 2}], True),
        ("order.lines", "equals", [{"n": True}, {"n": 2}], False),
        ("order.lines", "equals", [{"n": 1}], False),
        ("order", "equals", {"total": 100}, False),
        ("order.lines.1.n", "equals", 2, True),
        ("order.lines.2.n", "exists", None, False),
        ("order.lines.-1", "exists", None, False),
        ('order."x.y"', "equals", 1, True),
        ("order.total", "not_equals", 99, True),
        ("order.total", "not_equals", 100, False),
        ("order.nothing", "not_equals", 1, True),
        ("order.code", "any_of", ["B", "A-1"], True),
        ("order.paid", "any_of", [1, "true"], False),
        ("order.nothing", "any_of", [None], False),
        ("order.code", "any_of", [], False),
        ("order.note", "exists", None, True),
        ("order.note", "exists", True, True),
        ("order.nothing", "exists", True, False),
        ("order.nothing", "exists", False, True),
        ("order.note.deeper", "exists", False, True),
        ("order.total", "gt", 99.5, True),
        ("order.total", "gt", 100, False),
        ("order.total", "gte", 100, True),
        ("order.total", "lt", 100, False),
        ("order.total", "lte", 100, True),
        ("order.code", "gt", "A-0", True),
        ("order.code", "gt", 1, False),
        ("order.total", "lt", "z", False),
        ("order.paid", "gte", 0, False),
        ("order.nothing", "lt", 1, False),
        ("order.code", "matches", "A-[0-9]+", True),
        ("order.code", "matches", "A", False),
        ("order.total", "matches", ".*", False),
        ("order.code", "contains", "-", True),
        ("order.code", "contains", 1, False),
        ("tags", "contains", "new", True),
        ("tags", "contains", True, False),
        ("tags", "contains", 1, True),
        ("order", "contains", "total", True),
        ("order.total", "contains", 1, False),
        ("order.nothing", "contains", "", False),
    ],
)
def test_operators(path, op, value, holds):
    """Each value is of a kind of its own; what is not there equals nothing."""
    assert compiled(Condition(path, op, value))(DATA) is holds


def test_every_operator_is_tried():
    """A new one has a row above."""
    rows = next(mark for mark in test_operators.pytestmark if mark.name == "parametrize").args[1]

    assert {row[1] for row in rows} == set(OPS)


@settings(max_examples=200, deadline=None)
@given(
    op=st.sampled_from(OPS),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=4
    ),
    data=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
        max_leaves=6,
    ),
    path=st.sampled_from(["a", "a.b", "0", "a.0.b", "b.1"]),
)
def test_a_filter_that_was_made_never_raises(op, value, data, path):
    """It says yes or no to any data; or it could not be made."""
    try:
        test = compiled(Condition(path, op, value))
    except ValueError:
        return
    assert test(data) in (True, False)


RULES = f"""
    [actions.settings."{KEY}"]
    stop_on_match = false

    [[actions.settings."{KEY}".rules]]
    name = "large"
    when = [{{ path = "total", op = "gte", value = 100 }}, {{ path = "paid", op = "equals", value = true }}]
    then = {{ task = "check" }}

    [[actions.settings."{KEY}".rules]]
    name = "first"
    when = [{{ path = "n", op = "equals", value = 1 }}]
    stop = true

    [[actions.settings."{KEY}".rules]]
    name = "always"
    then = "log"
"""
LARGE, FIRST, ALWAYS = (
    {"rule": "large", "then": {"task": "check"}},
    {"rule": "first", "then": None},
    {"rule": "always", "then": "log"},
)


@pytest.mark.parametrize(
    ("asked", "matched", "stopped"),
    [
        ({"data": {}}, [ALWAYS], False),
        ({"data": {"total": 100}}, [ALWAYS], False),
        ({"data": {"total": 100, "paid": True}}, [LARGE, ALWAYS], False),
        ({"data": {"total": 100, "paid": True, "n": 1}}, [LARGE, FIRST], True),
        ({"data": {"total": 100, "paid": True}, "stop_on_match": True}, [LARGE], True),
        ({"data": {}, "stop_on_match": True}, [ALWAYS], False),
    ],
    ids=range(6),
)
def test_rules_of_the_settings(kits, asked, matched, stopped):
    """In their order, until one stops; what is to be done comes back."""
    kits.settings(RULES)

    assert kits.call(KEY, **asked) == {"matched": matched, "stopped": stopped}


def test_a_request_brings_rules_only_where_it_may(kits):
    """Where the settings have none, or say so."""
    inline = {"data": 1, "rules": [{"name": "r"}]}
    assert kits.call(KEY, **inline)["matched"] == [{"rule": "r", "then": None}]
    kits.settings(RULES)
    assert kits.refused(KEY, **inline) == [
        "rules: come from the settings, not from the request",
        f'see the setting actions.settings."{KEY}".allow_inline_rules',
    ]
    kits.settings(RULES.replace("stop_on_match = false", "allow_inline_rules = true"))
    assert kits.call(KEY, **inline)["matched"] == [{"rule": "r", "then": None}]
    kits.settings("")
    assert kits.refusals(KEY, [{"data": 1}]) == [
        f'automation.trigger: there are no rules\n  see the setting actions.settings."{KEY}".rules'
    ]


def test_a_rule_in_the_settings_that_is_none_is_told_when_they_are_read(kits):
    """With its file and line."""
    from oneiric_hookspecs import SettingsError

    kits.settings(RULES.replace('op = "gte"', 'op = "gtee"'))

    with pytest.raises(SettingsError) as caught:
        kits.call(KEY, data=1)
    assert "oneiric.toml:" in str(caught.value)
    assert "did you mean 'gte'?" in str(caught.value)


def when(**condition):
    return {"data": {}, "rules": [{"name": "r", "when": [{"path": "a", "op": "equals"} | condition]}]}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "data: is missing; expected a value"),
        ({"data": 1, "rules": [{}]}, "rules[0].name: is missing; expected a text"),
        ({"data": 1, "rules": {"name": "r"}}, "rules: expected a list, found a table"),
        ({"data": 1, "rules": [{"name": "r", "stop": 1}]}, "rules[0].stop: expected true or false, found 1"),
        ({"data": 1, "stop_on_match": 1}, "stop_on_match: expected true or false, found 1"),
        (when(op="equal"), "rules[0].when[0].op: expected one of "),
        (when(path=""), "rules[0].when[0]: '' is no path"),
        (when(path="a..b"), "rules[0].when[0]: 'a..b' is no path"),
        (when(path="x." * 600), "rules[0].when[0]: a path has at most 500 characters, found 1200"),
        (when(op="any_of", value="a"), "rules[0].when[0]: op any_of compares to a list of values"),
        (when(op="exists", value=1), "rules[0].when[0]: op exists takes true, false or no value"),
        (when(op="gt", value=True), "rules[0].when[0]: op gt compares to a number or a text"),
        (when(op="lte"), "rules[0].when[0]: op lte compares to a number or a text"),
        (when(op="matches", value=1), "rules[0].when[0]: op matches compares to a regular expression"),
        (when(op="matches", value="("), "rules[0].when[0]: '(' is no pattern: missing ), unterminated"),
        (
            when(op="matches", value="(a+)+b"),
            "rules[0].when[0]: '(a+)+b': what is repeated holds no repetition",
        ),
        (when(value=[[[]] * 999] * 9), "rules[0].when[0]: holds more than 1,000 values"),
        (when(values=1), "rules[0].when[0].values: unknown key (did you mean value?)"),
        ({"data": 1, "rules": [{"name": "r"}] * 101}, "rules: are 101, and 100 are allowed"),
        (
            {"data": {}, "rules": [{"name": "r", "when": when()["rules"][0]["when"] * 501}]},
            "rules: have 501 conditions, and 500 are allowed",
        ),
    ],
    ids=range(20),
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type, an operator that there is not: one line, before anything is looked at."""
    line = kits.refused(KEY, **request_)[0]

    assert line.startswith(said)


def test_no_conditions_hold_of_anything():
    """All of none."""
    assert all_of([])(None) is True


# --- patterns, rule by rule ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x" * 201, "a pattern has at most 200 characters, found 201"),  # P1
        ("(a+)+", "what is repeated holds no repetition or choice itself"),  # P2
        ("(a*)*", "what is repeated holds no repetition or choice itself"),
        ("(?:a?){9}", "what is repeated holds no repetition or choice itself"),
        ("((a)|b)*", "what is repeated holds no repetition or choice itself"),
        ("(a{,})+", "what is repeated holds no repetition or choice itself"),
        ("(x(y+))+?", "what is repeated holds no repetition or choice itself"),
        (r"(a)\1", "a pattern does not refer back to a group"),  # P3
        ("(?P<n>a)(?P=n)", "a group is (...), (?:...) or (?P<name>...)"),
        ("(?=a)", "a group is (...), (?:...) or (?P<name>...)"),
        ("(?<!a)b", "a group is (...), (?:...) or (?P<name>...)"),
        ("(a)?(?(1)b|c)", "a group is (...), (?:...) or (?P<name>...)"),
        ("a?" * 30, "has too many of * + ? | to be tried on a text"),  # P4
        ("(a|a)" * 30, "has too many of * + ? | to be tried on a text"),
        (".*" * 9, "has too many of * + ? | to be tried on a text"),
        ("(?:(?:(?:){1000}){1000}){1000}", "has too many of * + ? | to be tried on a text"),
        ("a{1001}", "a count is at most 1000"),
        ("a{99999999999999999999}", "a count is at most 1000"),
        ("(?x)a", "the flag x is not understood here"),  # P5
        ("[[a]", "write a backslash before '[' in a set"),
        ("[a--b]", "write a backslash before '-' in a set"),
        ("[", "is no pattern: unterminated character set"),
        (")", "is no pattern: unbalanced parenthesis"),
        ("a\\", "is no pattern: bad escape"),
        ("*", "is no pattern: nothing to repeat"),
    ],
    ids=range(25),
)
def test_a_pattern_that_could_run_for_ever_is_refused(text, said):
    """By the rule that it breaks."""
    with pytest.raises(ValueError) as caught:
        Pattern(text)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("[a-z0-9-]+", "shop-1", "Shop"),
        (r"[^@]+@[^@]+\.[a-z]{2,}", "a@b.org", "a@b"),
        (r"\d{4}-\d{2}-\d{2}", "2026-01-02", "2026-1-2"),
        (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", "10.0.0.1", "10.0.0"),
        ("(?i)get|post", "GeT", "put"),
        ("(?:ab)*c?", "ababc", "abb"),
        (r"[]\])]+", ")]", "("),
        ("(?P<year>[0-9]{4})", "2026", "26"),
        (r"\(a\)\*", "(a)*", "a"),
        ("a+?b*+", "aab", "b"),
        ("", "", "x"),
    ],
    ids=range(11),
)
def test_usual_patterns_may_be_given(text, good, bad):
    """They describe the whole of a text."""
    assert (Pattern(text).matches(good), Pattern(text).matches(bad)) == (True, False)


@settings(max_examples=300, deadline=None)
@given(
    text=st.lists(
        st.sampled_from(
            [
                "a",
                "b",
                ".",
                "a?",
                "a*",
                "a+?",
                "b{2,9}",
                "b{2,}",
                "b{,3}",
                "(",
                ")",
                "(?:",
                ")*",
                ")+",
                "){3}",
                ")?",
                "|",
                "[ab]",
                "[^b]*",
            ]
        ),
        max_size=14,
    ).map("".join),
    whole=st.booleans(),
)
def test_what_is_not_refused_ends(text, whole):
    """On the worst texts it is tried on, each within a second or so."""
    try:
        pattern = Pattern(text, whole=whole)
    except ValueError:
        return
    for worst in ("a", "b", "ab", "ba"):
        length = min(pattern.longest or 10_000, 10_000)
        started = time.process_time()
        pattern.matches((worst * length)[: length - 1] + "!")
        assert time.process_time() - started < 3
