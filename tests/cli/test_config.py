"""``oneiric config``: what is in force and who said so, what is wrong, and what there is to set."""

import json
import os
import re

import pytest
from jsonschema import Draft202012Validator

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once

CANARY = "canary-hunter2"
#: In an address, of which nobody says that it is a secret.
PASSWORD = "pa55word"

#: A kit: a candidate with settings, one of them a secret, a plugin with settings, and a word that shows what it got.
KIT = """
    import asyncio

    import attrs
    import click
    from oneiric_hookspecs import Candidate, Key, Secret, hookimpl

    @attrs.frozen
    class Access:
        user: str = "nobody"
        password: Secret | None = None

    @attrs.frozen
    class Spool:
        url: str
        size: int = attrs.field(default=10, validator=attrs.validators.ge(1))
        access: Access = attrs.field(factory=Access)
        tokens: tuple[Secret, ...] = ()

    def spool(settings):
        return settings

    class Plugin:
        @attrs.frozen
        class Settings:
            level: int = 0
            token: Secret | None = None

        def __init__(self, context):
            self.level = context.settings.level

        @hookimpl
        def oneiric_candidates(self):
            yield Candidate(Key.of("adapter", "spool"), "redis", spool, settings_class=Spool, summary=f"level {self.level}")

    @click.command()
    @click.pass_obj
    def command(context):
        "Show what the factory was given."

        async def use():
            async with context.host() as host, host.use("adapter", "spool") as spool:
                context.show({"url": spool.url, "size": spool.size, "user": spool.access.user}, "kit/1")

        asyncio.run(use())
"""


@pytest.fixture
def shop(folder):
    """A project with the kit installed."""
    folder.write("site/kit.py", KIT)
    folder.distribution("oneiric-kit", oneiric={"kit": "kit:Plugin"}, oneiric_commands={"kit": "kit:command"})
    return folder


SETTINGS = f"""\
[app]
name = "shop"

[adapters.selections]
cache = "disk"

[adapters.settings.cache.disk]
path = "cache.sqlite"

[adapters.settings.spool.redis]
url = "redis://me:{PASSWORD}@db/1"
tokens = ["{CANARY}"]
access = {{ user = "shop", password = "{CANARY}" }}

[plugins.settings.kit]
level = 2
token = "{CANARY}"

[profile.prod.adapters.settings.spool.redis]
size = 99
access.password = "{CANARY}-prod"
"""


# --- show ---------------------------------------------------------------------------------------------------------------


def test_show_says_what_is_in_force(shop):
    """Of all layers and the defaults; what is a secret is masked, wherever it is, and so is a password in an address."""
    shop.write("oneiric.toml", SETTINGS)

    ended = shop.spawn("config", "show", "adapters.settings.spool", "--profile", "prod")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        'adapters.settings.spool.redis.url = "redis://me:***@db/1"',
        "adapters.settings.spool.redis.size = 99",
        'adapters.settings.spool.redis.access.user = "shop"',
        'adapters.settings.spool.redis.access.password = "***"',
        'adapters.settings.spool.redis.tokens = "***"',
    ]


def test_show_says_who_set_it_and_over_whom(shop):
    """File, profile, variable, option, default; in a form that a file of settings may have."""
    shop.write("oneiric.toml", SETTINGS)
    variable = {"ONEIRIC__ADAPTERS__SETTINGS__SPOOL__REDIS__SIZE": "7"}

    ended = shop.spawn("config", "show", "--origin", "--profile", "prod", "-p", "no:cache.memory", **variable)

    lines = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert 'app.name = "shop"  # oneiric.toml:2' in lines
    assert 'plugins.off = ["cache.memory"]  # -p no:cache.memory' in lines
    assert "plugins.auto_load = true  # default" in lines
    assert "# app.state_dir is not set  # default" in lines
    assert (
        "adapters.settings.spool.redis.size = 7"
        "  # ONEIRIC__ADAPTERS__SETTINGS__SPOOL__REDIS__SIZE, over oneiric.toml:20 (profile prod): 99"
    ) in lines
    assert (
        'adapters.settings.spool.redis.access.password = "***"'
        '  # oneiric.toml:21 (profile prod), over oneiric.toml:13: "***"'
    ) in lines
    assert "plugins.settings.kit.level = 2  # oneiric.toml:16" in lines


