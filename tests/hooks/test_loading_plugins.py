"""Loading by name and by entry point: sorted, each inside its own guard, listed whatever comes of it."""

import sys
from importlib import metadata
from textwrap import dedent

import pytest
from oneiric_hookspecs import PluginError, declares, hookimpl

from oneiric.hooks import HookManager


@declares(str)
def shop_goods():
    """Declare goods."""


@pytest.fixture
def manager(clock):
    """A manager of one hook."""
    manager = HookManager("shop", clock=clock)
    manager.add_specs([shop_goods])
    return manager


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on ``sys.path``; modules that are imported from it are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def write(site, name, source="", goods=None):
    """A module of *source*, or of a plugin that declares *goods*."""
    if goods is not None:
        source = (
            f"from oneiric_hookspecs import hookimpl\n@hookimpl\ndef shop_goods():\n    return [{goods!r}]\n"
        )
    (site / f"{name}.py").write_text(dedent(source))


def distribute(site, name, entry_points, version="1.0", group="shop"):
    """An installed distribution with these entry points."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: -\n\nName: no\n"
    )
    lines = [f"[{group}]", *(f"{key} = {value}" for key, value in entry_points.items())]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


def table(records):
    """Records in short."""
    return [(each.name, each.distribution, each.state) for each in records]


# --- entry points ------------------------------------------------------------------------------------------------


def test_entry_points_are_loaded_by_distribution_and_name(manager, site):
    """Not by the accident of installation: the order is the same everywhere."""
    for name in ("one", "two", "three", "four"):
        write(site, f"goods_{name}", goods=name)
    distribute(site, "shop-b", {"z": "goods_one", "a": "goods_two"}, version="2.0")
    distribute(site, "shop-a", {"m": "goods_three"})
    distribute(site, "other", {"x": "goods_four"}, group="library")

    records = manager.load_entry_points("shop")
    assert [(each.name, each.distribution, each.version, each.target) for each in records] == [
        ("m", "shop-a", "1.0", "goods_three"),
        ("a", "shop-b", "2.0", "goods_two"),
        ("z", "shop-b", "2.0", "goods_one"),
    ]
    assert manager[shop_goods]() == ["three", "two", "one"]
    assert manager.plugins == records
    first = records[0]
    assert (first.origin, first.where, first.hooks) == (
        "installed",
        f"{site / 'goods_three.py'}:1",
        ("shop_goods",),
    )
    assert first.load_ms > 0


def test_an_entry_point_may_name_a_class(manager, site):
    """It is called with its context and its table of settings."""
    source = """
        import attrs
        from oneiric_hookspecs import hookimpl

        class Outer:
            class Plugin:
                @attrs.frozen
                class Settings:
                    goods: str

                def __init__(self, context):
                    self.goods = context.settings.goods

                @hookimpl
                def shop_goods(self):
                    yield self.goods
    """
    write(site, "goods_class", source)
    distribute(site, "shop-a", {"it": "goods_class:Outer.Plugin [extra]"})

    manager.load_entry_points("shop", settings={"it": {"goods": "tea"}, "unused": {}})
    assert manager[shop_goods]() == ["tea"]


BROKEN = {
    "missing": (None, "ModuleNotFoundError: No module named 'goods_broken'", None),
    "needs": ("import goods_nowhere", "ModuleNotFoundError: No module named 'goods_nowhere'", 1),
    "syntax": ("x = 1\ndef :\n", "SyntaxError: invalid syntax (goods_broken.py, line 2)", 2),
    "raises": ("x = 1\n\nraise ValueError('no')", "ValueError: no", 3),
    "leaves": ("import sys\nsys.exit('bye')", "SystemExit: bye", 2),
    "cancels": ("import asyncio\nraise asyncio.CancelledError", "CancelledError", 2),
    "recursion": ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded", 1),
    "own": ("class Own(BaseException): pass\nraise Own('mine')", "Own: mine", 2),
    "lint": (
        "from oneiric_hookspecs import hookimpl\n@hookimpl\ndef shop_good(): ...",
        "there is no hook shop_good",
        2,
    ),
}


def asked(site):
    """Where shop-b names the plugin, which is the place of what has none of its own."""
    return f"{site}/shop_b-1.0.dist-info/entry_points.txt:2"


@pytest.mark.parametrize("case", BROKEN)
def test_a_plugin_that_does_not_load_stops_nobody(manager, site, case):
    """It is listed as failed, with the reason and the place; the others are there."""
    source, reason, line = BROKEN[case]
    if source is not None:
        write(site, "goods_broken", source)
    write(site, "goods_fine", goods="fine")
    write(site, "goods_more", goods="more")
    distribute(site, "shop-a", {"fine": "goods_fine"})
    distribute(site, "shop-b", {"broken": "goods_broken"})
    distribute(site, "shop-c", {"more": "goods_more"})

    _, broken, _ = manager.load_entry_points("shop")
    assert manager[shop_goods]() == ["fine", "more"]
    assert (broken.state, broken.reason, broken.plugin) == ("failed", reason, None)
    assert broken.where == (f"{site / 'goods_broken.py'}:{line}" if line else asked(site))
    assert broken.error is not None


@pytest.mark.parametrize("case", BROKEN)
def test_strict_raises_what_keeps_a_plugin_from_loading(manager, site, case):
    """As a PluginError that names plugin, distribution and place, with the original as its cause."""
    source, reason, line = BROKEN[case]
    if source is not None:
        write(site, "goods_broken", source)
    distribute(site, "shop-b", {"broken": "goods_broken"})

    with pytest.raises(PluginError) as caught:
        manager.load_entry_points("shop", strict=True)
    error = caught.value
    assert (error.message, error.plugin, error.distribution) == (reason, "broken", "shop-b")
    assert error.where == (f"{site / 'goods_broken.py'}:{line}" if line else asked(site))
    assert (error.__cause__ is None) is (case == "lint")
    assert manager.plugins == ()


def test_ctrl_c_while_loading_is_no_plugins_fault(manager, site):
    """KeyboardInterrupt is the one thing that the guard lets through."""
    write(site, "goods_broken", "raise KeyboardInterrupt")
    distribute(site, "shop-b", {"broken": "goods_broken"})
    with pytest.raises(KeyboardInterrupt):
        manager.load_entry_points("shop")


def test_an_attribute_that_is_not_there_gets_the_nearest(manager, site):
    """A slip in an entry point costs one line to find."""
    write(site, "goods_fine", goods="fine")
    distribute(site, "shop-a", {"it": "goods_fine:shop_good", "that": "goods_fine:qqq"})

    it, that = manager.load_entry_points("shop")
    assert str(it.error) == "plugin it: goods_fine has no shop_good\n  did you mean shop_goods?"
    assert (it.reason, it.error.hint) == ("goods_fine has no shop_good", "did you mean shop_goods?")
    assert (that.reason, that.error.hint) == ("goods_fine has no qqq", None)


def test_a_class_that_cannot_be_made_fails_alone(manager, site):
    """What its __init__ raises is its reason, and the place is there."""
    write(
        site,
        "goods_class",
        "class Plugin:\n    def __init__(self, context):\n        raise OSError('no till')\n",
    )
    distribute(site, "shop-a", {"it": "goods_class:Plugin"})

    (record,) = manager.load_entry_points("shop")
    assert (record.state, record.reason, record.where) == (
        "failed",
        "OSError: no till",
        f"{site / 'goods_class.py'}:3",
    )


# --- on and off --------------------------------------------------------------------------------------------------


@pytest.fixture
def three(site):
    """Three plugins of two distributions; a plugin that is off would fail if it were imported."""
    for name in ("red", "green", "blue"):
        write(site, f"goods_{name}", goods=name)
    distribute(site, "Shop.Warm", {"red": "goods_red"})
    distribute(site, "shop-cold", {"green": "goods_green", "blue": "goods_blue"})
    return site


CHOICES = {
    "an entry point": ({"off": ["green"]}, ["blue", "red"]),
    "a distribution": ({"off": ["shop-cold"]}, ["red"]),
    "however it is spelled": ({"off": ["SHOP_warm"]}, ["blue", "green"]),
    "only one": ({"only": ["green"]}, ["green"]),
    "only a distribution": ({"only": ["shop-cold"]}, ["blue", "green"]),
    "off beats only": ({"only": ["shop-cold"], "off": ["blue"]}, ["green"]),
    "only nothing": ({"only": []}, []),
    "none by themselves": ({"auto_load": False}, []),
    "those that are named": ({"auto_load": False, "only": ["red"]}, ["red"]),
}


@pytest.mark.parametrize("case", CHOICES)
def test_plugins_are_switched_by_any_of_their_names(manager, three, case):
    """Those that are off are listed, and were not imported."""
    choice, goods = CHOICES[case]
    records = manager.load_entry_points("shop", **choice)

    assert sorted(manager[shop_goods]()) == sorted(goods)
    assert [each.name for each in records] == ["blue", "green", "red"]
    assert {each.name for each in records if each.state == "off"} == {"red", "green", "blue"} - set(goods)
    assert {name for name in ("red", "green", "blue") if f"goods_{name}" in sys.modules} == set(goods)


def test_a_plugin_that_is_off_says_who_switched_it_off(manager, three):
    """A mapping names each one's reason; else it is the argument."""
    manager.load_entry_points("shop", off={"red": "-p no:red", "shop-cold": "shop.toml:3"})
    assert [(each.name, each.reason, each.by) for each in manager.plugins] == [
        ("blue", "it is switched off", "shop.toml:3"),
        ("green", "it is switched off", "shop.toml:3"),
        ("red", "it is switched off", "-p no:red"),
    ]
    only = HookManager("shop").load_entry_points("shop", only=["nobody"])
    auto = HookManager("shop").load_entry_points("shop", auto_load=False)
    assert {(each.reason, each.by) for each in only} == {("it is not among those that are on", "only")}
    assert {(each.reason, each.by) for each in auto} == {("installed plugins are not loaded", "auto_load")}


