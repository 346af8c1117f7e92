"""Taking plugins in and letting them go: names, classes, settings, blocking, nothing left half done."""

import logging
import types

import attrs
import pluggy
import pytest
from oneiric_hookspecs import PluginError, decides, hookimpl, observes

from oneiric.hooks import HookManager


@decides(int)
def shop_choose(basket: str) -> int | None:
    """Choose."""


@observes
def shop_sold(basket: str) -> None:
    """Learn of a sale."""


@decides(int)
def library_choose(book: str) -> int | None:
    """Choose."""


@pytest.fixture
def manager(clock):
    """A manager of two hooks."""
    manager = HookManager("shop", clock=clock)
    manager.add_specs([shop_choose, shop_sold])
    return manager


class Four:
    """A plugin that answers four."""

    @hookimpl
    def shop_choose(self):
        return 4

    @hookimpl
    def shop_sold(self):
        """Nothing."""


# --- specifications ----------------------------------------------------------------------------------------------


def test_a_modules_specifications_are_those_with_the_prefix(clock):
    """Those of others, which it may import, are left alone; adding it twice adds nothing."""
    module = types.ModuleType("shop_hookspecs")
    module.shop_choose, module.library_choose = shop_choose, library_choose
    manager = HookManager("shop", clock=clock)
    manager.add_specs(module)
    manager.add_specs(module)

    assert [each.name for each in manager.describe()] == ["shop_choose"]


def test_a_module_without_specifications_is_a_slip(clock):
    """The wrong prefix is named together with what is there."""
    module = types.ModuleType("library_hookspecs")
    module.library_choose = library_choose
    with pytest.raises(PluginError) as caught:
        HookManager("shop", clock=clock).add_specs(module)
    assert (
        str(caught.value)
        == "library_hookspecs declares no hook that begins with shop_\n  its hooks: library_choose"
    )


def test_a_lone_specification_may_be_given(clock):
    """It needs no list around it."""
    manager = HookManager("shop", clock=clock)
    manager.add_specs(shop_choose)
    assert [each.name for each in manager.describe()] == ["shop_choose"]


def undecorated():
    """The decorator was forgotten."""


UNDECORATED = f"undecorated is no specification of a hook ({__file__}:{undecorated.__code__.co_firstlineno})"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([shop_choose, print], "print is no specification of a hook"),
        (print, "print is no specification of a hook"),
        (undecorated, UNDECORATED),
        ([undecorated], UNDECORATED),
        ("shop_choose", "'shop_choose' is no specification of a hook"),
        (["shop_choose"], "'shop_choose' is no specification of a hook"),
        (None, "None is no specification of a hook"),
    ],
)
def test_what_is_no_specification_is_refused(clock, given, message):
    """It is named, with its place where it has one, and the decorators are listed; nothing is declared."""
    manager = HookManager("shop", clock=clock)
    with pytest.raises(PluginError) as caught:
        manager.add_specs(given)
    assert str(caught.value) == (
        f"{message}\n  give a module, or functions that are decorated with one of "
        "declares, decides, performs, judges, observes, wraps"
    )
    assert manager.describe() == ()


def test_a_specification_with_another_prefix_is_refused(manager):
    """Given by itself, it was meant."""
    with pytest.raises(PluginError, match="the hook library_choose does not begin with shop_"):
        manager.add_specs([library_choose])


def test_two_specifications_of_one_name_are_refused(manager):
    """A name belongs to one specification."""

    def shop_choose():
        """Another."""

    with pytest.raises(PluginError, match="two hooks are named shop_choose"):
        manager.add_specs([decides(int)(shop_choose)])


def test_answers_that_cannot_be_checked_are_refused(manager):
    """A type that isinstance does not take is a mistake of the specification, found when it is added."""

    def shop_list():
        """A list."""

    with pytest.raises(PluginError, match=r"answers cannot be checked"):
        manager.add_specs([decides(types.SimpleNamespace())(shop_list)])
    assert [each.name for each in manager.describe()] == ["shop_choose", "shop_sold"]