def test_show_for_machines(shop):
    """The same, with whole paths and plain values."""
    shop.write("oneiric.toml", SETTINGS)

    found = shop.spawn(
        "config", "show", "adapters.settings.spool.redis.size", "--json", "--profile", "prod"
    ).json

    assert found == {
        "schema": "oneiric/config-show/1",
        "profile": "prod",
        "settings": [
            {
                "path": "adapters.settings.spool.redis.size",
                "value": 99,
                "default": False,
                "where": f"{shop.path}/oneiric.toml:20 (profile prod)",
                "over": [],
            }
        ],
        "warnings": [],
    }


def test_show_is_toml(shop):
    """What it prints without origins is a file of settings, less what is masked."""
    import tomllib

    shop.write("oneiric.toml", SETTINGS)
    text = shop.spawn("config", "show", "--origin").out

    assert tomllib.loads(text)["adapters"]["settings"]["spool"]["redis"]["access"]["user"] == "shop"


def test_show_of_what_is_not_there(shop):
    """The nearest there is, and exit code 3."""
    shop.write("oneiric.toml", SETTINGS)

    ended = shop.spawn("config", "show", "adapters.settings.spol")

    assert (ended.code, ended.out) == (3, "")
    assert ended.err.splitlines() == [
        "error: there is no setting adapters.settings.spol",
        "  did you mean adapters.settings.spool?",
    ]


@pytest.mark.parametrize("off", [["-p", "no:kit"], ["-p", "no:oneiric-kit"]], ids=str)
def test_tables_of_a_plugin_that_is_off_are_masked(shop, off):
    """Nobody says what in them is a secret; a warning names the plugin."""
    shop.write("oneiric.toml", SETTINGS)

    ended = shop.spawn("config", "show", *off)

    assert ended.code == 0
    assert [line for line in ended.out.splitlines() if ".spool." in line or ".kit." in line] == [
        'plugins.settings.kit.level = "***"',
        'plugins.settings.kit.token = "***"',
        'adapters.settings.spool.redis.url = "***"',
        'adapters.settings.spool.redis.tokens = "***"',
        'adapters.settings.spool.redis.access.user = "***"',
        'adapters.settings.spool.redis.access.password = "***"',
    ]
    assert "adapters.settings.spool: nothing registered is called 'spool'" in ended.err
    assert "or it belongs to a plugin that is not there: kit (off)" in ended.err


WORDS = [
    ["config", "show"],
    ["config", "show", "--origin"],
    ["config", "show", "--origin", "--profile", "prod"],
    ["config", "check"],
    ["config", "schema"],
    ["config", "env"],
    ["config", "path"],
    ["list"],
    ["plugins", "info", "kit"],
]


INVALID = SETTINGS.replace('name = "shop"', "name = 1\nnam = 2").replace("size = 99", "size = 0")


@pytest.mark.parametrize(
    ("more", "text"),
    [([], SETTINGS), (["--json", "--debug"], INVALID), (["-p", "no:kit"], SETTINGS)],
    ids=["", "invalid", "off"],
)
@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_no_command_shows_a_secret(shop, words, more, text):
    """Neither on stdout nor on stderr; whether the settings are valid or not, and whether the kit is there or not."""
    shop.write("oneiric.toml", text)
    variable = {"ONEIRIC__ADAPTERS__SETTINGS__SPOOL__REDIS__ACCESS__PASSWORD": f"{CANARY}-env"}

    ended = shop.spawn(*words, *more, **({} if "no:kit" in more else variable))

    assert ended.code in ({0, 5} if text is INVALID else {0, 3})
    assert CANARY not in ended.out + ended.err
    assert PASSWORD not in ended.out + ended.err


