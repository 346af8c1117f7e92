"""What plugins and settings may get wrong: one clear error each, and nobody else is affected.

Each case is a plugin file.  It declares a good candidate besides the bad one, of which nothing is registered either.
"""

import asyncio

import pytest
from oneiric_hookspecs import Permanent

from oneiric import assemble

GOOD = 'Candidate(Key.of("service", "good"), "good", create)'
REFUSED = {
    "an unknown domain": (
        'Candidate(Key.of("adaptor", "cache"), "x", create)',
        "source shop: its candidate number 2: candidate adaptor:cache 'x': there is no domain 'adaptor'",
        4,
        ["did you mean adapter?", "domains: action, adapter, event, service, task, workflow"],
    ),
    "the plural of a domain": (
        'Candidate(Key.of("adapters", "cache"), "x", create)',
        "source shop: its candidate number 2: candidate adapters:cache 'x': there is no domain 'adapters'",
        4,
        ["did you mean adapter?", "domains: action, adapter, event, service, task, workflow"],
    ),
    "a text for a key": (
        'Candidate("adapter:cache", "x", create)',
        "a candidate fills a Key, found 'adapter:cache'",
        12,
        ['write Key.of("adapter", "cache")'],
    ),
    "a key without a domain": (
        'Candidate(Key.parse("cache"), "x", create)',
        "'cache' is not a key",
        12,
        ["write it as domain:name, for example adapter:cache"],
    ),
    "a key of other letters": (
        'Candidate(Key.of("adapter", "My Cache"), "x", create)',
        "'My Cache' is not a key",
        12,
        ["a key is made of lower-case letters, digits and . _ - (at most 128, a letter or digit first, no '__')"],
    ),
    "a provider of other letters": (
        'Candidate(Key.of("adapter", "cache"), "My Redis", create)',
        "'My Redis' is not a provider",
        12,
        ["a provider is made of lower-case letters, digits and . _ - (at most 128, a letter or digit first, no '__')"],
    ),
    "a factory that is not callable": (
        'Candidate(Key.of("adapter", "cache"), "x", 42)',
        "candidate adapter:cache 'x': the factory is not callable: 42",
        12,
        [],
    ),
    "a factory whose name is malformed": (
        'Candidate(Key.of("adapter", "cache"), "x", "shop.create")',
        "candidate adapter:cache 'x': the factory 'shop.create' is neither pkg.mod:attr nor ep:NAME",
        12,
        [],
    ),
    "a factory that wants what nobody has": (
        'Candidate(Key.of("adapter", "cache"), "x", wants)',
        (
            "source shop: its candidate number 2: candidate adapter:cache 'x': its factory wants requires 'setings', "
            "which nobody can fill"
        ),
        7,
        [
            "did you mean settings?",
            (
                "a factory gets: settings, data, artifact, and its needs (none); declare a Need named setings, or give "
                "setings a default"
            ),
        ],
    ),
    "a priority in words": (
        'Candidate(Key.of("adapter", "cache"), "x", create, priority="high")',
        "candidate adapter:cache 'x': the priority is a whole number or None, found 'high'",
        12,
        [],
    ),
    "something else altogether": (
        '("adapter", "cache")',
        "oneiric_candidates: TypeError: answered ('adapter', 'cache') (tuple), not an instance of Candidate",
        9,
        ["yield an instance of Candidate, or return a list of such"],
    ),
    "the same twice": (
        GOOD,
        "source shop: declares service:good 'good' twice, as number 1 and 2 of that key",
        4,
        ["give them different versions, or different providers"],
    ),
}  # fmt: skip


@pytest.fixture
def shop(folder):
    """A folder in which another plugin is well."""
    folder.plugin("fine", 'Candidate(Key.of("task", "fine"), "fine", create)')
    folder.write("oneiric.toml", '[app]\nplugins = ["fine"]\n')
    return folder


def bad(shop, case):
    """The plugin of that case, and what is to be said of it."""
    expression, what, line, hints = REFUSED[case]
    shop.plugin("shop", GOOD, expression, before="def wants(setings): ...\n")
    return what, f"{shop.path}/shop.py:{line}", hints


