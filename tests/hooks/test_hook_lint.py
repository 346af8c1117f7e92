"""A plugin's slips are found before it is registered: code, file and line, and what was meant."""

import inspect
import sys
import types
import warnings
from collections.abc import Callable, Iterable

import pytest
from oneiric_hookspecs import (
    Deprecation,
    Objection,
    PluginError,
    decides,
    declares,
    hookimpl,
    implements,
    judges,
    observes,
    performs,
    wraps,
)

from oneiric.hooks import HookManager

OLD = Deprecation("1.2", "1.4", "shop_prices")


@declares(int)
def shop_prices(basket: str, customer: str) -> Iterable[int]:
    """Declare prices."""


@declares(int, deprecated=OLD)
def shop_costs(basket: str) -> Iterable[int]:
    """Declare costs."""


@decides(int)
def shop_choose(basket: str) -> int | None:
    """Choose."""


@performs(Callable)
async def shop_pay(basket: str):
    """Pay."""


@judges
async def shop_check(basket: str) -> Iterable[Objection] | None:
    """Object."""


@observes
async def shop_sold(basket: str) -> None:
    """Learn of a sale."""


@wraps
def shop_around_sale(basket: str):
    """Go around a sale."""


SPECS = [shop_prices, shop_costs, shop_choose, shop_pay, shop_check, shop_sold, shop_around_sale]


@pytest.fixture
def manager(clock):
    """A manager of the specifications above, which knows a hook that is gone and an argument that will go."""
    manager = HookManager("shop", clock=clock)
    manager.add_specs(
        SPECS,
        removed={"shop_discounts": "shop_prices"},
        deprecated_arguments={
            "shop_prices": {"customer": Deprecation("1.3", "2.0", "the basket's customer")}
        },
    )
    return manager


HEAD = "from oneiric_hookspecs import hookimpl\nimport contextlib\n\n"


def module(source, name="plugin_under_lint"):
    """A module of *source*; its functions say that they are in ``plugin.py``."""
    made = types.ModuleType(name)
    made.__file__ = "plugin.py"
    exec(compile(HEAD + source, "plugin.py", "exec"), made.__dict__)
    return made


# source -> (code, line, message, hint)
SLIPS = {
    "@hookimpl\ndef shop_price(basket): ...": (
        "E101",
        "there is no hook shop_price",
        "did you mean shop_prices?",
    ),
    "@hookimpl\ndef shop_qqqqqq(): ...": (
        "E101",
        "there is no hook shop_qqqqqq",
        "there are: shop_around_sale, shop_check, shop_choose, shop_costs, shop_pay, shop_prices, shop_sold",
    ),
    "@hookimpl(specname='shop_prises')\ndef mine(basket): ...": (
        "E101",
        "there is no hook shop_prises (mine)",
        "did you mean shop_prices?",
    ),
    "@hookimpl\ndef shop_choose(baskte): ...": (
        "E103",
        "shop_choose has no argument baskte",
        "did you mean basket?",
    ),
    "@hookimpl\ndef shop_prices(self): yield": (
        "E103",
        "shop_prices has no argument self",
        "it has: basket, customer",
    ),
    "@hookimpl\ndef shop_choose(*args): ...": (
        "E103",
        "shop_choose takes *args, which a hook never fills",
        "name the arguments it wants",
    ),
    "@hookimpl\ndef shop_choose(**more): ...": (
        "E103",
        "shop_choose takes **more, which a hook never fills",
        "name the arguments it wants",
    ),
    "@hookimpl\ndef shop_choose(*, basket=None): ...": (
        "E103",
        "shop_choose takes basket as a keyword only, which a hook never fills",
        "remove the *",
    ),
    "@hookimpl\nasync def shop_choose(basket): ...": (
        "E104",
        "shop_choose is sync, and this is async def",
        "write def",
    ),
    "@hookimpl\nasync def shop_prices(): yield 1": (
        "E104",
        "shop_prices cannot be an async generator",
        "return what it yields",
    ),
    "@hookimpl\nasync def shop_sold(): yield 1": (
        "E104",
        "shop_sold cannot be an async generator",
        "return what it yields",
    ),
    "@hookimpl\ndef shop_discounts(): ...": (
        "E105",
        "the hook shop_discounts was removed",
        "use shop_prices",
    ),
    "@hookimpl(wrapper=True)\ndef shop_choose(basket): return (yield)": (
        "E106",
        "shop_choose is a pluggy wrapper",
        "give a context manager to a hook that wraps (there are: shop_around_sale)",
    ),
    "@hookimpl(hookwrapper=True)\ndef shop_sold(): yield": (
        "E106",
        "shop_sold is a pluggy wrapper",
        "give a context manager to a hook that wraps (there are: shop_around_sale)",
    ),
    "@hookimpl\ndef shop_sold(): yield": (
        "E107",
        "shop_sold yields, so its body would never run",
        "give a context manager to a hook that wraps (there are: shop_around_sale)",
    ),
    "@hookimpl\ndef shop_around_sale(): yield": (
        "E107",
        "shop_around_sale yields, so its body would never run",
        "write @contextlib.contextmanager below @hookimpl",
    ),
}