@pytest.mark.parametrize(
    ("answer", "good", "bad"),
    [(list[int], [1], (1,)), (int | str, "a", 1.5), (object, 1.5, None), (type(print), print, 3)],
)
def test_answers_are_checked_by_what_can_be_checked(clock, answer, good, bad):
    """A generic alias by its class, a union by its members; object fits everything."""

    def shop_give():
        """Give."""

    spec = decides(answer)(shop_give)
    manager = HookManager("shop", clock=clock)
    manager.add_specs([spec])
    given = good

    class Plugin:
        @hookimpl
        def shop_give(self):
            return given

    manager.register(Plugin())
    assert manager[spec]() == good
    given = bad
    assert manager[spec]() is None


def test_an_argument_may_not_begin_with_an_underscore(manager):
    """Such names are the dispatcher's."""

    def shop_give(_impl):
        """Give."""

    with pytest.raises(PluginError, match="no argument of a hook begins with an underscore, as _impl does"):
        manager.add_specs([decides(int)(shop_give)])


def test_a_prefix_is_the_beginning_of_a_name():
    """A prefix that no function could have is refused at once."""
    with pytest.raises(PluginError, match="a prefix is the beginning of a name, found 'my shop'"):
        HookManager("my shop")


def test_a_hook_that_was_never_added_is_named(manager):
    """The key is the specification; a slip says what is near."""
    for key, message in {
        library_choose: "the manager of shop has no hook library_choose\n  there are: shop_choose, shop_sold",
        "shop_choose": "shop_choose is the name of a hook; the key is its specification\n  or use named(...)",
        "shop_chose": "the manager of shop has no hook shop_chose\n  did you mean shop_choose?",
    }.items():
        with pytest.raises(PluginError) as caught:
            manager[key]
        assert str(caught.value) == message
    with pytest.raises(PluginError, match=r"did you mean shop_sold\?"):
        manager.named("shop_solt")
    assert manager.named("shop_sold") is manager[shop_sold]


def test_one_plugin_serves_two_managers(manager, clock):
    """The prefix of a function's name picks the manager; one marker is enough."""
    library = HookManager("library", clock=clock)
    library.add_specs([library_choose])

    class Plugin(Four):
        @hookimpl
        def library_choose(self):
            return 5

    plugin = Plugin()
    assert manager.register(plugin).hooks == ("shop_choose", "shop_sold")
    assert library.register(plugin).hooks == ("library_choose",)
    assert (manager[shop_choose]("b"), library[library_choose]("b")) == (4, 5)


# --- what cannot be a plugin -------------------------------------------------------------------------------------

NO_PLUGINS = {
    "None": (None, "None"),
    "a number": (3, "3 (int)"),
    "a list": ([4], "[4] (list)"),
    "a mapping": ({}, "{} (dict)"),
    "a class of Python's": (int, "<class 'int'>"),
    "a function": (print, "<built-in function print> (builtin_function_or_method)"),
}


@pytest.mark.parametrize("case", NO_PLUGINS)
def test_what_can_have_no_hooks_is_refused(manager, case):
    """It is named as it is, not by a name that it never had; nothing is listed."""
    given, shown = NO_PLUGINS[case]
    hint = "give a module, a class, or an object with hookimpls"
    with pytest.raises(PluginError) as caught:
        manager.register(given)
    assert str(caught.value) == f"{shown} cannot be a plugin\n  {hint}"
    with pytest.raises(PluginError) as caught:
        manager.register(given, "p")
    assert str(caught.value) == f"plugin p: {shown} cannot be a plugin\n  {hint}"
    assert manager.plugins == ()


def test_a_name_is_loaded_and_not_registered(manager):
    """A text is a frequent slip, so the hint says what takes one."""
    with pytest.raises(PluginError) as caught:
        manager.register("shop.plugins")
    assert str(caught.value) == (
        "'shop.plugins' (str) cannot be a plugin\n"
        "  give a module, a class, or an object with hookimpls; load([...]) takes names"
    )


