"""Plugins are off and on by one word: for good, in the settings, for one command, by the application."""

import getpass
import platform
import re
import signal
import subprocess
import sys
import tomllib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oneiric_hookspecs import PluginError, SettingsError

from oneiric import assemble
from oneiric.assembly import BUILTINS
from oneiric.hooks.switched import SwitchFile
from oneiric.hooks.switching import AlwaysOn
from oneiric.installed import alike

KIT = """
from oneiric_hookspecs import Candidate, Key, hookimpl

async def create():
    return object()

@hookimpl
def oneiric_candidates():
    yield Candidate(Key.of("service", "{name}"), "{name}", create)
"""
GUARDS = [name for name, always in BUILTINS.items() if always]
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def shop(folder, monkeypatch):
    """Three kits of two distributions, and a plugin of the application's own."""
    monkeypatch.setenv("ONEIRIC_STATE_DIR", str(folder.path / "state"))
    folder.environment["ONEIRIC_STATE_DIR"] = str(folder.path / "state")
    monkeypatch.syspath_prepend(folder.path / "site")
    for name in ("red", "green", "blue"):
        folder.write(f"site/{name}_kit.py", KIT.format(name=name))
    folder.distribution("Shop.Warm", version="2.1", oneiric={"red": "red_kit"})
    folder.distribution("shop-cold", oneiric={"green": "green_kit", "blue": "blue_kit"})
    folder.write("mine.py", KIT.format(name="mine"))
    folder.write("oneiric.toml", '[app]\nplugins = ["mine"]\n')
    return folder


def states(folder, *words):
    """State and who said so, of the kits and of the application's own."""
    found = folder.run(*words, "plugins", "--json").json["plugins"]
    return {each["name"]: (each["state"], each["by"]) for each in found if each["origin"] != "builtin"}


def services(folder, *words):
    """What they declare that is there."""
    return [each["key"] for each in folder.run(*words, "list", "--domain", "service", "--json").json["keys"]]


# --- off and on --------------------------------------------------------------------------------------------------------


def test_off_for_good(shop):
    """From the next command on; the file says who and when, and the plugin is listed with both."""
    before = datetime.now(UTC).replace(microsecond=0)
    ended = shop.run("plugins", "off", "red", "shop-cold")
    me = f"{getpass.getuser()}@{platform.node()}"

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "red is off from the next start on",
        "  red of shop-warm 2.1",
        "  what it brings is not known without importing it",
        "shop-cold is off from the next start on",
        "  blue of shop-cold 1.0",
        "  green of shop-cold 1.0",
        "  what it brings is not known without importing it",
    ]
    written = tomllib.loads((shop.path / "state" / "plugins.toml").read_text())
    assert {name: one["by"] for name, one in written["off"].items()} == {"red": me, "shop-cold": me}
    assert all(before <= one["at"] <= datetime.now(UTC) for one in written["off"].values())
    who = f"plugins.toml ({me}, {written['off']['red']['at']:%Y-%m-%d %H:%M} UTC)"
    assert states(shop) == {
        "red": ("off", who),
        "green": ("off", who),
        "blue": ("off", who),
        "mine": ("on", None),
    }
    assert services(shop) == ["mine"]


@pytest.mark.parametrize(
    "name", ["red", "RED", "Shop.Warm", "shop-warm", "shop_warm", "mine", "cache.memory", "cache_memory"]
)
def test_on_takes_it_back(shop, name):
    """By any of its names, however it is spelled; and what was there before is there again."""
    before = shop.run("list", "--json").out
    shop.run("plugins", "off", name)
    assert shop.run("list", "--json").out != before

    ended = shop.run("plugins", "on", name)

    assert (ended.code, ended.out, ended.err) == (0, f"{name} is on from the next start on\n", "")
    assert shop.run("list", "--json").out == before


