"""The search: from tries that are good or bad to who is to blame, whatever that is."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from oneiric.cli.bisect.search import Found, Search


def search(count, *culprits):
    """Search among numbers, where a try is bad if it has all of some culprits; gives what was found, and the tries."""
    tries = []

    def bad(on):
        tries.append(on)
        return any(set(group) <= set(on) for group in culprits)

    return Search(range(count), bad).find(), tries


def test_all_is_well():
    """One try, with all of them."""
    assert search(5) == (Found("good"), [(0, 1, 2, 3, 4)])


def test_none_of_them():
    """It is bad without any of them, too."""
    assert search(5, ()) == (Found("not plugins"), [(0, 1, 2, 3, 4), ()])


def test_one_of_seven():
    """All, none, three halvings, it alone, and all without it."""
    found, tries = search(7, [4])

    assert found == Found("found", ((4,),), (4,))
    assert tries == [(0, 1, 2, 3, 4, 5, 6), (), (0, 1, 2), (3, 4), (3,), (4,), (0, 1, 2, 3, 5, 6)]


def test_two_that_are_bad_together():
    """Either alone is good; both are named, and one of them is to be left out."""
    assert search(8, [1, 6])[0] == Found("found", ((1, 6),), (1,))


def test_two_that_are_bad_alone():
    """Each is named, and both are to be left out."""
    assert search(8, [1], [6])[0] == Found("found", ((1,), (6,)), (1, 6))


def test_two_groups_with_a_member_in_common():
    """What is to be left out is tried: leaving out the one they share is not always seen, but what is said is true."""
    found, tries = search(8, [1, 6], [1, 3])

    assert found.groups == ((1, 3),)
    assert found.off == (1,)
    assert (0, 2, 3, 4, 5, 6, 7) in tries


def test_what_does_not_last():
    """Bad with all, and never again: nobody is accused."""
    first = []

    def bad(on):
        first.append(on)
        return len(first) == 1

    assert Search(range(6), bad).find() == Found("unsteady")


@st.composite
def worlds(draw):
    count = draw(st.integers(1, 12))
    groups = st.frozensets(st.integers(0, count - 1), min_size=1, max_size=4)
    return count, draw(st.lists(groups, min_size=1, max_size=3))


@given(worlds())
def test_what_is_said_is_true(world):
    """Each group is bad and no less of it is; the rest is good without what is to be left out; none is repeated but to be sure."""
    count, culprits = world
    found, tries = search(count, *culprits)

    def bad(on):
        return any(group <= set(on) for group in culprits)

    assert found.outcome == "found"
    for group in found.groups:
        assert bad(group)
        assert not any(bad(less) for less in combinations(group, len(group) - 1))
    assert not bad(set(range(count)) - set(found.off))
    assert set(found.off) <= {one for group in found.groups for one in group}
    assert len(tries) - len(set(tries)) <= len([group for group in found.groups if len(group) > 1])


@given(st.integers(1, 200).flatmap(lambda count: st.tuples(st.just(count), st.integers(0, count - 1))))
def test_one_is_found_in_few_tries(world):
    """As many as it takes to halve, and four."""
    count, culprit = world
    found, tries = search(count, [culprit])

    assert found == Found("found", ((culprit,),), (culprit,))
    assert len(tries) <= (count - 1).bit_length() + 4


@given(st.data(), st.integers(0, 8))
def test_it_ends_whatever_is_said(data, count):
    """With answers that follow no rule, too."""
    found = Search(range(count), lambda on: data.draw(st.booleans())).find()

    assert found.outcome in {"found", "good", "not plugins", "unsteady"}