def test_a_blocked_plugin_is_not_imported(manager, three):
    """Blocking works for what is yet to be loaded."""
    manager.block("red", "plugins.toml")
    *_, red = manager.load_entry_points("shop")

    assert (red.state, red.by, "goods_red" in sys.modules) == ("blocked", "plugins.toml", False)
    assert sorted(manager[shop_goods]()) == ["blue", "green"]


def test_of_two_plugins_with_one_name_the_first_is_on(manager, site):
    """The other is failed, and says whose the name is and what to do."""
    write(site, "goods_one", goods="one")
    write(site, "goods_two", goods="two")
    distribute(site, "shop-b", {"till": "goods_two"})
    distribute(site, "shop-a", {"till": "goods_one"})

    records = manager.load_entry_points("shop")
    assert table(records) == [("till", "shop-a", "on"), ("till", "shop-b", "failed")]
    assert records[1].reason == "the name till is taken by shop-a 1.0"
    assert (manager[shop_goods](), manager.plugin("till")) == (["one"], records[0])


def test_of_two_entry_points_for_one_module_the_first_is_on(manager, site):
    """A module is not asked twice."""
    write(site, "goods_one", goods="one")
    distribute(site, "shop-a", {"a": "goods_one", "b": "goods_one"})

    assert [(each.state, each.reason) for each in manager.load_entry_points("shop")] == [
        ("on", ""),
        ("failed", "it is registered already, as a"),
    ]