def test_distribution_is_on_when_all_of_its_plugins_are(shop):
    """Each was switched off by itself."""
    shop.run("plugins", "off", "green", "blue")
    assert shop.run("plugins", "on", "shop-cold").code == 0

    assert services(shop) == ["blue", "green", "mine", "red"]


def test_plugin_of_a_distribution_that_is_off_stays_off(shop):
    """To switch the distribution on would bring others, too, so that is left to the user."""
    shop.run("plugins", "off", "shop-cold")
    ended = shop.run("plugins", "on", "blue")

    assert (ended.code, ended.out, ended.err.splitlines()) == (
        4,
        "",
        ["error: blue stays off: shop-cold is, which brings it", "  oneiric plugins on shop-cold"],
    )


def test_what_the_settings_switch_off_stays_off(shop):
    """Nobody but the user writes into his file; the line is named."""
    shop.write("oneiric.toml", '[plugins]\noff = [\n  "green",\n  "red",\n]\n')
    ended = shop.run("plugins", "on", "red")

    assert (ended.code, ended.err.splitlines()) == (
        4,
        [
            f"error: red stays off: [plugins] off ({shop.path}/oneiric.toml:4)",
            "  nobody but you changes your settings",
        ],
    )


def test_twice_is_once(shop):
    """The second time it says who did it first, and takes nothing from him; on twice is no error."""
    SwitchFile(shop.path / "state").off(["red"], "ann@shop", NOON)

    again = shop.run("plugins", "off", "red", "red")
    on = [shop.run("plugins", "on", "red").out for _ in range(2)]

    assert (again.code, again.out) == (0, "red is off already: ann@shop, 2026-01-31 12:00 UTC\n")
    assert on == ["red is on from the next start on\n", "red was not switched off\n"]


def test_off_says_what_a_built_in_declares(shop):
    """Ours may be imported, so that is known."""
    ended = shop.run("plugins", "off", "cache.memory", "domains.action")

    assert ended.out.splitlines() == [
        "cache.memory is off from the next start on",
        "  it brings: adapter:cache memory",
        "domains.action is off from the next start on",
        "  it brings: domain action",
    ]
    found = shop.run("list", "--json").json["keys"]
    assert [each["winner"] for each in found if each["key"] == "cache"] == ["disk"]


def test_answers_for_machines(shop):
    """One object each."""
    off, on = (shop.run("plugins", word, "red", "--json").json for word in ("off", "on"))

    (one,) = off.pop("plugins")
    assert (off["schema"], off["file"]) == ("oneiric/plugins.off/1", f"{shop.path}/state/plugins.toml")
    assert {name: one[name] for name in ("name", "state", "changed", "declares", "plugins")} == {
        "name": "red",
        "state": "off",
        "changed": True,
        "declares": None,
        "plugins": [
            {
                "name": "red",
                "origin": "installed",
                "distribution": "shop-warm",
                "version": "2.1",
                "group": "oneiric",
            }
        ],
    }
    assert (on["schema"], [(one["name"], one["state"], one["changed"]) for one in on["plugins"]]) == (
        "oneiric/plugins.on/1",
        [("red", "on", True)],
    )


@pytest.mark.parametrize("word", ["off", "on"])
def test_unknown_names(shop, word):
    """What is meant is said, and nothing is changed for the others either; --force is for what comes later."""
    ended = shop.run("plugins", word, "green", "rde")

    hint = "--force switches off what is installed later" if word == "off" else "see oneiric plugins"
    assert (ended.code, ended.err.splitlines()) == (
        3,
        ["error: there is no plugin rde", "  did you mean red?", f"  {hint}"],
    )
    assert not (shop.path / "state" / "plugins.toml").exists()


def test_off_before_it_is_installed(shop):
    """It is off when it comes."""
    ended = shop.run("plugins", "off", "--force", "violet")
    assert (ended.code, ended.out.splitlines()[1]) == (0, "  no such plugin is installed here")

    shop.write("site/violet_kit.py", KIT.format(name="violet"))
    shop.distribution("shop-violet", oneiric={"violet": "violet_kit"})
    assert states(shop)["violet"][0] == "off"
    assert shop.run("plugins", "on", "violet").code == 0
    assert states(shop)["violet"][0] == "on"