def test_an_object_of_its_own_class_may_be_a_plugin(manager):
    """A mapping with hooks is one; an object without any is on, and reported."""
    assert manager.register(type("Table", (dict, Four), {})()).hooks == ("shop_choose", "shop_sold")
    record = manager.register(types.SimpleNamespace(), "space")
    assert (record.state, [each.code for each in record.findings]) == ("on", ["W108"])


# --- names and order ---------------------------------------------------------------------------------------------


def test_the_newest_is_asked_first_but_for_marks(manager):
    """Those marked tryfirst before the rest, trylast after it; among equals the newest first."""
    for name, mark in [("a", {}), ("first", {"tryfirst": True}), ("last", {"trylast": True}), ("b", {})]:
        plugin = type("Plugin", (), {})()
        plugin.shop_choose = hookimpl(**mark)(lambda: None)
        manager.register(plugin, name)

    (hook,) = manager.describe("shop_choose")
    assert [(each.plugin, each.mark, each.why) for each in hook.implementations] == [
        ("first", "tryfirst", "before the others: it is marked tryfirst"),
        ("b", "-", "registered as number 4; the newest is asked first"),
        ("a", "-", "registered as number 1; the newest is asked first"),
        ("last", "trylast", "after the others: it is marked trylast"),
    ]
    assert [impl.plugin for impl in manager[shop_choose].impls] == ["first", "b", "a", "last"]


def test_names_come_from_the_module_or_the_class(manager):
    """Unless one is given."""
    module = types.ModuleType("shop_plugins.till")

    assert [manager.register(each).name for each in (module, Four())] == ["shop_plugins.till", "Four"]
    assert manager.register(Four(), "mine").name == "mine"


def test_a_name_is_taken_once(manager):
    """The second is refused, and told whose it is."""
    manager.register(Four(), "till", distribution="shop-till", version="1.0")
    with pytest.raises(PluginError) as caught:
        manager.register(Four(), "till")

    assert str(caught.value) == (
        "plugin till: the name till is taken by shop-till 1.0\n"
        "  switch one of them off by its distribution, or register it under another name"
    )


@pytest.mark.parametrize("latest", ["the one that is on", "the one that is off"])
def test_of_one_name_the_plugin_that_is_on_is_meant(manager, latest):
    """One that is off may have the name, too, whichever is listed first; a failure is booked on the one that is on."""
    if latest == "the one that is on":
        out = manager.leave_out("till", "plugins.off", origin="installed")
    on = manager.register(Four(), "till")
    if latest == "the one that is off":
        out = manager.leave_out("till", "plugins.off", origin="installed")
    assert manager.plugin("till") is on

    manager.fail("till", "declare candidates", PluginError("no stock"))

    assert [(each.state, each.failing) for each in (on, out)] == [
        ("failed", {"declare candidates": "no stock"}),
        ("off", {}),
    ]
    manager.recover("till", "declare candidates")
    assert (on.state, out.state) == ("on", "off")


def test_a_name_that_none_has_on_is_the_first_of_those_listed(manager):
    """Where all are off there is still somebody to show."""
    first, _ = (manager.leave_out("till", by) for by in ("plugins.off", "-p no:till"))

    assert manager.plugin("till") is first


def test_an_object_is_registered_once(manager):
    """Under a second name it would be asked twice."""
    plugin = Four()
    manager.register(plugin, "a")
    with pytest.raises(PluginError, match="plugin b: it is registered already, as a"):
        manager.register(plugin, "b")


def test_equal_plugins_are_two(manager):
    """Plugins are told apart by identity: neither == nor truth is asked of them."""

    class Odd(Four):
        __hash__ = None

        def __eq__(self, other):
            return True

        def __bool__(self):
            return False

    manager.register(Odd(), "a")
    manager.register(Odd(), "b")
    manager.unregister("a")

    assert [impl.plugin for impl in manager[shop_choose].impls] == ["b"]
    manager.register(Odd(), "a")


