"""What a call of a sync hook does: one policy a form, every kind of fault in each."""

import asyncio
from collections.abc import Callable, Iterable

import pytest
from oneiric_hookspecs import Objection, PluginError, decides, declares, hookimpl, judges, observes, performs

from oneiric.hooks import Answer, HookManager


@declares(int)
def shop_prices(basket: str) -> Iterable[int]:
    """Declare prices."""


@decides(int)
def shop_choose(basket: str, limit: int = 10) -> int | None:
    """Choose a number."""


@performs(Callable)
def shop_pay(basket: str):
    """Give what pays."""


@judges
def shop_check(basket: str) -> Iterable[Objection] | None:
    """Object."""


@observes
def shop_sold(basket: str) -> None:
    """Learn of a sale."""


SPECS = [shop_prices, shop_choose, shop_pay, shop_check, shop_sold]


class Refusal(PluginError):
    """An OneiricError of a plugin."""


def faulty(kind):
    """Something that goes wrong in the way of *kind* when called."""

    def function(basket):
        if kind == "cancelled":
            raise asyncio.CancelledError
        if kind == "raised":
            raise ValueError("out of stock")
        if kind == "refusal":
            raise Refusal("not on Sundays")
        if kind == "interrupt":
            raise KeyboardInterrupt
        if kind == "exit":
            raise SystemExit(3)
        if kind == "coroutine":
            return late()
        return {"list": [5], "type": "seven", "number": 7, "none": None, "one": Objection("one")}[kind]

    return function


async def late():
    return 1


def plugin(**functions):
    """A plugin with these implementations; a value that is no function is what it answers."""

    def implementation(name, value):
        function = value if callable(value) else lambda basket: value
        return hookimpl(specname=f"shop_{name}")(function)

    made = type("Plugin", (), {})()
    for name, value in functions.items():
        setattr(made, name, implementation(name, value))
    return made


@pytest.fixture
def manager(clock):
    """A manager of the specifications above, in virtual time."""
    manager = HookManager("shop", clock=clock)
    manager.add_specs(SPECS)
    return manager


def told(manager):
    """What is remembered of faults: who, where, how."""
    return [(fault.plugin, fault.hook, fault.kind) for fault in manager.faults]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_without_plugins_nothing_comes_of_a_call(manager, spec):
    """A hook that nobody implements costs a call and gives the empty answer of its form."""
    empty = {"declares": [], "judges": []}.get(spec.form.value)
    assert manager[spec]("b") == empty


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("implemented", [False, True])
def test_a_call_takes_the_arguments_of_its_specification(manager, spec, implemented):
    """A wrong call is a TypeError at the call, with and without plugins, and names the hook and its own argument."""
    if implemented:
        manager.register(plugin(**{spec.name.removeprefix("shop_"): lambda basket: None}))
    for call in (manager[spec], manager[spec].notify if spec is shop_sold else manager[spec].answers):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == f"{spec.name}() missing 1 required positional argument: 'basket'"
        with pytest.raises(TypeError) as caught:
            call("b", colour="red")
        assert str(caught.value) == f"{spec.name}() got an unexpected keyword argument 'colour'"


# --- declares ----------------------------------------------------------------------------------------------------


def test_declares_collects_from_every_plugin_oldest_first(manager):
    """What was declared stands in the order of registration, and says by whom."""
    manager.register(plugin(prices=[1, 2]), "old")
    manager.register(plugin(prices=(each for each in [3])), "middle")
    manager.register(plugin(prices=()), "new")

    assert manager[shop_prices].answers("b") == [Answer("old", 1), Answer("old", 2), Answer("middle", 3)]


def test_declares_honours_tryfirst_and_trylast(manager):
    """A mark moves a plugin among those that declare, too; the rest stays oldest first."""
    for name, mark in [("a", {}), ("last", {"trylast": True}), ("first", {"tryfirst": True}), ("b", {})]:
        module = type("Plugin", (), {})()
        module.shop_prices = hookimpl(**mark)(lambda basket: [1])
        manager.register(module, name)

    assert [answer.plugin for answer in manager[shop_prices].answers("b")] == ["first", "a", "b", "last"]


def midway(basket):
    yield 1
    raise ValueError("out of stock")