@pytest.mark.parametrize("source", SLIPS)
def test_a_slip_refuses_the_plugin(manager, source):
    """The error names the rule, the plugin and the line, and says what to do; nothing is registered."""
    code, message, hint = SLIPS[source]
    with pytest.raises(PluginError) as caught:
        manager.register(module(source), "p")

    assert str(caught.value) == f"plugin p: {code} {message} (plugin.py:4)\n  {hint}"
    assert (caught.value.code, caught.value.where, manager.plugins) == (code, "plugin.py:4", ())
    assert all(not hook.implementations for hook in manager.describe())


# source -> (code, message, hint)
DOUBTS = {
    "def shop_prices(basket): ...": (
        "W102",
        "shop_prices is named like a hook and not marked",
        "write @hookimpl above it",
    ),
    "def shop_discounts(): ...": (
        "W102",
        "shop_discounts is named like a hook and not marked",
        "write @hookimpl above it",
    ),
    "def shop_price(basket): ...": (
        "W102",
        "shop_price is named like a hook and not marked",
        "write @hookimpl above it; did you mean shop_prices?",
    ),
    "@hookimpl\ndef shop_choose(basked=None): ...": (
        "W103",
        "shop_choose has no argument basked, so its default is used",
        "did you mean basket?",
    ),
}


@pytest.mark.parametrize("source", DOUBTS)
def test_a_doubt_is_kept_in_the_record(manager, source):
    """What may be meant is registered, and reported."""
    code, message, hint = DOUBTS[source]
    record = manager.register(module(source + "\n@hookimpl\ndef shop_sold(): ..."), "p")

    assert (record.state, [str(each) for each in record.findings]) == (
        "on",
        [f"plugin p: {code} {message} (plugin.py:4)\n  {hint}"],
    )


FINE = [
    "@hookimpl\ndef shop_choose(): ...",
    "@hookimpl\ndef shop_choose(basket, retries=3): ...",
    "@hookimpl\ndef shop_choose(*, retries=3): ...",
    "@hookimpl(optionalhook=True)\ndef shop_of_tomorrow(whatever): ...",
    "@hookimpl(optionalhook=True)\nasync def shop_of_tomorrow(whatever): ...",
    "@hookimpl\n@contextlib.contextmanager\ndef shop_around_sale(basket): yield",
    "@hookimpl\ndef shop_prices(basket): yield",
    "@hookimpl\ndef shop_check(basket): yield",
    "@hookimpl\nasync def shop_check(basket): yield",
    "@hookimpl\nasync def shop_pay(basket): ...",
    "@hookimpl(tryfirst=True)\ndef shop_pay(basket): ...",
    "@hookimpl\ndef shop_choose(basket): ...\ndef shop_xyz_of_nobody(): ...",
    "@hookimpl\ndef shop_choose(basket): ...\n@hookimpl\ndef library_lend(book): ...",
]


@pytest.mark.parametrize("source", FINE)
def test_what_is_right_has_no_finding(manager, source):
    """No false alarm: fewer arguments, arguments of a later version, optional hooks, hooks of other managers."""
    record = manager.register(module(source))
    assert (record.state, record.findings) == ("on", ())