def test_unregister_by_name_or_by_object(manager):
    """Its functions are asked no more, its name is free, and its record is given back."""
    plugin = Four()
    record = manager.register(plugin)
    assert manager.unregister(plugin) is record
    assert (manager.plugins, manager[shop_choose]("b")) == ((), None)

    again = manager.register(plugin)
    assert manager[shop_choose]("b") == 4
    assert manager.unregister("Four") is again
    with pytest.raises(PluginError, match="there is no plugin Four"):
        manager.unregister("Four")
    with pytest.raises(PluginError, match="Four is not registered"):
        manager.unregister(plugin)


def test_of_several_plugins_the_one_that_is_meant_goes(manager):
    """By the object; a plugin that is not on can be forgotten too."""
    first, second = Four(), Four()
    manager.register(first, "first")
    manager.register(second, "second")
    (failed,) = manager.load(["shop_nowhere"])

    assert [manager.unregister(each).name for each in (second, failed)] == ["second", "shop_nowhere"]
    assert [record.name for record in manager.plugins] == ["first"]


def test_a_call_goes_on_with_the_plugins_it_began_with(manager):
    """A plugin may register another while it is asked."""

    class Busy:
        @hookimpl
        def shop_choose(self):
            manager.register(Four(), "late")

    manager.register(Busy())
    assert manager[shop_choose]("b") is None
    assert manager[shop_choose]("b") == 4


def test_what_pluggy_refuses_is_not_half_registered(manager, monkeypatch):
    """Should validation by pluggy find what the lint did not, nothing stays, on any version."""
    monkeypatch.setattr("oneiric.hooks.lint.lint", lambda *_: iter(()))

    class Wrong:
        @hookimpl
        def shop_choose(self):
            return 5

        @hookimpl
        def shop_sold(self, wrong):
            """An argument that is not there."""

    with pytest.raises(PluginError, match="wrong") as caught:
        manager.register(Wrong(), "p")
    assert isinstance(caught.value.__cause__, pluggy.PluginValidationError)
    assert (manager.plugins, manager[shop_choose]("b"), manager[shop_sold].impls) == ((), None, ())
    manager.register(Four(), "p")


# --- classes -----------------------------------------------------------------------------------------------------


@attrs.frozen
class TillSettings:
    """What the till takes."""

    number: int = 1


class Till:
    """A plugin class; it keeps what it was made with."""

    Settings = TillSettings
    closed = 0

    def __init__(self, context):
        self.context = context

    @hookimpl
    def shop_choose(self):
        return self.context.settings.number

    def close(self):
        type(self).closed += 1


def test_a_class_is_called_once_with_its_context(clock):
    """Name, settings, logger, the manager's clock, and the host it was given."""
    host = object()
    manager = HookManager("shop", clock=clock, host=host)
    manager.add_specs([shop_choose])
    record = manager.register(Till, "till", settings={"number": 7})
    context = record.plugin.context

    assert manager[shop_choose]("b") == 7
    assert (context.name, context.settings, context.clock, context.host) == (
        "till",
        TillSettings(7),
        clock,
        host,
    )
    assert context.log is logging.getLogger("shop.plugin.till")


def test_settings_may_be_left_out(manager):
    """Then the class's defaults hold."""
    assert manager.register(Till, "till").plugin.context.settings == TillSettings(1)


def test_the_application_says_how_settings_are_structured(clock):
    """``structure`` gets the class, the table and the path for its messages."""
    asked = []

    def structure(cls, data, path):
        asked.append((cls, data, path))
        return cls(int(data["number"]))

    manager = HookManager("shop", clock=clock, structure=structure)
    manager.add_specs([shop_choose])
    manager.register(Till, "till", settings={"number": "7"})

    assert asked == [(TillSettings, {"number": "7"}, "plugins.settings.till")]
    assert manager[shop_choose]("b") == 7


