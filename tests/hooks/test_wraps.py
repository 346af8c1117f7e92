"""What wraps can neither fail, swallow nor replace what it wraps."""

import asyncio
from contextlib import AbstractContextManager, contextmanager

import pytest
from oneiric_hookspecs import hookimpl, wraps

from oneiric.hooks import HookManager


@wraps
def shop_around_sale(basket: str) -> AbstractContextManager[None]:
    """Go around a sale."""


class Wrapper:
    """A context manager that writes down what happens, and goes wrong where it is told to."""

    def __init__(self, name, seen, *, entering=None, leaving=None, swallow=False):
        self.name, self.seen, self.entering, self.leaving, self.swallow = (
            name,
            seen,
            entering,
            leaving,
            swallow,
        )

    @hookimpl
    def shop_around_sale(self, basket):
        return self

    def __enter__(self):
        if self.entering:
            raise self.entering
        self.seen.append(f"enter {self.name}")

    def __exit__(self, kind, error, traceback):
        self.seen.append(f"leave {self.name}" + (f" {kind.__name__}" if kind else ""))
        if self.leaving:
            raise self.leaving
        return self.swallow


@pytest.fixture
def manager(clock):
    """A manager of the one hook."""
    manager = HookManager("shop", clock=clock)
    manager.add_specs([shop_around_sale])
    return manager


def told(manager):
    """What is remembered of faults."""
    return [(fault.plugin, fault.kind) for fault in manager.faults]


def test_nobody_wraps(manager):
    """Without plugins there is still something to enter, and it does not touch what happens inside."""
    with pytest.raises(KeyError), manager[shop_around_sale]("b") as given:
        raise KeyError
    assert given is None


def test_wrappers_are_entered_newest_first_and_left_in_reverse(manager):
    """The newest is the outermost."""
    seen = []
    for name in ("old", "new"):
        manager.register(Wrapper(name, seen), name)
    with manager[shop_around_sale]("b"):
        seen.append("sale")

    assert seen == ["enter new", "enter old", "sale", "leave old", "leave new"]
    assert manager.faults == ()


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()])
def test_one_that_cannot_be_entered_is_left_out(manager, error):
    """The others and what is wrapped go on without it, and it is never left."""
    seen = []
    manager.register(Wrapper("old", seen), "old")
    manager.register(Wrapper("bad", seen, entering=error), "bad")
    manager.register(Wrapper("new", seen), "new")
    with manager[shop_around_sale]("b"):
        seen.append("sale")

    assert seen == ["enter new", "enter old", "sale", "leave old", "leave new"]
    assert told(manager) == [("bad", "cancelled" if isinstance(error, asyncio.CancelledError) else "raised")]


def test_one_that_gives_no_context_manager_is_left_out(manager):
    """A wrong answer is a fault of type; raising instead of answering is one, too; None is nothing to go around with."""
    for name, function in {"number": lambda: 1, "raises": lambda: 1 / 0, "none": lambda: None}.items():
        made = type("Plugin", (), {})()
        made.shop_around_sale = hookimpl(function)
        manager.register(made, name)
    with manager[shop_around_sale]("b"):
        pass

    assert told(manager) == [("raises", "raised"), ("number", "type")]


@pytest.mark.parametrize("leaving", [None, ValueError("no"), asyncio.CancelledError()])
@pytest.mark.parametrize("swallow", [False, True])
@pytest.mark.parametrize("error", [None, KeyError("sale"), asyncio.CancelledError(), SystemExit(1)])
def test_what_is_wrapped_ends_as_it_ends(manager, leaving, swallow, error):
    """Whatever a wrapper raises or returns when left, the caller sees the body's own end, and every wrapper is left."""
    seen = []
    manager.register(Wrapper("old", seen), "old")
    manager.register(Wrapper("bad", seen, leaving=leaving, swallow=swallow), "bad")
    manager.register(Wrapper("new", seen), "new")
    caught = None
    try:
        with manager[shop_around_sale]("b"):
            if error:
                raise error
    except BaseException as end:
        caught = end

    kind = f" {type(error).__name__}" if error else ""
    assert caught is error
    assert seen[3:] == [f"leave old{kind}", f"leave bad{kind}", f"leave new{kind}"]
    if leaving is not None:
        assert told(manager) == [("bad", "raised" if isinstance(leaving, ValueError) else "cancelled")]
    else:
        assert told(manager) == ([("bad", "type")] if swallow and error else [])


def test_a_generator_that_lets_the_error_through_has_no_fault(manager):
    """The usual way to write one: contextlib raises the same exception again, which is fine."""
    seen = []

    class Plugin:
        @hookimpl
        @contextmanager
        def shop_around_sale(self, basket):
            try:
                yield
            finally:
                seen.append(basket)

    manager.register(Plugin())
    with pytest.raises(KeyError), manager[shop_around_sale]("b"):
        raise KeyError
    assert (seen, manager.faults) == (["b"], ())


def test_raising_the_very_same_error_again_is_no_fault(manager):
    """An __exit__ that ends with a bare raise hides nothing."""

    class Plugin(Wrapper):
        def __exit__(self, kind, error, traceback):
            raise error

    manager.register(Plugin("p", []))
    with pytest.raises(KeyError), manager[shop_around_sale]("b"):
        raise KeyError
    assert manager.faults == ()


def test_an_interrupt_while_entering_leaves_those_that_were_entered(manager):
    """Ctrl-C between two wrappers: the one inside is left, the interrupt passes."""
    seen = []
    manager.register(Wrapper("old", seen, entering=KeyboardInterrupt()), "old")
    manager.register(Wrapper("new", seen), "new")

    with pytest.raises(KeyboardInterrupt), manager[shop_around_sale]("b"):
        seen.append("sale")
    assert seen == ["enter new", "leave new KeyboardInterrupt"]


def test_an_interrupt_while_leaving_leaves_the_others_first(manager):
    """Ctrl-C in an __exit__ passes, after every wrapper was left."""
    seen = []
    manager.register(Wrapper("old", seen, leaving=KeyboardInterrupt()), "old")
    manager.register(Wrapper("new", seen), "new")

    with pytest.raises(KeyboardInterrupt), manager[shop_around_sale]("b"):
        pass
    assert seen == ["enter new", "enter old", "leave old", "leave new"]