# --- every layer -------------------------------------------------------------------------------------------------------


def test_every_layer_says_who(shop):
    """A plugin may be off for several reasons, and all are named: each would have to be taken back."""
    SwitchFile(shop.path / "state").off(["shop_warm"], "ann@shop", NOON)
    shop.write("oneiric.toml", '[app]\nplugins = ["mine"]\n[plugins]\noff = ["red", "blue"]\n')

    assert states(shop, "-p", "no:red", "-p", "no:mine") == {
        "red": (
            "off",
            "plugins.toml (ann@shop, 2026-01-31 12:00 UTC); "
            f"[plugins] off ({shop.path}/oneiric.toml:4); -p no:red",
        ),
        "green": ("on", None),
        "blue": ("off", f"[plugins] off ({shop.path}/oneiric.toml:4)"),
        "mine": ("off", "-p no:mine"),
    }


def test_only_some(shop):
    """Those that are left out say which line did not name them."""
    shop.write("oneiric.toml", '[plugins]\nonly = ["red", "blue"]\n')

    where = f"[plugins] only ({shop.path}/oneiric.toml:2)"
    assert states(shop) == {"red": ("on", None), "green": ("off", where), "blue": ("on", None)}


def test_none_by_themselves(shop):
    """``auto_load`` leaves them all alone; the application's own are its own."""
    shop.write("oneiric.toml", '[app]\nplugins = ["mine"]\n[plugins]\nauto_load = false\n')

    assert {name: state for name, (state, _) in states(shop).items()} == {
        "red": "off",
        "green": "off",
        "blue": "off",
        "mine": "on",
    }


def test_variable_says_who(shop):
    """It is its own place."""
    shop_states = shop.run("plugins", "--json", ONEIRIC__PLUGINS__OFF="red").json["plugins"]

    assert [each["by"] for each in shop_states if each["name"] == "red"] == ["ONEIRIC__PLUGINS__OFF"]


def test_more_groups(shop):
    """``entry_points`` reads them after the usual one; a plugin of two groups is one plugin, with both."""
    shop.write("site/tea_kit.py", KIT.format(name="tea"))
    shop.distribution("shop-tea", shop_plugins={"tea": "tea_kit"})
    shop.distribution("shop-both", oneiric={"two": "two_kit"}, shop_plugins={"two": "two_kit"})
    shop.write("site/two_kit.py", KIT.format(name="two"))
    assert services(shop) == ["blue", "green", "mine", "red", "two"]

    shop.write("oneiric.toml", '[plugins]\nentry_points = ["shop.plugins", "oneiric"]\n')

    assert services(shop) == ["blue", "green", "red", "tea", "two"]
    found = {each["name"]: each for each in shop.run("plugins", "--json").json["plugins"]}
    assert [(name, found[name]["groups"], found[name]["state"]) for name in ("red", "two", "tea")] == [
        ("red", ["oneiric"], "on"),
        ("two", ["oneiric", "shop.plugins"], "on"),
        ("tea", ["shop.plugins"], "on"),
    ]
    table = shop.run("plugins").out.splitlines()
    assert "GROUPS" in table[0]
    assert [line.split()[3:5] for line in table if line.startswith("two ")] == [["oneiric,", "shop.plugins"]]
    assert shop.run("plugins", "off", "tea").code == 0


def test_group_that_nobody_brings(shop):
    """A slip in its name would otherwise go unnoticed."""
    shop.write("oneiric.toml", '[plugins]\nentry_points = ["shop.plugin"]\n')
    ended = shop.run("list")

    assert (ended.code, ended.err) == (
        0,
        f"warning: {shop.path}/oneiric.toml:2: plugins.entry_points: nothing installed brings the group shop.plugin\n",
    )