# --- where to look -----------------------------------------------------------------------------------------------


def test_distributions_may_be_given(manager, site, tmp_path_factory):
    """Those and no others are looked at."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(site, "goods_one", goods="one")
    distribute(site, "shop-a", {"a": "goods_one"})
    given = metadata.Distribution.at(distribute(elsewhere, "shop-b", {"b": "goods_one"}))

    assert table(manager.load_entry_points("shop", distributions=[given])) == [("b", "shop-b", "on")]


OLD_FORMS = {
    "shop_c.egg-info": ({"PKG-INFO": "Name: Shop_C\nVersion: 3\n\nName: no\n"}, ("shop-c", "3")),
    "odd": ({"METADATA": "Version: 4\nName: shop-c\n"}, ("shop-c", "4")),
    "nothing": ({}, (None, None)),
}


@pytest.mark.parametrize("folder", OLD_FORMS)
def test_a_distribution_in_another_form_is_known_too(manager, site, folder):
    """By its metadata; a damaged installation costs its name, not the command."""
    files, known = OLD_FORMS[folder]
    write(site, "goods_one", goods="one")
    (site / folder).mkdir()
    for name, text in {**files, "entry_points.txt": "[shop]\na = goods_one\n"}.items():
        (site / folder / name).write_text(text)

    (record,) = manager.load_entry_points("shop", distributions=[metadata.Distribution.at(site / folder)])
    assert (record.distribution, record.version, record.state) == (*known, "on")


def test_nothing_is_installed(manager):
    """A group that nobody uses is no error."""
    assert manager.load_entry_points("shop.of.nobody") == ()


# --- by name -----------------------------------------------------------------------------------------------------


def test_modules_and_attributes_are_loaded_by_name(manager, site):
    """In the order given; each has its name from what was asked for."""
    write(site, "goods_one", goods="one")
    write(
        site,
        "goods_two",
        "import goods_one\nclass Space: pass\nplugin = Space()\nplugin.shop_goods = goods_one.shop_goods\n",
    )

    records = manager.load(["goods_one", "goods_two:plugin", "goods_three"])
    assert [(each.name, each.origin, each.state) for each in records] == [
        ("goods_one", "application", "on"),
        ("goods_two:plugin", "application", "on"),
        ("goods_three", "application", "failed"),
    ]
    assert manager[shop_goods]() == ["one", "one"]


def test_strict_loading_by_name_raises(manager):
    """For CI, and for an application that needs its plugins."""
    with pytest.raises(
        PluginError, match="plugin goods_nowhere: ModuleNotFoundError: No module named 'goods_nowhere'"
    ):
        manager.load(["goods_nowhere"], strict=True)
    assert manager.plugins == ()


LONE = {
    "load": (lambda m: m.load("nothere"), "targets", "nothere"),
    "load off": (lambda m: m.load(["nothere"], off="nothere"), "off", "nothere"),
    "entry points off": (lambda m: m.load_entry_points("shop", off="red"), "off", "red"),
    "entry points only": (lambda m: m.load_entry_points("shop", only="red"), "only", "red"),
    "only the empty text": (lambda m: m.load_entry_points("shop", only=""), "only", ""),
}


@pytest.mark.parametrize("case", LONE)
def test_a_lone_text_is_no_collection_of_names(manager, three, case):
    """It would be taken letter by letter; nothing is loaded."""
    call, what, name = LONE[case]
    with pytest.raises(PluginError) as caught:
        call(manager)
    assert str(caught.value) == f'{what} is a collection of names, found {name!r}\n  write ["{name}"]'
    assert manager.plugins == ()


def test_names_are_texts(manager):
    """What is an object already is registered, not loaded."""
    for targets, message in {
        (3,): "targets is a collection of names, found 3 in it\n  register(...) takes objects",
        3: "targets is a collection of names, found 3\n  write a list of names",
        b"no": "targets is a collection of names, found b'no'\n  write a list of names",
    }.items():
        with pytest.raises(PluginError) as caught:
            manager.load(targets)
        assert str(caught.value) == message


def test_a_target_that_cannot_be_a_plugin_fails_alone(manager, site):
    """``pkg.mod:attr`` may name anything."""
    write(site, "goods_one", goods="one")
    write(site, "goods_none", "plugin = None\n")

    broken, fine = manager.load(["goods_none:plugin", "goods_one"])
    assert (broken.state, broken.reason, fine.state) == ("failed", "None cannot be a plugin", "on")
    assert str(broken.error) == (
        "plugin goods_none:plugin: None cannot be a plugin\n"
        "  give a module, a class, or an object with hookimpls"
    )


def test_a_protected_plugin_is_loaded_protected(manager, site):
    """Built-in guards are loaded by name."""
    write(site, "goods_one", goods="one")
    manager.load(["goods_one"], origin="builtin", protected=True)
    with pytest.raises(PluginError, match="always on"):
        manager.block("goods_one")


def test_the_application_has_the_first_word(manager, site):
    """What is registered last is asked first, so the order is built-in, installed, application."""
    write(site, "goods_one", goods="one")
    write(site, "goods_two", goods="two")
    distribute(site, "shop-a", {"a": "goods_two"})

    class Own:
        @hookimpl
        def shop_goods(self):
            return ["own"]

    manager.load(["goods_one"], origin="builtin")
    manager.load_entry_points("shop")
    manager.register(Own())

    assert [(each.plugin, each.origin) for each in manager.describe("shop_goods")[0].implementations] == [
        ("goods_one", "builtin"),
        ("a", "installed"),
        ("Own", "application"),
    ]


def test_the_owner_of_a_name_is_shown_by_its_place(manager, site):
    """Where no distribution brought it."""
    write(site, "goods_one", goods="one")
    write(site, "goods_two", goods="two")
    distribute(site, "shop-a", {"goods_one": "goods_two"})
    manager.load(["goods_one"], origin="builtin")

    (record,) = manager.load_entry_points("shop")
    place = f"{site / 'goods_one.py'}:1"
    assert record.reason == f"the name goods_one is taken by a plugin of origin builtin ({place})"


def test_an_entry_point_of_no_distribution(manager, site, monkeypatch):
    """An importer of its own may give entry points that say nothing of where they come from."""
    write(site, "goods_one", goods="one")
    bare = metadata.EntryPoint("a", "goods_one", "shop")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [bare])

    assert table(manager.load_entry_points("shop")) == [("a", None, "on")]
