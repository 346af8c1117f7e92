"""workflow.orchestrate: an order, or everything that is in its way."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEY = "workflow.orchestrate"


def steps(**after):
    """Steps by name, each with the names it waits for."""
    return [{"id": name, "after": names.split()} for name, names in after.items()]


SHOP = steps(build="", test="build", lint="", pack="build test", ship="pack lint", notes="")


def test_batches(kits):
    """What can be done at once is one batch, in the order in which it was given."""
    assert kits.call(KEY, steps=SHOP) == {
        "batches": [["build", "lint", "notes"], ["test"], ["pack"], ["ship"]],
        "graph": {
            "build": [],
            "test": ["build"],
            "lint": [],
            "pack": ["build", "test"],
            "ship": ["pack", "lint"],
            "notes": [],
        },
        "entry": ["build", "lint", "notes"],
        "terminal": ["ship", "notes"],
        "left_out": [],
    }


def test_a_subset_pulls_what_it_needs(kits):
    """And nothing more."""
    result = kits.call(KEY, steps=SHOP, only=["pack"])

    assert result["batches"] == [["build"], ["test"], ["pack"]]
    assert result["terminal"] == ["pack"]
    assert result["left_out"] == ["lint", "ship", "notes"]


def test_batches_are_no_wider_than_asked_for(kits):
    """By the request, else by the settings."""
    kits.settings(f'[actions.settings."{KEY}"]\nwidth = 2\n')

    assert kits.call(KEY, steps=SHOP)["batches"][:2] == [["build", "lint"], ["notes"]]
    assert kits.call(KEY, steps=SHOP, width=1)["batches"][:3] == [["build"], ["lint"], ["notes"]]


def test_nothing_to_do_is_no_error(kits):
    """An order of nothing."""
    assert kits.call(KEY, steps=[])["batches"] == []


def test_everything_that_is_wrong_is_said_at_once(kits):
    """Who is missing, there twice, waits for himself, or in a circle; each by its path."""
    wrong = [
        *steps(
            one="two", two="three", three="one", self="self", lost="tow nobody", left="right", right="left"
        ),
        {"id": "two", "after": []},
    ]

    assert kits.refused(KEY, steps=wrong, only=["oen"]) == [
        "steps[3].after[0]: 'self' waits for itself",
        "steps[4].after[0]: there is no step 'tow' (did you mean 'two'?)",
        "steps[4].after[1]: there is no step 'nobody'",
        "steps[7].id: 'two' is the id of steps[1], too",
        "only[0]: there is no step 'oen' (did you mean 'one'?)",
        "steps[0].after: 'one' waits for 'two' waits for 'three' waits for 'one'",
        "steps[5].after: 'left' waits for 'right' waits for 'left'",
    ]


def test_what_is_wrong_with_many_is_cut(kits):
    """The error stays readable."""
    lines = kits.refused(KEY, steps=[{"id": "a", "after": ["b" * 200] * 3000}])

    assert len(lines) == 21
    assert lines[0] == "steps[0].after[0]: there is no step '" + "b" * 37 + "...'"
    assert lines[-1] == "and 2980 more"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25))
def test_an_order_holds(kits, edges):
    """No step comes before one it waits for, and each comes once; or a circle is named."""
    after = {str(place): [] for place in range(10)}
    for one, other in edges:
        if one != other:
            after[str(one)].append(str(other))
    [answer] = kits.refusals(KEY, [{"steps": [{"id": name, "after": list(n)} for name, n in after.items()]}])
    if isinstance(answer, str):
        for line in answer.splitlines()[1:]:
            circle = line.partition(".after: ")[2].replace("'", "").split(" waits for ")
            assert circle[0] == circle[-1]
            assert all(other in after[one] for one, other in itertools.pairwise(circle))
    else:
        place = {name: number for number, batch in enumerate(answer["batches"]) for name in batch}
        assert sorted(place) == sorted(after)
        assert all(place[other] < place[name] for name, names in after.items() for other in names)


def test_a_long_chain_is_no_trouble(kits):
    """Depth is no recursion, right or wrong."""
    chain = [{"id": str(place), "after": [str(place - 1)] if place else []} for place in range(1000)]
    assert len(kits.call(KEY, steps=chain)["batches"]) == 1000
    chain[0]["after"] = ["999"]
    [line] = kits.refused(KEY, steps=chain)
    assert line.startswith("steps[0].after: '0' waits for '999' waits for '998'")
    assert len(line) < 300


def test_limits_come_from_the_settings(kits):
    """How many steps, and how many names they wait for."""
    kits.settings(f'[actions.settings."{KEY}"]\nmax_steps = 2\nmax_after = 2\n')

    assert kits.refused(KEY, steps=steps(a="", b="", c="")) == [
        "steps: holds 3 steps, and 2 are allowed",
        f'see the setting actions.settings."{KEY}".max_steps',
    ]
    assert (
        kits.refused(KEY, steps=steps(a="b b b", b=""))[1]
        == f'see the setting actions.settings."{KEY}".max_after'
    )


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "steps: is missing; expected a list"),
        ({"steps": {}}, "steps: expected a list, found a table"),
        ({"steps": [{"after": []}]}, "steps[0].id: is missing; expected a text"),
        ({"steps": [{"id": ""}]}, "steps[0]: id has 1 to 200 characters, found 0"),
        ({"steps": [{"id": "x" * 201}]}, "steps[0]: id has 1 to 200 characters, found 201"),
        ({"steps": [{"id": "x", "after": "y"}]}, "steps[0].after: expected a list, found 'y'"),
        ({"steps": [{"id": "x", "after": [1]}]}, "steps[0].after[0]: expected a text, found 1"),
        ({"steps": [], "width": True}, "width: expected a whole number, found true"),
        ({"steps": [], "width": 0}, "width: "),
    ],
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type: one line."""
    [line] = kits.refused(KEY, **request_)

    assert line.startswith(said)