# --- settings reach the factory -----------------------------------------------------------------------------------------


def test_settings_reach_the_factory_and_the_plugin(shop):
    """From the file and the environment, validated; what is missing in one layer stands in another."""
    shop.write("oneiric.toml", SETTINGS)

    ended = shop.spawn(
        "kit", "--json", "--profile", "prod", ONEIRIC__ADAPTERS__SETTINGS__SPOOL__REDIS__URL="u"
    )
    listed = shop.spawn("list", "--json", "--domain", "adapter").json["keys"]

    assert (ended.code, ended.json) == (
        0,
        {"schema": "kit/1", "url": "u", "size": 99, "user": "shop", "warnings": []},
    )
    assert [each["candidates"][0]["summary"] for each in listed if each["key"] == "spool"] == ["level 2"]


# --- check --------------------------------------------------------------------------------------------------------------

WRONG = """\
[app]
nam = "shop"

[lifecycle]
create_timeout = "soon"

[adapters.selections]
cache = 3

[adapters.settings.spool.redis]
url = "u"
size = 0

[plugins.settings.kit]
level = "high"

[profile.prod.resolver]
on_missing = "fall_back"
"""
FINDINGS = [
    "oneiric.toml:2: app.nam: unknown key (did you mean name?)",
    "oneiric.toml:5: lifecycle.create_timeout: expected a number, found 'soon'",
    "oneiric.toml:8: adapters.selections.cache: expected a provider, found 3",
    "oneiric.toml:12: adapters.settings.spool.redis.size: 'size' must be >= 1: 0",
    "oneiric.toml:15: plugins.settings.kit.level: expected a whole number, found 'high'",
    (
        "oneiric.toml:18: profile.prod.resolver.on_missing: expected one of 'error', 'fallback', found 'fall_back'"
        " (did you mean 'fallback'?)"
    ),
    "ONEIRIC__LIFECYCLE__MAX_PROBES: expected a whole number, found 'many'",
]
MANY = {"ONEIRIC__LIFECYCLE__MAX_PROBES": "many"}


def test_everything_that_is_wrong_is_said_in_one_run(shop):
    """Slips of seven kinds, of both phases and of a plugin's own table: each at its place, in one answer."""
    shop.write(
        "oneiric.toml",
        WRONG.replace(
            "[adapters.settings.spool.redis]\n",
            "[adapters.settings.cache.disk]\npath = 1\n\n[adapters.settings.cache.memory]\n",
        ).replace('url = "u"\nsize', "max_items"),
    )

    ended = shop.spawn("config", "check", **MANY)

    lines = [line.removeprefix(f"{shop.path}/") for line in ended.out.splitlines()]
    assert (ended.code, ended.err) == (5, "")
    assert sorted(lines[:-1]) == sorted(
        [
            *FINDINGS[:3],
            "oneiric.toml:11: adapters.settings.cache.disk.path: expected a text, found 1",
            "oneiric.toml:14: adapters.settings.cache.memory.max_items: max_items is a whole number, at least 1, found 0",
            FINDINGS[4].replace(":15:", ":17:"),
            FINDINGS[5].replace(":18:", ":20:"),
            FINDINGS[6],
        ]
    )
    assert lines[-1] == "8 problems in 6 settings: 6 from oneiric.toml"


@pytest.mark.parametrize(
    "words",
    [["list"], ["config", "show"], ["plan"], ["explain", "adapter", "cache"], ["plugins"]],
    ids=" ".join,
)
def test_every_command_says_everything(shop, words):
    """A broken [app] hides nothing; there is no traceback, and the exit code is 5."""
    shop.write("oneiric.toml", WRONG)

    ended = shop.spawn(*words, "--json", **MANY)

    assert (ended.code, ended.out) == (5, "")
    found = {each["path"]: each["where"] for each in ended.error["problems"]}
    assert {path: where and where.removeprefix(f"{shop.path}/") for path, where in found.items()} == {
        "app.nam": "oneiric.toml:2",
        "lifecycle.create_timeout": "oneiric.toml:5",
        "adapters.selections.cache": "oneiric.toml:8",
        "plugins.settings.kit.level": "oneiric.toml:15",
        "profile.prod.resolver.on_missing": "oneiric.toml:18",
        "ONEIRIC__LIFECYCLE__MAX_PROBES": None,
        # Of the failed plugin's candidates nobody knows anything.
    }