@pytest.mark.parametrize("value", ['[""]', '[" shop"]', '["a\\nb"]', '"shop"', "[1]"])
def test_groups_have_names(shop, value):
    """Anything else is an error of the settings."""
    shop.write("oneiric.toml", f"[plugins]\nentry_points = {value}\n")

    ended = shop.run("list")
    assert (ended.code, ended.err.startswith(f"error: {shop.path}/oneiric.toml:2: plugins.entry_points")) == (
        5,
        True,
    )


def test_a_plan_says_that_plugins_wait_for_a_start(shop):
    """What is loaded does not change while a process runs."""
    shop.write("other.toml", '[app]\nplugins = ["mine"]\n[plugins]\noff = ["red"]\n')
    ended = shop.run("plan", "other.toml")

    assert (ended.code, ended.out) == (10, "[plugins] differs: at the next start\n")


# --- guards ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GUARDS)
def test_no_guard_is_switched_off_by_settings(shop, name):
    """Asking is an error, with its line."""
    shop.write("oneiric.toml", f'[plugins]\noff = [\n"red",\n"{name.upper()}"]\n')
    ended = shop.run("list")

    assert (ended.code, ended.err) == (
        5,
        f"error: {shop.path}/oneiric.toml:4: plugins.off: {name} is always on, and cannot be switched off "
        "(remove it there)\n",
    )


@pytest.mark.parametrize("name", GUARDS)
@pytest.mark.parametrize("words", ["-p no:{} list", "plugins off {}", "plugins off red {} --force"])
def test_no_guard_is_switched_off_by_a_command(shop, name, words):
    """It is refused, and nothing is written."""
    ended = shop.run(*words.format(name).split())

    assert (ended.code, ended.err) == (4, f"error: {name} is always on, and cannot be switched off\n")
    assert not (shop.path / "state" / "plugins.toml").exists()


@pytest.mark.parametrize("name", GUARDS)
def test_no_guard_is_switched_off_by_hand(shop, name):
    """Nor by who writes into plugins.toml himself."""
    file = shop.write(
        "state/plugins.toml", f'# mine\n[off."{name}"]\nby = "ann"\nat = 2026-01-31T12:00:00Z\n'
    )
    ended = shop.run("list")

    assert (ended.code, ended.err) == (
        5,
        f'error: {file}:2: off."{name}": {name} is always on, and cannot be switched off (remove it there)\n',
    )


@pytest.mark.parametrize(
    "settings", [{"plugins": {"only": ["red"]}}, {"plugins": {"only": [], "auto_load": False}}]
)
def test_only_and_auto_load_reach_no_built_in(shop, settings):
    """They are about what is installed."""
    runtime = assemble(settings)

    assert {
        each.name for each in runtime.hooks.plugins if each.origin == "builtin" and each.state == "on"
    } == set(BUILTINS)


def test_an_application_switches_off(shop):
    """By ``assemble``, with who says so where it does; not letter by letter, and no guard."""
    runtime = assemble(off={"red": "the nightly run"})
    assert runtime.hooks.plugin("red").by == "the nightly run"
    assert assemble(off=["red"]).hooks.plugin("red").by == "assemble(off=...)"
    for wrong in ("red", b"red", 3, [3]):
        with pytest.raises(PluginError, match="is a collection of names"):
            assemble(off=wrong)
    with pytest.raises(PluginError, match="load_plugins is a collection of names"):
        assemble(load_plugins="mine")
    with pytest.raises(AlwaysOn):
        assemble(off=["eligibility"])


# --- when something else is wrong --------------------------------------------------------------------------------------

INVALID = {
    "a section of a domain": '[app]\nname = "shop"\n[adapters.selections]\ncache = 1\n',
    "a section of all": '[app]\nname = "shop"\n[lifecycle]\ncreate_timeout = "long"\n',
    "app itself": '[app]\nname = "shop"\nplugin = ["mine"]\n',
    "plugins": '[app]\nname = "shop"\n[plugins]\noff = "red"\n',
    "a selection of nobody": '[app]\nname = "shop"\n[adapters.selections]\ncache = "redsi"\n',
}