@pytest.mark.parametrize(
    ("plugin", "hint"),
    [
        (Four(), "only a plugin class takes them"),
        (
            type("Plain", (Four,), {"__init__": lambda self, context: None}),
            "give its class an attrs class as Settings",
        ),
    ],
)
def test_settings_for_a_plugin_that_takes_none_are_an_error(manager, plugin, hint):
    """A table that nobody reads is a slip."""
    with pytest.raises(PluginError) as caught:
        manager.register(plugin, "p", settings={})
    assert (
        str(caught.value)
        == f"plugin p: there are settings under plugins.settings.p, and it takes none\n  {hint}"
    )


def test_settings_that_do_not_fit_are_an_error(manager):
    """Without a structure of the application's own, the class's signature is shown."""
    with pytest.raises(PluginError) as caught:
        manager.register(Till, "till", settings={"nunber": 7})
    assert "plugins.settings.till: " in str(caught.value)
    assert "it takes (number: int = 1)" in str(caught.value)
    assert manager.register(Till, "till", settings=TillSettings(3)).plugin.context.settings == TillSettings(3)


def test_a_class_that_takes_nothing_is_called_with_nothing(manager):
    """Without an ``__init__``, or with one that wants nothing; it is the manager's to close all the same."""
    closed = []

    class Counter(Four):
        def __init__(self):
            self.count = 4

        @hookimpl
        def shop_choose(self):
            self.count += 1
            return self.count

        def close(self):
            closed.append(self.count)

    four = manager.register(Four)
    assert (type(four.plugin), four.given, manager[shop_choose]("b")) == (Four, Four, 4)
    manager.register(Counter)
    assert (manager[shop_choose]("b"), manager[shop_choose]("b")) == (5, 6)
    manager.close()
    assert closed == [6]


def _keyword(self, *, context=None):
    """The author meant a context."""