def test_check_of_what_is_right(shop):
    """How many settings were read, and from where."""
    shop.write("oneiric.toml", SETTINGS)
    environ = {"ONEIRIC__ADAPTERS__SETTINGS__SPOOL__REDIS__SIZE": "7", "ONEIRIC_STACK_ORDER": "a"}

    people = shop.spawn("config", "check", "--profile", "prod", "-p", "no:cache.memory", **environ)
    machine = shop.spawn("config", "check", "--json", "--profile", "test", "-p", "no:kit")

    assert (people.code, people.err, people.out) == (
        0,
        "",
        "nothing is wrong with 14 settings: 9 from oneiric.toml, 2 from profile prod, 2 from environment, 1 from command line\n",
    )
    assert machine.json["read"] == [
        {"from": "oneiric.toml", "settings": 9},
        {"from": "profile test", "settings": 2},
        {"from": "command line", "settings": 1},
    ]
    assert (machine.code, machine.json["valid"], machine.json["problems"]) == (0, True, [])


def test_check_of_a_named_file(shop):
    """Instead of the one that would be found."""
    shop.write("oneiric.toml", SETTINGS)
    shop.write("other.toml", "[app]\nnam = 1\n")

    ended = shop.spawn("config", "check", "other.toml", "--json")

    assert ended.code == 5
    assert [(each["path"], each["where"]) for each in ended.json["problems"]] == [("app.nam", "other.toml:2")]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = ", "oneiric.toml:1: is not TOML: invalid value"), (None, "gone.toml: there is no such file")],
)
def test_check_of_what_cannot_be_read(shop, text, line):
    """One line, and 5."""
    if text is not None:
        shop.write("oneiric.toml", text)

    ended = shop.spawn("config", "check", *([] if text is not None else ["gone.toml"]))

    assert (ended.code, ended.err) == (5, "")
    assert [each.removeprefix(f"{shop.path}/") for each in ended.out.splitlines()] == [line, "1 problem"]


def test_a_plugin_whose_table_is_wrong_is_a_finding(shop):
    """To others it is a failed plugin, and a warning."""
    shop.write("oneiric.toml", '[plugins.settings.kit]\nlevel = "high"\n')

    checked, listed = shop.spawn("config", "check"), shop.spawn("list")

    assert (checked.code, listed.code) == (5, 0)
    assert checked.out.splitlines()[0].endswith(
        "oneiric.toml:2: plugins.settings.kit.level: expected a whole number, found 'high'"
    )


# --- path and env -------------------------------------------------------------------------------------------------------

LOUD = "import pathlib\npathlib.Path('imported').touch()\nraise SystemExit('imported')\n"


@pytest.fixture
def loud(folder):
    """A project whose plugins, installed and its own, leave a trace when they are imported."""
    folder.write("site/loud_kit.py", LOUD)
    folder.write("mine.py", LOUD)
    folder.distribution(
        "oneiric-loud", oneiric={"loud": "loud_kit"}, oneiric_commands={"loud": "loud_kit:command"}
    )
    folder.write(
        "oneiric.toml",
        '[app]\nplugins = ["mine"]\n[adapters.settings.spool.redis]\nurl = "u"\nx-a = 1\ninner.b-c = 1\n',
    )
    return folder


@pytest.mark.parametrize(
    "words",
    [["path"], ["env"], ["path", "-p", "mine"], ["env", "-p", "mine", "--profile", "test"]],
    ids=" ".join,
)
@pytest.mark.parametrize("broken", ["", "[ap]\n[plugins]\noff = 1\n"])
def test_nobody_is_imported(loud, words, broken):
    """Neither an installed plugin nor one of the application, whatever the file says."""
    loud.write("oneiric.toml", (loud.path / "oneiric.toml").read_text() + broken)

    ended = loud.spawn("config", *words)

    assert (ended.code, ended.err) == (0, "")
    assert not (loud.path / "imported").exists()