BAD_DECLARATIONS = {
    "raises": (faulty("raised"), "raised", "shop_prices: ValueError: out of stock"),
    "raises midway": (midway, "raised", "shop_prices: ValueError: out of stock"),
    "cancels": (faulty("cancelled"), "cancelled", "shop_prices: CancelledError"),
    "gives no iterable": (
        faulty("number"),
        "type",
        "shop_prices: TypeError: answered 7 (int), not an iterable; each of its values is an instance of int",
    ),
    "gives a text": (
        faulty("type"),
        "type",
        "shop_prices: TypeError: answered 'seven' (str), not an iterable; each of its values is an instance of int",
    ),
    "gives None": (
        faulty("none"),
        "type",
        "shop_prices: TypeError: answered None (NoneType), not an iterable; each of its values is an instance of int",
    ),
    "gives another type": (
        lambda basket: [1, "2"],
        "type",
        "shop_prices: TypeError: answered '2' (str), not an instance of int",
    ),
}


@pytest.mark.parametrize("case", BAD_DECLARATIONS)
def test_declares_takes_all_or_nothing_of_a_plugin(manager, case):
    """A plugin that fails declares nothing, is failed with its reason, and takes nothing from the others."""
    function, kind, reason = BAD_DECLARATIONS[case]
    manager.register(plugin(prices=[1]), "good")
    record = manager.register(plugin(prices=function), "bad")
    manager.register(plugin(prices=[2]), "other")

    assert manager[shop_prices]("b") == [1, 2]
    assert (record.state, record.reason) == ("failed", reason)
    assert told(manager) == [("bad", "shop_prices", kind)]


def test_declares_drops_what_another_function_of_a_failed_plugin_gave(manager):
    """All or nothing counts by plugin, not by function."""
    bad = plugin(prices=[1])
    bad.more = hookimpl(specname="shop_prices")(faulty("raised"))
    manager.register(bad, "bad")

    assert manager[shop_prices]("b") == []


def test_a_plugin_that_declares_again_is_well_again(manager):
    """Failed is what the last call says, not a mark for life."""
    prices = faulty("raised")
    record = manager.register(plugin(prices=lambda basket: prices(basket)), "p")
    manager[shop_prices]("b")
    prices = faulty("list")

    assert manager[shop_prices]("b") == [5]
    assert (record.state, record.reason, record.error) == ("on", "", None)


def test_a_plugin_that_failed_elsewhere_declares_nothing(manager):
    """What a failed plugin declares by other hooks does not count until it has recovered; its judges still judge."""
    manager.register(plugin(prices=[1], check=[Objection("no")]), "p")
    manager.fail("p", "a name", PluginError("two plugins want the name till"))
    assert (manager[shop_prices]("b"), manager.plugin("p").reason) == ([], "two plugins want the name till")
    assert manager[shop_check]("b") == [Objection("no", "p")]

    manager.recover("p", "a name")
    assert (manager[shop_prices]("b"), manager.plugin("p").state) == ([1], "on")


def test_a_plugin_that_failed_twice_says_what_is_left(manager):
    """One thing put right does not make it well while another is wrong."""
    record = manager.register(plugin(prices=[1]), "p")
    manager.fail("p", "a name", PluginError("two plugins want the name till"))
    manager.fail("p", "a plural", PluginError("two plugins want the plural tills"))
    manager.recover("p", "a name")
    assert (record.state, record.reason) == ("failed", "two plugins want the plural tills")
    manager.recover("p", "a name")
    manager.recover("p", "a plural")
    assert (record.state, record.reason) == ("on", "")


# --- decides -----------------------------------------------------------------------------------------------------


def test_decides_by_the_newest_that_answers(manager):
    """None leaves it to the next; the first answer ends the asking."""
    asked = []
    for name, answer in [("old", 1), ("middle", 2), ("new", None)]:
        manager.register(
            plugin(choose=lambda basket, name=name, answer=answer: asked.append(name) or answer), name
        )

    assert (manager[shop_choose]("b"), asked) == (2, ["new", "middle"])
    assert manager[shop_choose].decide("b") == (Answer("middle", 2), [])


@pytest.mark.parametrize("kind", ["raised", "cancelled", "type", "coroutine"])
def test_decides_goes_on_after_a_fault(manager, kind):
    """A fault is recorded, and the next is asked."""
    manager.register(plugin(choose=4), "old")
    manager.register(plugin(choose=faulty(kind)), "bad")

    answer, faults = manager[shop_choose].decide("b")
    assert (answer, [(fault.plugin, fault.kind) for fault in faults]) == (
        Answer("old", 4),
        [("bad", "type" if kind == "coroutine" else kind)],
    )
    assert manager[shop_choose]("b") == 4