@pytest.mark.parametrize("case", REFUSED)
def test_refused_at_registration(shop, case):
    """The warning names the plugin, the place and what would be right; of its candidates none counts, of others all."""
    what, where, hints = bad(shop, case)

    ended = shop.run("list", "-p", "shop")

    assert ended.err.splitlines() == [
        f"warning: plugin shop failed: {what} ({where})",
        *(f"  {each}" for each in hints),
    ]
    without = shop.run("list")
    assert (ended.code, ended.out, without.err) == (0, without.out, "")
    listed = [line.split()[:4] for line in without.out.splitlines()]
    assert ["adapter", "cache", "memory", "cache.memory"] in listed
    assert ["task", "fine", "fine", "fine"] in listed


@pytest.mark.parametrize("case", REFUSED)
def test_plugin_that_was_refused_is_shown_as_failed(shop, case):
    """``plugins`` says the same of it, and of the others that they are on."""
    what, where, hints = bad(shop, case)

    found = {each["name"]: each for each in shop.run("plugins", "-p", "shop", "--json").json["plugins"]}

    one = found.pop("shop")
    assert (one["state"], one["reason"], one["where"], one["candidates"]) == ("failed", what, where, [])
    assert (one["hint"] or "").split("\n  ") == (hints or [""])
    assert {each["state"] for each in found.values()} == {"on"}


@pytest.mark.parametrize("case", REFUSED)
def test_strict_refusal_ends_the_command(shop, case):
    """With --strict the same is an error, with 3."""
    what, where, hints = bad(shop, case)

    ended = shop.run("list", "-p", "shop", "--strict")

    assert (ended.code, ended.out) == (3, "")
    assert ended.err.splitlines() == [
        f"error: plugin shop: {what} ({where})",
        *(f"  {each}" for each in hints),
    ]


def test_installed_plugin_of_the_same_name_is_off(shop):
    """What the application's one got wrong is said of that one; the installed one is off, and nothing else."""
    what, where, _ = bad(shop, "an unknown domain")
    shop.distribution("shop-kit", oneiric={"shop": "no_such_module"})

    found = shop.spawn("plugins", "-p", "no:shop-kit", "-p", "shop", "--json").json["plugins"]

    assert [
        (each["origin"], each["state"], each["reason"], each["where"])
        for each in found
        if each["name"] == "shop"
    ] == [("installed", "off", "it is switched off", None), ("application", "failed", what, where)]


def test_explaining_what_a_failed_plugin_would_have_brought(shop):
    """Its key is unknown, and the warning above says why."""
    bad(shop, "a factory that is not callable")

    ended = shop.run("explain", "service", "good", "-p", "shop")

    assert (ended.code, ended.err.splitlines()[1]) == (3, "error: no candidate fills service:good")


# --- refused when it is activated ------------------------------------------------------------------------------------

FACTORIES = {
    "a module that is not there": (
        '"no_such_module:create"',
        "the factory 'no_such_module:create' cannot be imported: No module named 'no_such_module'",
        None,
    ),
    "a name that is not in it": (
        '"shop:creat"',
        "the factory 'shop:creat' is not there: module 'shop' has no attribute 'creat'",
        "did you mean create?",
    ),
    "something that cannot be called": (
        '"shop:NUMBER"',
        "the factory 'shop:NUMBER' is a int, which cannot be called",
        None,
    ),
    "an entry point that nobody has": (
        '"ep:no-such-factory"',
        "no distribution has a factory 'no-such-factory' in the group oneiric.factories",
        "there are: graph",
    ),
}


@pytest.mark.parametrize("case", FACTORIES)
def test_factory_that_cannot_be_loaded(shop, monkeypatch, case):
    """It is registered, and refused when it is to be bound; what serves goes on, and so do the others."""
    expression, reason, hint = FACTORIES[case]
    monkeypatch.syspath_prepend(shop.path)
    shop.plugin(
        "shop",
        f'Candidate(Key.of("adapter", "cache"), "x", {expression}, priority=-50)',
        GOOD,
        before="NUMBER = 42\n\nclass create:\n    def start(self): ...\n    def stop(self): ...\n",
    )
    assert "x" in shop.run("explain", "adapter", "cache", "-p", "shop").out

    async def swap():
        async with assemble(load_plugins=["shop"]) as runtime:
            async with runtime.use("adapter", "cache") as cache:
                await cache.set("a", b"1")
            with pytest.raises(Permanent) as refused:
                await runtime.swap("adapter", "cache", "x")
            async with runtime.use("adapter", "cache") as cache, runtime.use("service", "good"):
                return refused.value, await cache.get("a")

    error, kept = asyncio.run(swap())
    lines = [f"adapter:cache: x did not come up at step load: {reason}", "  still serving: memory"]
    assert str(error).splitlines() == [*lines, *([f"  {hint}"] if hint else [])]
    assert (error.exit_code, kept) == (4, b"1")