def test_env_lists_what_there_is(loud):
    """The plain names, every section, the built-in candidates, and what the files mention; and says what it does not."""
    ended = loud.spawn("config", "env", "--json", ONEIRIC_STACK_ORDER="a")

    found = {each["name"]: each for each in ended.json["variables"]}
    assert found["ONEIRIC_STACK_ORDER"] == {
        "name": "ONEIRIC_STACK_ORDER",
        "sets": None,
        "takes": "the same as ONEIRIC__RESOLVER__STACK_ORDER",
        "set": True,
    }
    assert found["ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__BUSY_TIMEOUT"] == {
        "name": "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__BUSY_TIMEOUT",
        "sets": "adapters.settings.cache.disk.busy_timeout",
        "takes": "a number",
        "set": False,
    }
    mentioned = [name for name in found if "SPOOL" in name]
    assert mentioned == [
        "ONEIRIC__ADAPTERS__SELECTIONS__SPOOL",
        "ONEIRIC__ADAPTERS__SETTINGS__SPOOL__REDIS__URL",
        "ONEIRIC__ADAPTERS__SETTINGS__SPOOL__REDIS__INNER__B_C",
    ]
    assert ended.json["complete"] is False
    assert "No plugin but the built-in ones was imported." in loud.spawn("config", "env").out


def test_every_name_that_env_lists_is_taken(folder):
    """What it says can be set, can: none of them is refused as a name."""
    names = [each["name"] for each in folder.run("config", "env", "--json").json["variables"] if each["sets"]]
    values = dict.fromkeys(names, "")

    ended = folder.run("config", "check", "--json", **values)

    assert [each["path"] for each in ended.json["problems"] if "names" in each["message"]] == []
    assert len(names) > 30


def test_path_says_which_files(folder):
    """Those that were looked for, those that were read, the profile, and where the state is."""
    folder.write("oneiric.toml", '[app]\nname = "shop"\n[profile.prod]\n')
    (folder.path / "below").mkdir()

    environ = {"ONEIRIC_STATE_DIR": str(folder.path / "state"), "ONEIRIC_PROFILE": "prod"}
    found = folder.spawn("config", "path", "--json", **environ).json

    assert found == {
        "schema": "oneiric/config-path/1",
        "files": [f"{folder.path}/oneiric.toml"],
        "considered": [{"file": f"{folder.path}/oneiric.toml", "there": True}],
        "named_by": None,
        "profile": "prod",
        "profiles": ["default", "serverless", "test", "prod"],
        "state": f"{folder.path}/state",
        "problems": [],
        "warnings": [],
    }


def test_path_where_nothing_is_found(folder):
    """Every folder upward is named."""
    ended = folder.spawn("config", "path", "--json")

    assert ended.json["files"] == []
    assert ended.json["considered"][0] == {"file": f"{folder.path}/oneiric.toml", "there": False}
    assert ended.json["considered"][-1] == {"file": "/oneiric.toml", "there": False}
    assert "none: the defaults" in folder.spawn("config", "path").out