def test_decides_to_refuse(manager):
    """An OneiricError is an answer: it passes, and nobody else is asked."""
    manager.register(plugin(choose=4), "old")
    manager.register(plugin(choose=faulty("refusal")), "new")

    for ask in (manager[shop_choose], manager[shop_choose].decide, manager[shop_choose].answers):
        with pytest.raises(Refusal, match="not on Sundays"):
            ask("b")
    assert manager.faults == ()


def test_a_decider_is_never_switched_off(manager):
    """Fifty faults in a row, and it is asked the next time all the same."""
    calls = []
    manager.register(plugin(choose=lambda basket: calls.append(1) or 1 / 0))
    for _ in range(50):
        assert manager[shop_choose]("b") is None
    assert len(calls) == 50


# --- performs ----------------------------------------------------------------------------------------------------


def test_performs_by_the_first_that_takes_it(manager):
    """The newest that does not answer None does it, and nobody else is asked."""
    manager.register(plugin(pay=lambda basket: 1 / 0), "old")
    manager.register(plugin(pay=lambda basket: print), "middle")
    manager.register(plugin(pay=None), "new")

    assert manager[shop_pay]("b") is print
    assert manager[shop_pay].answers("b") == [Answer("middle", print)]


@pytest.mark.parametrize(("kind", "error"), [("raised", ValueError), ("refusal", Refusal)])
def test_what_a_performer_raises_is_the_outcome(manager, kind, error):
    """It passes unchanged, nobody else is asked, and it is no fault."""
    manager.register(plugin(pay=lambda basket: print), "old")
    manager.register(plugin(pay=faulty(kind)), "new")

    with pytest.raises(error):
        manager[shop_pay]("b")
    assert manager.faults == ()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("type", "plugin new: shop_pay answered 'seven' (str), not a callable"),
        ("cancelled", "plugin new: shop_pay raised CancelledError by itself"),
    ],
)
def test_a_performer_that_misbehaves_ends_the_call(manager, kind, message):
    """A wrong answer, or a cancellation that nobody asked for, is a PluginError that names the plugin."""
    manager.register(plugin(pay=lambda basket: print), "old")
    manager.register(plugin(pay=faulty(kind)), "new")

    with pytest.raises(PluginError) as caught:
        manager[shop_pay]("b")
    assert (str(caught.value), told(manager)) == (message, [("new", "shop_pay", kind)])


# --- judges ------------------------------------------------------------------------------------------------------


def test_every_judge_is_asked_newest_first(manager):
    """All objections come back, each with the name of the plugin; None and nothing are no objection."""
    manager.register(plugin(check=[Objection("too dear"), Objection("too late", "somebody else")]), "old")
    manager.register(plugin(check=None), "silent")
    manager.register(plugin(check=()), "content")
    manager.register(plugin(check=(each for each in [Objection("too many")])), "new")

    said = manager[shop_check]("b")
    assert said == [Objection("too many", "new"), Objection("too dear", "old"), Objection("too late", "old")]


@pytest.mark.parametrize(
    ("kind", "reason", "recorded"),
    [
        ("raised", "could not judge: ValueError: out of stock", "raised"),
        ("refusal", "could not judge: Refusal: not on Sundays", "raised"),
        ("cancelled", "could not judge: CancelledError", "cancelled"),
        ("type", "could not judge: TypeError: answered 'seven' (str), not an iterable of Objection", "type"),
        ("number", "could not judge: TypeError: answered 7 (int), not an iterable of Objection", "type"),
        (
            "one",
            "could not judge: TypeError: answered Objection(rea...'', remedy='') (Objection), not an iterable of Objection",
            "type",
        ),
    ],
)
def test_a_judge_that_fails_objects(manager, kind, reason, recorded):
    """It fails closed, whatever goes wrong, and however often."""
    manager.register(plugin(check=[Objection("no")]), "good")
    manager.register(plugin(check=faulty(kind)), "bad")

    for _ in range(7):
        assert manager[shop_check]("b") == [Objection(reason, "bad"), Objection("no", "good")]
    assert told(manager) == [("bad", "shop_check", recorded)] * 7


def grumble(basket):
    yield Objection("first")
    yield "second"


def test_a_judge_that_says_something_else_midway_objects_once(manager):
    """An answer that is not all Objections is a fault, not half an answer."""
    manager.register(plugin(check=grumble), "bad")

    assert manager[shop_check].answers("b") == [
        Answer(
            "bad", Objection("could not judge: TypeError: answered 'second' (str), not an Objection", "bad")
        )
    ]


def confused(basket):
    yield Objection("first")
    yield len(None)