SHAPES = {
    "two arguments": type("Shape", (Four,), {"__init__": lambda self, one, two: None}),
    "a keyword": type("Shape", (Four,), {"__init__": _keyword}),
    "made in C": type("Shape", (dict, Four), {}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_class_of_another_shape_is_an_error(manager, shape):
    """The hint says what to write, or to make the instance oneself."""
    with pytest.raises(PluginError) as caught:
        manager.register(SHAPES[shape], "four")
    assert str(caught.value) == (
        "plugin four: the class Shape is called neither with a context nor with nothing\n"
        "  write def __init__(self, context: PluginContext), or give an instance"
    )
    assert manager.plugins == ()


def test_settings_without_a_context_are_an_error(manager):
    """A class that declares Settings and could never be given them."""

    class Deaf(Four):
        Settings = TillSettings

    with pytest.raises(PluginError) as caught:
        manager.register(Deaf)
    assert str(caught.value) == (
        "plugin Deaf: the class test_settings_without_a_context_are_an_error.<locals>.Deaf has Settings, "
        "and takes no context that would bring them\n"
        "  write def __init__(self, context: PluginContext)"
    )


def test_what_a_class_raises_when_it_is_made_is_raised(manager):
    """In an application's own code an error is the application's; nothing stays registered."""

    class Broken(Four):
        def __init__(self, context):
            raise LookupError("no till")

    with pytest.raises(LookupError, match="no till"):
        manager.register(Broken)
    assert manager.plugins == ()


def test_what_a_class_made_is_closed(manager, monkeypatch):
    """On unregistering and when the manager closes: once each; an object that was given is not touched."""
    monkeypatch.setattr(Till, "closed", 0)
    manager.register(Till, "a")
    manager.unregister("a")
    assert Till.closed == 1

    given = Till(None)
    manager.register(Till, "b")
    manager.register(given, "given")
    with manager:
        pass
    manager.close()
    assert (Till.closed, manager.plugins, manager[shop_choose].impls) == (2, (), ())


def test_closing_goes_from_the_newest_to_the_oldest_whatever_one_raises(manager):
    """A close that fails is a fault; the others are closed."""
    closed = []

    def close(self):
        closed.append(self.context.name)
        if self.context.name == "b":
            raise OSError("stuck")

    for name in "abc":
        manager.register(type("Till", (Till,), {"close": close}), name)
    manager.close()

    assert closed == ["c", "b", "a"]
    assert [str(fault) for fault in manager.faults] == ["b: close: OSError: stuck"]


def test_closing_is_sync(manager):
    """A coroutine that nobody would await is a fault, and says what to write."""

    async def close(self):
        """Never awaited."""

    manager.register(type("Till", (Till,), {"close": close}), "till")
    manager.close()
    assert [str(fault) for fault in manager.faults] == [
        "till: close: TypeError: close() of a plugin is sync; write def"
    ]


def test_a_functions_of_an_instance_are_linted_too(manager):
    """What a class puts on its instance when it is made is checked, and what was made is closed."""
    closed = []

    class Dynamic:
        def __init__(self, context):
            self.shop_choose = hookimpl(lambda wrong: 4)

        def close(self):
            closed.append(self)

    with pytest.raises(PluginError, match="E103 shop_choose has no argument wrong"):
        manager.register(Dynamic)
    assert (len(closed), manager.plugins) == (1, ())


# --- blocking ----------------------------------------------------------------------------------------------------


def test_a_blocked_plugin_is_asked_no_more(manager, monkeypatch):
    """It is closed, stays listed with who blocked it, and does not come back under its name."""
    monkeypatch.setattr(Till, "closed", 0)
    record = manager.register(Till, "till")
    manager.block("till", "an operator")

    assert (manager[shop_choose]("b"), Till.closed) == (None, 1)
    assert (record.state, record.reason, record.by) == ("blocked", "it is blocked", "an operator")
    again = manager.register(Till, "till")
    assert (again.state, again.by, manager.plugins) == ("blocked", "an operator", (again,))


def test_a_name_may_be_blocked_before_it_comes(manager):
    """Its class is never called."""
    manager.block("till")
    assert (manager.register(Till, "till").state, manager[shop_choose].impls) == ("blocked", ())

    manager.unblock("till")
    assert manager.plugins == ()
    assert manager.register(Till, "till").state == "on"
    manager.unblock("till")


def test_a_protected_plugin_cannot_be_blocked(manager):
    """Guards are always on, and say so."""
    manager.register(Four(), "guard", protected=True)
    with pytest.raises(PluginError, match="plugin guard: it is always on, and cannot be blocked"):
        manager.block("guard")
    assert manager[shop_choose]("b") == 4


# --- looking -----------------------------------------------------------------------------------------------------


def test_a_plugin_is_found_by_name(manager):
    """A slip gets the nearest name."""
    record = manager.register(Four(), "till")
    assert manager.plugin("till") is record
    with pytest.raises(PluginError, match=r"there is no plugin til\n  did you mean till\?"):
        manager.plugin("til")
    with pytest.raises(PluginError, match=r"there is no plugin zzz\n  there are: till"):
        manager.plugin("zzz")


def test_names_that_mean_no_plugin_are_found(manager):
    """For those who read a list of names from settings; distributions count however they are spelled."""
    manager.register(Four(), "till", distribution="Shop_Till")
    assert manager.unknown(["till", "shop-till", "tilt", "qqq"]) == {"tilt": "till", "qqq": None}


def test_a_manager_shows_what_it_is(manager):
    """In a debugger: its prefix, and how much it has."""
    manager.register(Four())
    assert repr(manager) == "<HookManager shop: 2 hooks, 1 plugins>"


def test_a_manager_has_a_clock_of_its_own():
    """Without one it takes the machine's."""
    manager = HookManager("shop")
    assert 0 <= manager.clock.time() <= manager.clock.time()