@pytest.mark.parametrize("named_by", ["--config", "ONEIRIC_CONFIG"])
def test_path_of_files_that_were_named(folder, named_by):
    """Several, and who named them; one that is not there is said to be so."""
    folder.write("a.toml", "")
    words = ["-c", "a.toml", "-c", "b.toml"] if named_by == "--config" else []
    environ = {} if words else {"ONEIRIC_CONFIG": f"a.toml{os.pathsep}b.toml"}

    found = folder.spawn("config", "path", "--json", *words, **environ).json

    assert (found["named_by"], found["files"]) == (named_by, ["a.toml", "b.toml"])
    assert [each["there"] for each in found["considered"]] == [True, False]
    assert [each["message"] for each in found["problems"]] == ["there is no such file"]
    assert (found["state"], found["profile"]) == (None, None)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("[app]\nnam = 1\n", "not known: [app] is not valid"),
        ("a = ", "not known: a file cannot be read"),
        ("[lifecycle]\ncreate_timeout = 0\n", "oneiric/app-"),
    ],
)
def test_path_of_a_file_that_is_not_valid(folder, text, state):
    """It answers what it can, and says that there is more to be said."""
    folder.write("oneiric.toml", text)

    ended = folder.spawn("config", "path", COLUMNS="200")

    assert (ended.code, ended.err) == (0, "")
    assert state in next(line for line in ended.out.splitlines() if line.startswith("state"))
    assert ended.out.splitlines()[-1] == "1 problem; see oneiric config check"


# --- schema -------------------------------------------------------------------------------------------------------------


def test_schema_takes_the_file_and_refuses_a_slip(shop):
    """With the classes of all that is plugged in."""
    import tomllib

    schema = json.loads(shop.spawn("config", "schema").out)
    Draft202012Validator.check_schema(schema)

    validator = Draft202012Validator(schema)
    assert [each.message for each in validator.iter_errors(tomllib.loads(SETTINGS))] == []
    assert not validator.is_valid(tomllib.loads(SETTINGS.replace("size = 99", "size = 0")))
    assert not validator.is_valid({"plugins": {"settings": {"kit": {"level": "x"}}}})


def test_schema_is_written_where_it_is_wanted(shop):
    """And is the same for machines; it does not matter whether the settings are valid."""
    before = shop.spawn("config", "schema", "--json").json["document"]
    shop.write(
        "oneiric.toml", "[app]\nnam = 1\n[adapters.settings.spool.redis]\nsize = 0\n[profile]\na = 1\n"
    )

    ended = shop.spawn("config", "schema", "--output", "oneiric.schema.json")

    assert (ended.code, ended.out, ended.err) == (0, "written to oneiric.schema.json\n", "")
    assert json.loads((shop.path / "oneiric.schema.json").read_text()) == before


def test_schema_that_cannot_be_written(folder):
    """One line, and 4."""
    ended = folder.spawn("config", "schema", "--output", "no/such/folder.json")

    assert (ended.code, ended.out) == (4, "")
    assert ended.err == "error: no/such/folder.json cannot be written: No such file or directory\n"


# --- layers, through the front door -------------------------------------------------------------------------------------


def winner(ended):
    return {each["key"]: each["winner"] for each in ended.json["keys"]}["cache"]


def test_a_profile_is_chosen_by_option_or_variable(folder):
    """The option wins."""
    folder.write(
        "oneiric.toml",
        '[profile.a.adapters.selections]\ncache = "disk"\n[profile.b.adapters.selections]\ncache = "memory"\n',
    )
    words = ["list", "--json", "--domain", "adapter"]

    assert winner(folder.run(*words, "--profile", "a")) == "disk"
    assert winner(folder.run(*words, ONEIRIC_PROFILE="a")) == "disk"
    assert winner(folder.run("--profile", "b", *words, ONEIRIC_PROFILE="a")) == "memory"


def test_an_unknown_profile_is_refused(folder):
    """With the nearest, and 5."""
    folder.write("oneiric.toml", "[profile.production]\n")

    ended = folder.run("list", "--profile", "prodution")

    assert (ended.code, ended.out) == (5, "")
    assert ended.err == "error: there is no profile 'prodution' (did you mean production?)\n"


def test_the_profile_for_tests_loads_nothing_that_is_installed(shop):
    """Whatever happens to be there."""
    states = {
        each["name"]: each["state"]
        for each in shop.spawn("plugins", "--json", "--profile", "test").json["plugins"]
    }

    assert states["kit"] == "off"