SEVERAL = """@hookimpl
def shop_price(): ...
@hookimpl
async def shop_choose(): ...
@hookimpl
def shop_prices(baskte): ...
"""


def test_several_slips_are_reported_at_once(manager):
    """One round of corrections, not one for each: the first, then every other with its place and its hint."""
    with pytest.raises(PluginError) as caught:
        manager.register(module(SEVERAL), "p", distribution="shop-p")

    error = caught.value
    assert str(error) == (
        "plugin p: E104 shop_choose is sync, and this is async def (and 2 more) (plugin.py:6)\n"
        "  write def\n"
        "  E101 there is no hook shop_price (plugin.py:4): did you mean shop_prices?\n"
        "  E103 shop_prices has no argument baskte (plugin.py:8): did you mean basket?"
    )
    assert (error.code, error.where, error.plugin, error.distribution) == (
        "E104",
        "plugin.py:6",
        "p",
        "shop-p",
    )


def test_a_record_keeps_each_of_several_slips(manager, monkeypatch):
    """Loaded by name, the plugin is failed with the same error, and its findings are all there."""
    monkeypatch.setitem(sys.modules, "plugin_of_slips", module(SEVERAL, "plugin_of_slips"))

    (record,) = manager.load(["plugin_of_slips"])

    assert (record.state, record.where) == ("failed", "plugin.py:6")
    assert record.reason == "shop_choose is sync, and this is async def (and 2 more)"
    assert record.error.hint == (
        "write def\n"
        "  E101 there is no hook shop_price (plugin.py:4): did you mean shop_prices?\n"
        "  E103 shop_prices has no argument baskte (plugin.py:8): did you mean basket?"
    )
    assert [(each.code, each.where, each.hint) for each in record.findings] == [
        ("E104", "plugin.py:6", "write def"),
        ("E101", "plugin.py:4", "did you mean shop_prices?"),
        ("E103", "plugin.py:8", "did you mean basket?"),
    ]


def test_what_is_wrong_with_one_function_is_told_at_once(manager):
    """A doubt about another one takes no part."""
    with pytest.raises(PluginError) as caught:
        manager.register(
            module("@hookimpl\nasync def shop_choose(*them, **more): ...\ndef shop_prices(): ..."), "p"
        )

    assert str(caught.value) == (
        "plugin p: E103 shop_choose takes *them, which a hook never fills (and 2 more) (plugin.py:4)\n"
        "  name the arguments it wants\n"
        "  E103 shop_choose takes **more, which a hook never fills (plugin.py:4): name the arguments it wants\n"
        "  E104 shop_choose is sync, and this is async def (plugin.py:4): write def"
    )


def test_a_name_that_was_imported_is_not_the_plugins(manager):
    """A function that a module uses is not a hook it forgot to mark; one that is marked would be called, and counts."""
    other = module(
        "def shop_prices(basket): ...\n@hookimpl\ndef shop_choose(basket): return 4", "another_module"
    )
    plugin = module("@hookimpl\ndef shop_sold(): ...")
    plugin.shop_prices, plugin.shop_choose = other.shop_prices, other.shop_choose
    record = manager.register(plugin)

    assert (record.findings, record.hooks) == ((), ("shop_choose", "shop_sold"))


def test_specifications_in_a_plugins_module_are_no_implementations(manager):
    """A module may import the specifications it implements by ``implements``."""
    plugin = module("")
    plugin.shop_choose = shop_choose
    mine = implements(shop_choose)(lambda basket: 4)
    plugin.mine = mine
    record = manager.register(plugin)

    assert (record.hooks, record.findings, manager[shop_choose]("b")) == (("shop_choose",), (), 4)


def test_a_class_is_linted_before_it_is_called(manager):
    """Methods are checked without ``self``, inherited ones too; nothing of a refused plugin has run."""
    made = []

    class Base:
        @hookimpl
        def shop_choose(self, basked):
            """One letter off."""

    class Plugin(Base):
        def __init__(self, context):
            made.append(context)

    with pytest.raises(PluginError, match="E103 shop_choose has no argument basked"):
        manager.register(Plugin)
    assert made == []


