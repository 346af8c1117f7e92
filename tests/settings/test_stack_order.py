"""The order of packages, in its three forms."""

import pytest
from oneiric_hookspecs import SettingsError

from oneiric.settings import load, parse_stack_order

FORM = " (write app:100,vendor:50, or names alone, the strongest first)"


@pytest.mark.parametrize(
    ("written", "order"),
    [
        ("", {}),
        ("app:100,vendor:50", {"app": 100, "vendor": 50}),
        (" app : -1 , my-kit.x:+0".replace("+", ""), {"app": -1, "my-kit.x": 0}),
        ("a,b,c", {"a": 3, "b": 2, "c": 1}),
        ("a:100,b,c", {"a": 100, "b": 2, "c": 1}),
        (["a", "b"], {"a": 2, "b": 1}),
        (["a:7"], {"a": 7}),
        ([], {}),
        ({"app": 100, "_v": -5}, {"app": 100, "_v": -5}),
    ],
)
def test_every_form_is_read(written, order):
    """A text, a list and a table; a bare name gets its priority from its position."""
    assert parse_stack_order(written) == order
    assert load({"resolver": {"stack_order": written}}, environ={}).resolver.stack_order == order


@pytest.mark.parametrize(
    ("written", "messages"),
    [
        (
            "app:high",
            [f"resolver.stack_order: 'app:high' is neither a package nor a package with its priority{FORM}"],
        ),
        ("a,,b", [f"resolver.stack_order: '' is neither a package nor a package with its priority{FORM}"]),
        (
            "a:1.5,b c",
            [
                f"resolver.stack_order: {each!r} is neither a package nor a package with its priority{FORM}"
                for each in ("a:1.5", "b c")
            ],
        ),
        ("a:1,a:2", ["resolver.stack_order: 'a' is given twice"]),
        (
            ["a", 5],
            [f"resolver.stack_order[1]: 5 is neither a package nor a package with its priority{FORM}"],
        ),
        (
            {"a": True, "b:1": 1},
            [
                "resolver.stack_order.a: expected a whole number, found true",
                "resolver.stack_order.\"b:1\": 'b:1' is not the name of a package",
            ],
        ),
        (5, [f"resolver.stack_order: expected a text, a list or a table, found 5{FORM}"]),
        ("a:१", [f"resolver.stack_order: 'a:१' is neither a package nor a package with its priority{FORM}"]),
    ],
)
def test_a_bad_token_is_named(written, messages):
    """All of them at once, and each with what was written."""
    for attempt in (parse_stack_order, lambda order: load({"resolver": {"stack_order": order}}, environ={})):
        with pytest.raises(SettingsError) as caught:
            attempt(written)
        assert [str(problem) for problem in caught.value.problems] == messages