def test_plan_compares_with_the_same_layers(folder):
    """Profile, environment and options hold for both; only the file is another."""
    folder.write(
        "oneiric.toml", '[profile.a.lifecycle]\nmax_probes = 3\n[adapters.selections]\ncache = "disk"\n'
    )
    folder.write(
        "same.toml", '[profile.a.lifecycle]\nmax_probes = 3\n[adapters.selections]\ncache = "disk"\n'
    )
    folder.write(
        "new.toml",
        '[profile.a.adapters.selections]\ncache = "memory"\n[profile.a.lifecycle]\nmax_probes = 3\n',
    )
    options = ["--profile", "a", "-p", "no:domains.task", "--json"]

    same = folder.run("plan", "same.toml", *options, ONEIRIC__LIFECYCLE__MAX_ACTIVATIONS="2")
    new = folder.run("plan", "new.toml", *options)

    assert (same.code, same.json["changes"], same.json["sections"]) == (0, [], [])
    assert (new.code, new.json["sections"]) == (10, [])
    assert [(each["key"], each["before"], each["after"]) for each in new.json["changes"]] == [
        ("cache", "disk", "memory")
    ]


def test_plan_of_a_file_that_is_not_valid(folder):
    """Everything that is wrong with it, of both phases; and 5."""
    folder.write("new.toml", "[app]\nnam = 1\n[adapters.settings.cache.disk]\npth = 1\n")

    ended = folder.run("plan", "new.toml", "--json")

    assert (ended.code, ended.out) == (5, "")
    assert [(each["path"], each["where"]) for each in ended.error["problems"]] == [
        ("app.nam", "new.toml:2"),
        ("adapters.settings.cache.disk.pth", "new.toml:4"),
    ]


def test_a_variable_that_is_nearly_ours_is_a_warning(folder):
    """Not an error: it may be somebody else's."""
    ended = folder.run("list", ONEIRIC_APP_NAME="x", ONEIRIC_HOME="y")

    assert ended.code == 0
    assert ended.err == (
        "warning: ONEIRIC_APP_NAME: is no variable of ours, and sets nothing (did you mean ONEIRIC__APP__NAME?)\n"
    )


@pytest.mark.parametrize("words", [[], ["show"], ["check"], ["schema"], ["env"], ["path"]], ids=str)
def test_help_fits_a_terminal(folder, words):
    """In 80 columns."""
    text = folder.run("config", *words, "--help", COLUMNS="80").out

    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"\x1b", text)


ODD = """
    import datetime as dt

    import attrs
    from oneiric_hookspecs import Candidate, Key, Secret, hookimpl

    @attrs.frozen
    class Odd:
        when: dt.date = dt.date(2020, 1, 1)
        far: float = float("inf")
        text: str = "a\\x1bb\\x9bc"
        weights: dict[str, float] = attrs.field(factory=lambda: {"a\\x9b b": 1.0})
        many: list[dict[str, str]] = attrs.field(factory=lambda: [{"a": "b"}])
        either: int | Secret = 3
        nested: dict[str, Secret] = attrs.field(factory=lambda: {"a": Secret("x")})

    @hookimpl
    def oneiric_candidates():
        yield Candidate(Key.of("service", "odd"), "x", dict, settings_class=Odd)
"""


def test_odd_values_are_shown_as_toml_has_them(folder):
    """Dates, infinity, tables in lists; nothing that a terminal would obey, and nothing of a field that may be a secret."""
    folder.write("odd.py", ODD)
    words = ["config", "show", "services.settings.odd", "-p", "odd"]

    assert folder.run(*words).out.splitlines() == [
        "services.settings.odd.x.when = 2020-01-01",
        "services.settings.odd.x.far = inf",
        'services.settings.odd.x.text = "a\\u001bb\\u009bc"',
        'services.settings.odd.x.weights."a\\u009b b" = 1.0',
        'services.settings.odd.x.many = [{ a = "b" }]',
        'services.settings.odd.x.either = "***"',
        'services.settings.odd.x.nested.a = "***"',
    ]
    values = [each["value"] for each in folder.run(*words, "--json").json["settings"]]
    assert values == ["2020-01-01", "inf", "a\x1bb\x9bc", 1.0, [{"a": "b"}], "***", "***"]