# --- settings that do not fit ----------------------------------------------------------------------------------------

SETTINGS = {
    "a wrong type": (
        '[adapters.settings.cache.x]\nsize = "big"\n',
        "settings.toml:2: adapters.settings.cache.x.size: expected a whole number, found 'big'",
    ),
    "an unknown key": (
        "[adapters.settings.cache.x]\nsiez = 3\n",
        "settings.toml:2: adapters.settings.cache.x.siez: unknown key (did you mean size?)",
    ),
    "a provider nobody brings": (
        "[adapters.settings.cache.y]\nsize = 3\n",
        "settings.toml:1: adapters.settings.cache.y",
    ),
    "a key nobody fills": (
        "[adapters.settings.cach.x]\nsize = 3\n",
        "settings.toml:1: adapters.settings.cach",
    ),
    "a section of no domain": ("[adaptors.selections]\ncache = 'x'\n", "settings.toml:1: adaptors"),
    "no TOML at all": ("[adapters\n", "settings.toml:1"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_do_not_fit(folder, case):
    """They are refused with file, line and path, and the nearest name; with 5, before anything is decided."""
    text, begins = SETTINGS[case]
    folder.plugin(
        "shop",
        'Candidate(Key.of("adapter", "cache"), "x", create, settings_class=Shop)',
        before="@attrs.frozen\nclass Shop:\n    size: int = 3\n",
    )
    folder.write("settings.toml", text)

    ended = folder.run("-c", "settings.toml", "-p", "shop", "list")

    assert (ended.code, ended.out) == (5, ""), ended
    assert len(ended.err.splitlines()) <= 3
    assert ended.err.startswith(f"error: {begins}")


def test_settings_for_a_plugin_that_takes_none(folder):
    """It is failed, since it would not do what its owner thinks; the others are listed as they are without it."""
    folder.plugin("shop", GOOD)
    folder.write("settings.toml", "[plugins.settings.shop]\na = 1\n")

    ended = folder.run("-c", "settings.toml", "-p", "shop", "list")

    said = "warning: plugin shop failed: there are settings under plugins.settings.shop, and it takes none"
    assert (ended.code, ended.err.splitlines()[0].startswith(said)) == (0, True)
    assert ended.out == folder.run("list").out


# --- plugins whose hooks are not as they should be ---------------------------------------------------------------------

HOOKS = {
    "a hook that is not there": (
        "@hookimpl\ndef oneiric_candidate():\n    return ()\n",
        [
            "plugin shop failed: there is no hook oneiric_candidate (FOLDER/shop.py:3)",
            "did you mean oneiric_candidates?",
        ],
    ),
    "an argument that is not there": (
        "@hookimpl\nasync def oneiric_swapped(new, odl):\n    ...\n",
        ["plugin shop failed: oneiric_swapped has no argument odl (FOLDER/shop.py:3)", "did you mean old?"],
    ),
    "a hook that is not marked": (
        "def oneiric_candidates():\n    return ()\n\n@hookimpl\ndef oneiric_started():\n    ...\n",
        [
            "plugin shop: W102 oneiric_candidates is named like a hook and not marked (FOLDER/shop.py:3)",
            "write @hookimpl above it",
        ],
    ),
    "no Python at all": (
        "def (\n",
        ["plugin shop failed: SyntaxError: invalid syntax (shop.py, line 3) (FOLDER/shop.py:3)"],
    ),
}


@pytest.mark.parametrize("case", HOOKS)
def test_hooks_that_are_wrong(folder, case):
    """Some of these pluggy passes over; here each is said, with its line, and the command goes on."""
    source, lines = HOOKS[case]
    folder.write("shop.py", "from oneiric_hookspecs import hookimpl\n\n" + source)

    ended = folder.run("list", "-p", "shop")

    first, *hints = [line.replace("FOLDER", str(folder.path)) for line in lines]
    assert (ended.code, ended.err.splitlines()) == (
        0,
        [f"warning: {first}", *(f"  {each}" for each in hints)],
    )