def test_a_type_error_of_a_judges_own_keeps_its_text(manager):
    """It is not taken for a judge that gave no iterable."""
    manager.register(plugin(check=confused), "bad")

    (objection,) = manager[shop_check]("b")
    assert str(objection) == "bad: could not judge: TypeError: object of type 'NoneType' has no len()"
    assert told(manager) == [("bad", "shop_check", "raised")]


# --- observes ----------------------------------------------------------------------------------------------------


def test_every_observer_is_told_newest_first(manager):
    """One that fails keeps nobody from learning of it."""
    seen = []
    for name in ("old", "bad", "new"):
        bad = name == "bad"
        manager.register(
            plugin(sold=lambda basket, name=name, bad=bad: 1 / 0 if bad else seen.append(name)), name
        )

    assert manager[shop_sold]("b") is None
    assert (seen, told(manager)) == (["new", "old"], [("bad", "shop_sold", "raised")])


@pytest.mark.parametrize(
    ("kind", "recorded"),
    [
        ("raised", "raised"),
        ("refusal", "raised"),
        ("cancelled", "cancelled"),
        ("type", "type"),
        ("coroutine", "type"),
    ],
)
def test_notify_gives_what_went_wrong(manager, kind, recorded):
    """Those who want to report it get the faults; a plain call gives nothing."""
    manager.register(plugin(sold=faulty(kind)), "bad")

    assert [(fault.plugin, fault.hook, fault.kind) for fault in manager[shop_sold].notify("b")] == [
        ("bad", "shop_sold", recorded)
    ]
    assert manager[shop_sold]("b") is None


# --- every form --------------------------------------------------------------------------------------------------


INTERRUPTS = [
    pytest.param(spec, kind, error, id=f"{spec.name}-{kind}")
    for spec in SPECS
    for kind, error in (("interrupt", KeyboardInterrupt), ("exit", SystemExit))
    if (spec, kind) != (shop_prices, "exit")
]


@pytest.mark.parametrize(("spec", "kind", "error"), INTERRUPTS)
def test_an_interrupt_is_nobodys_fault(manager, spec, kind, error):
    """KeyboardInterrupt passes through every form, and SystemExit through all but the one that declares."""
    manager.register(plugin(**{spec.name.removeprefix("shop_"): faulty(kind)}))

    with pytest.raises(error):
        manager[spec]("b")
    assert manager.faults == ()


def test_declaring_cannot_end_the_process(manager):
    """To declare is a part of being loaded: who leaves there fails alone, as one that leaves when it is imported."""
    manager.register(plugin(prices=faulty("exit")), "leaves")
    manager.register(plugin(prices=[5]), "stays")

    assert manager[shop_prices]("b") == [5]
    assert [(each.name, each.state, each.reason) for each in manager.plugins] == [
        ("leaves", "failed", "shop_prices: SystemExit: 3"),
        ("stays", "on", ""),
    ]


def test_an_implementation_names_the_arguments_it_wants(manager):
    """In any order, fewer than there are, with defaults or without; a default of the specification is passed on."""
    given = []

    class Plugin:
        @hookimpl(specname="shop_choose")
        def both(self, limit, basket):
            given.append(("both", limit, basket))

        @hookimpl(specname="shop_choose")
        def default(self, limit=99):
            given.append(("default", limit))

        @hookimpl(specname="shop_choose")
        def early(self, basket, discount=0, limit=99):
            given.append(("early", basket, discount, limit))

        @hookimpl(specname="shop_choose")
        def none(self):
            given.append(("none",))

        @staticmethod
        @hookimpl
        def shop_choose(basket):
            given.append(("static", basket))

    manager.register(Plugin())
    manager[shop_choose]("b")

    assert sorted(given) == [
        ("both", 10, "b"),
        ("default", 10),
        ("early", "b", 0, 10),
        ("none",),
        ("static", "b"),
    ]


def test_methods_that_ask_something_else_of_a_hook_say_so(manager):
    """``notify`` is for observers, ``decide`` for deciders, ``answers`` for those who answer."""
    with pytest.raises(TypeError, match="shop_choose decides; notify is for hooks that observe"):
        manager[shop_choose].notify("b")
    with pytest.raises(TypeError, match="shop_sold observes; decide is for hooks that decide"):
        manager[shop_sold].decide("b")
    with pytest.raises(TypeError, match="shop_sold observes, so nobody answers it"):
        manager[shop_sold].answers("b")


def test_a_hook_shows_what_it_is(manager):
    """In a debugger, a hook is its name, its form, and how many implement it."""
    manager.register(plugin(sold=None))

    assert repr(manager[shop_sold]) == "<hook shop_sold: observes, implemented by 1>"