@pytest.mark.parametrize("case", INVALID)
def test_off_works_with_invalid_settings(shop, monkeypatch, case):
    """It needs no more than to know which application it is; and finds the same file as with valid ones."""
    monkeypatch.delenv("ONEIRIC_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(shop.path / "users"))
    shop.write("oneiric.toml", INVALID[case])
    assert shop.run("plugins").code in (0, 5)
    ended = shop.run("plugins", "off", "red")

    assert (ended.code, ended.out.splitlines()[0]) == (0, "red is off from the next start on")
    # What is wrong with the section of a domain is known only to who has loaded its plugin.
    unseen = case in {"a section of a domain", "a selection of nobody"}
    assert (ended.err == "") is unseen
    assert unseen or ended.err.startswith(f"warning: the settings are not valid: {shop.path}/oneiric.toml:")
    shop.write("oneiric.toml", '[app]\nname = "shop"\n')
    assert states(shop)["red"][0] == "off"
    (made,) = (shop.path / "users" / "oneiric").iterdir()
    assert re.fullmatch(r"shop-[0-9a-f]{8}", made.name)


UNKNOWABLE = {
    "no TOML": "[app\n",
    "a name of other letters": '[app]\nname = "My Shop"\n',
    "no such profile": "[app]\n",
    "no text": "[app]\nname = 3\n",
}


@pytest.mark.parametrize("case", UNKNOWABLE)
def test_nobody_knows_which_application_it_is(shop, monkeypatch, case):
    """That is said with what to do; where the state directory is named, nothing else is needed."""
    if case == "no such profile":
        monkeypatch.setenv("ONEIRIC_PROFILE", "nobodys")
    shop.write("oneiric.toml", UNKNOWABLE[case])
    named = shop.run("plugins", "off", "red")
    monkeypatch.delenv("ONEIRIC_STATE_DIR")
    unnamed = shop.run("plugins", "off", "green")

    assert (named.code, named.out.splitlines()[0]) == (0, "red is off from the next start on")
    assert (unnamed.code, unnamed.out) == (5, "")
    assert "set ONEIRIC_STATE_DIR" in unnamed.err
    shop.write("oneiric.toml", "")
    monkeypatch.delenv("ONEIRIC_PROFILE", raising=False)
    monkeypatch.setenv("ONEIRIC_STATE_DIR", str(shop.path / "state"))
    assert states(shop)["red"][0] == "off"


DAMAGED = {
    "no TOML": ("[off\n", ":1", "is not TOML"),
    "no text": (b'[off.a]\nby = "\xff"\n', "", "is not UTF-8: byte 0xff"),
    "no table": ("off = 3\n", ":1", "expected a table [off]"),
    "no table below": ("# x\n[off]\nred = true\n", ":3", 'expected a table [off."red"] with by and at'),
    "no time": ("[off.red]\nby = 'ann'\n", ":1", '[off."red"] has no time at = 2026-01-31T12:00:00Z'),
    "a local time": ("[off.red]\nat = 2026-01-31T12:00:00\n", ":1", '[off."red"] has no time'),
    "half of it": ("[off.red]\nby = 'ann'\nat = 2026-01-", ":3", "is not TOML"),
    "deep": ("a = " + "[" * 5000, "", "is not TOML"),
    "a folder": (None, "", "cannot be read: Is a directory"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_file(shop, case):
    """Nothing is loaded that somebody may have switched off; it says where, and how to mend it; help works."""
    content, line, what = DAMAGED[case]
    file = shop.path / "state" / "plugins.toml"
    if content is None:
        file.mkdir(parents=True)
    else:
        file.parent.mkdir()
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    for words in (["list"], ["plugins"], ["plugins", "off", "red"], ["plugins", "on", "red"]):
        ended = shop.run(*words)
        assert (ended.code, ended.out) == (5, "")
        assert ended.err.startswith(f"error: {file}{line}: {what}")
        assert "mend it, or remove it" in ended.err or content is None
    assert shop.run("--help").code == 0
    assert content is None or file.read_bytes() == (
        content if isinstance(content, bytes) else content.encode()
    )


def test_state_directory_that_cannot_be_written(shop, monkeypatch):
    """It is refused, and says what else can be done."""
    shop.write("plain-file", "")
    ended = shop.run("plugins", "off", "red", ONEIRIC_STATE_DIR=str(shop.path / "plain-file" / "below"))

    assert (ended.code, ended.out) == (4, "")
    assert ended.err.splitlines()[0] == (
        f"error: {shop.path}/plain-file/below/plugins.toml cannot be written: Not a directory"
    )
    assert "write the name into [plugins] off" in ended.err
    assert shop.run("list", ONEIRIC_STATE_DIR=str(shop.path / "plain-file")).code == 0


def test_who_has_no_home(shop, monkeypatch):
    """Nothing can have been switched off there, so that other commands go on."""
    for name in ("ONEIRIC_STATE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "")

    def nobody(number):
        raise KeyError(number)  # a container that runs as a number of nobody's

    monkeypatch.setattr("pwd.getpwuid", nobody)

    assert shop.run("list").code == 0
    ended = shop.run("plugins", "off", "red")
    assert (ended.code, "ONEIRIC_STATE_DIR" in ended.err) == (5, True)


# --- several at once ---------------------------------------------------------------------------------------------------


def test_two_processes_lose_nothing(shop):
    """Eight at once: each change is there, and no other file is left."""
    names = [f"kit-{number}" for number in range(8)]
    running = [
        subprocess.Popen(
            shop.command("plugins", "off", "--force", name),
            cwd=shop.path,
            env=shop.environment,
            stdout=subprocess.PIPE,
        )
        for name in names
    ]
    assert [process.communicate() and process.returncode for process in running] == [0] * 8

    assert sorted(SwitchFile(shop.path / "state").read()) == names
    assert {each.name for each in (shop.path / "state").iterdir()} <= {"plugins.toml", "plugins.toml.lock"}


WRITES = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from oneiric.hooks.switched import SwitchFile
file = SwitchFile(Path(sys.argv[1]))
print("begun", flush=True)
for number in range(10**9):
    file.off([f"kit-{number % 50}", "red"], "ann", datetime.now(UTC))
    file.on([f"kit-{number % 50}"])
"""


def test_killed_while_writing(shop):
    """The file is the old one or the new one, and whoever comes next is not kept waiting."""
    file = SwitchFile(shop.path / "state")
    file.off(["red"], "ann", NOON)
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITES, str(file.folder)], env=shop.environment, stdout=subprocess.PIPE
        )
        process.stdout.readline()
        before = file.file.stat().st_mtime_ns
        while file.file.stat().st_mtime_ns == before:  # until it has written at least once
            pass
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert "red" in file.read()
        assert file.off(["green"], "bob", NOON) != []
        file.on(["green"])


# --- names and files of any kind ---------------------------------------------------------------------------------------


@given(st.lists(st.text(st.characters(), min_size=1), unique_by=alike))
def test_every_name_can_be_switched(tmp_path_factory, names):
    """Whatever a name is made of, half a surrogate too, it is off as it was given, and on again."""
    file = SwitchFile(tmp_path_factory.mktemp("state"))
    file.off(names, "ann", NOON)
    assert set(file.read()) == {alike(name) for name in names}
    assert len(file.on(names)) == len(names)
    assert file.read() == {}


@given(st.binary() | st.text().map(str.encode))
def test_any_file_is_read_or_refused(tmp_path_factory, content):
    """By an error that names it; nothing else comes out."""
    file = SwitchFile(tmp_path_factory.mktemp("state"))
    file.file.write_bytes(content)
    try:
        assert isinstance(file.read(), dict)
    except SettingsError as error:
        assert str(file.file) in str(error)


def test_what_a_later_version_writes_is_kept(shop):
    """Tables that are unknown stay as they are."""
    shop.write(
        "state/plugins.toml",
        "[trust]\nred = 1\n[off.green]\nby = 'ann'\nat = 2026-01-31T12:00:00Z\nwhy = 'x'\n",
    )
    shop.run("plugins", "off", "red")
    shop.run("plugins", "on", "red")

    assert tomllib.loads((shop.path / "state" / "plugins.toml").read_text()) == {
        "trust": {"red": 1},
        "off": {"green": {"by": "ann", "at": NOON, "why": "x"}},
    }


# --- required ----------------------------------------------------------------------------------------------------------

REQUIRED = [
    (["red", "mine", "cache.memory"], []),
    (["shop-warm", "Shop_Cold"], []),
    (["rde"], ["error: required: rde is not there", "  did you mean red?"]),
    (
        ["red", "green", "nobody-has-it", "broken"],
        [
            "error: required: green is off: it is switched off by -p no:green; nobody-has-it is not there; "
            "broken is failed: ModuleNotFoundError: No module named 'no_such_library' (FOLDER/site/broken_kit.py:1)"
        ],
    ),
    (
        ["shop-cold"],
        ["error: required: green is off: it is switched off by -p no:green"],
    ),
]


@pytest.mark.parametrize("several", [True, False], ids=["one option", "an option each"])
@pytest.mark.parametrize(("names", "said"), REQUIRED, ids=[" ".join(names) for names, _ in REQUIRED])
def test_required_plugins(shop, names, said, several):
    """For CI: 0 if all are on; else 3, with all that are not, and why."""
    shop.write("site/broken_kit.py", "import no_such_library\n")
    shop.distribution("shop-broken", oneiric={"broken": "broken_kit"})
    off = ["-p", "no:green"] if any("green" in line for line in said) else []
    options = ["--require", *names] if several else [word for name in names for word in ("--require", name)]
    ended = shop.run(*off, "plugins", *options, "-q")

    assert ended.code == (3 if said else 0)
    assert ended.err.replace(str(shop.path), "FOLDER").splitlines() == said


def test_required_options_end_at_the_next(shop):
    """What follows another option is not required."""
    ended = shop.run("plugins", "--require", "red", "green", "--json")
    assert (ended.code, ended.json["schema"]) == (0, "oneiric/plugins/1")


# --- one plugin --------------------------------------------------------------------------------------------------------


def test_everything_about_one(shop):
    """By its name or its distribution: what brings it, where it was read, what it does."""
    for name in ("red", "shop_warm"):
        out = re.sub(r"[\d.]+ ms", "N ms", shop.run("plugins", "info", name).out)
        assert out.splitlines() == [
            "plugin        red",
            "state         on",
            "origin        installed",
            "distribution  shop-warm 2.1",
            "entry point   red = red_kit",
            "groups        oneiric",
            f"where         {shop.path}/site/red_kit.py:1",
            "hooks         oneiric_candidates",
            "candidates    service:red red",
            "load          N ms",
        ]


def test_one_that_is_off(shop):
    """Who switched it off, and nothing that would have to be imported."""
    SwitchFile(shop.path / "state").off(["red"], "ann@shop", NOON)
    one = shop.run("plugins", "info", "red", "--json").json

    assert {
        name: one[name] for name in ("state", "reason", "by", "hooks", "candidates", "load_ms", "version")
    } == {
        "state": "off",
        "reason": "it is switched off",
        "by": "plugins.toml (ann@shop, 2026-01-31 12:00 UTC)",
        "hooks": [],
        "candidates": [],
        "load_ms": 0,
        "version": "2.1",
    }