def test_no_property_is_read(manager):
    """Looking for hooks runs none of a plugin's code, on every pluggy."""

    class Plugin:
        @property
        def shop_prices(self):
            raise AssertionError("read")

        @property
        def other(self):
            raise AssertionError("read")

        @hookimpl
        def shop_choose(self):
            return 4

    assert manager.register(Plugin()).hooks == ("shop_choose",)


def test_a_plugin_without_hooks_is_reported(manager):
    """An entry point that names the wrong module is seen."""
    record = manager.register(module(""), "p")
    assert [str(each) for each in record.findings] == [
        "plugin p: W108 it implements no hook that begins with shop_ (plugin.py:1)"
    ]


# --- deprecation -------------------------------------------------------------------------------------------------

DEPRECATED = {
    "@hookimpl\ndef shop_costs(basket): yield 1": (
        "the hook shop_costs is deprecated since 1.2, gone in 1.4; use shop_prices"
    ),
    "@hookimpl\ndef shop_prices(basket, customer): yield 1": (
        "the argument customer of shop_prices is deprecated since 1.3, gone in 2.0; use the basket's customer"
    ),
}


@pytest.mark.parametrize("source", DEPRECATED)
def test_what_is_deprecated_warns_at_the_plugins_line(manager, source):
    """The plugin works; who runs its tests sees the line that has to change."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        record = manager.register(module(source), "p")

    text = f"plugin p: D201 {DEPRECATED[source]} (plugin.py:4)"
    assert [(str(each.message), each.category, each.filename, each.lineno) for each in caught] == [
        (text, DeprecationWarning, "plugin.py", 4)
    ]
    assert (record.state, [str(each) for each in record.findings]) == ("on", [text])


def test_a_warning_made_an_error_leaves_nothing_registered(manager):
    """With -W error the plugin is refused whole."""
    with pytest.raises(DeprecationWarning):
        manager.register(module(next(iter(DEPRECATED))), "p")
    assert (manager.plugins, manager[shop_costs].impls) == ((), ())


# --- hooks that are declared late --------------------------------------------------------------------------------


@observes
def shop_of_tomorrow(basket: str) -> None:
    """Tomorrow's."""


def test_an_optional_hook_works_as_soon_as_it_is_declared(manager):
    """Specifications may be added after plugins."""
    seen = []
    plugin = module("@hookimpl(optionalhook=True)\ndef shop_of_tomorrow(basket): seen.append(basket)")
    plugin.seen = seen
    record = manager.register(plugin)
    assert record.hooks == ()

    manager.add_specs([shop_of_tomorrow])
    manager[shop_of_tomorrow]("b")
    assert (seen, record.hooks, record.state) == (["b"], ("shop_of_tomorrow",), "on")


def test_an_optional_hook_is_linted_when_it_is_declared(manager):
    """One that does not fit fails its plugin, whole; the specification is added all the same."""
    record = manager.register(
        module("@hookimpl(optionalhook=True)\ndef shop_of_tomorrow(x): ...\n@hookimpl\ndef shop_sold(): ..."),
        "p",
    )
    manager.add_specs([shop_of_tomorrow])

    assert (record.state, record.reason) == ("failed", "shop_of_tomorrow has no argument x")
    assert (manager[shop_of_tomorrow].impls, manager[shop_sold].impls) == ((), ())


def test_the_place_of_a_decorated_function_is_its_own(manager):
    """Behind contextmanager, too, the plugin's line is named and not contextlib's."""
    record = manager.register(
        module("@hookimpl\n@contextlib.contextmanager\ndef shop_around_sale(): yield"), "p"
    )
    assert [each.where for each in manager.describe("shop_around_sale")[0].implementations] == ["plugin.py:4"]
    assert record.where == "plugin.py:1"


def test_a_plugin_class_is_shown_by_its_file(manager):
    """A record of a class says where the class is."""

    class Plugin:
        @hookimpl
        def shop_choose(self):
            """Nothing."""

    line = inspect.getsourcelines(Plugin)[1] + 1
    assert manager.register(Plugin()).where == f"{__file__}:{line}"
