"""What is imported, and what is not, before a word is typed; and the words that kits bring."""

import inspect
import json
import subprocess
import sys
from importlib import import_module

import click
import pytest

from oneiric.cli import COMMANDS

HEAVY = [
    "pluggy",
    "attrs",
    "attr",
    "cattrs",
    "httpx",
    "cryptography",
    "asyncio",
    "oneiric_hookspecs",
    "oneiric.runtime",
]
SEE = "import sys, json; from oneiric.cli import main; main(sys.argv[1:], standalone_mode=False); print(json.dumps(sorted(sys.modules)))"


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["-h"]])
def test_help_imports_no_kernel(folder, words):
    """Help costs click, and nothing of ours behind it."""
    out = subprocess.run(
        [sys.executable, "-P", "-c", SEE, *words],
        env=folder.environment,
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    modules = json.loads(out.splitlines()[-1])
    assert [name for name in HEAVY if name in modules] == []
    assert [name for name in modules if name.startswith("oneiric.cli.")] == [
        "oneiric.cli.context",
        "oneiric.cli.errors",
        "oneiric.cli.group",
        *(["oneiric.cli.kits"] if words != ["--version"] else []),
        "oneiric.cli.options",
        "oneiric.cli.output",
    ]


@pytest.mark.parametrize("words", [["list"], ["explain", "adapter", "cache"]])
def test_looking_imports_no_heavy_library(folder, words):
    """Without settings nothing is to be structured, nothing is ever fetched, and what is not started needs no engine."""
    out = subprocess.run(
        [sys.executable, "-P", "-c", SEE, *words],
        env=folder.environment,
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    modules = json.loads(out.splitlines()[-1])
    heavy = ("cattrs", "httpx", "cryptography", "opentelemetry", "oneiric.activation", "oneiric.swap")
    assert [name for name in heavy if name in modules] == []


def test_end_of_a_command_looks_for_no_garbage():
    """What is there is left to the system, once the process ends; who runs a command in a process of his own keeps his."""
    code = (
        "import atexit, gc; from oneiric.cli import main\n"
        "before = gc.get_freeze_count()\n"  # some Pythons begin with a few
        "atexit.register(lambda: print(len(gc.get_objects()) < 1000 < gc.get_freeze_count()))\n"
        "try: main(['--version'])\n"
        "except SystemExit: print(gc.get_freeze_count() == before)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert out.splitlines()[1:] == ["True", "True"]


@pytest.mark.parametrize("word", COMMANDS)
def test_help_of_a_command_is_its_first_line(word):
    """The table that --help reads says what the commands say of themselves."""
    module, help_line = COMMANDS[word]

    found = import_module(module).command
    assert (found.name, inspect.cleandoc(found.help).splitlines()[0]) == (word, help_line)


def _all(group, path):
    yield path, group
    for name, each in getattr(group, "commands", {}).items():
        yield from _all(each, f"{path} {name}")


@pytest.mark.parametrize("word", COMMANDS)
def test_every_option_has_a_help(word):
    """Nobody has to guess what an option does."""
    for path, found in _all(import_module(COMMANDS[word][0]).command, word):
        for param in found.params:
            assert not isinstance(param, click.Option) or param.help, f"{path} {param.opts}"


@pytest.mark.parametrize("place", ["before", "after", "on both sides"])
def test_global_options_stand_anywhere(folder, place):
    """Before the word, behind it, and behind a second one."""
    folder.plugin("one", 'Candidate(Key.of("service", "one"), "x", create)')
    folder.plugin("two", 'Candidate(Key.of("service", "two"), "x", create)')
    words = {
        "before": ["--json", "-p", "one", "-p", "two", "plugins", "info", "one"],
        "after": ["plugins", "info", "one", "-p", "one", "-p", "two", "--json"],
        "on both sides": ["-p", "one", "plugins", "-p", "two", "info", "one", "--json"],
    }[place]

    ended = folder.run(*words)

    assert (ended.code, ended.json["candidates"]) == (0, ["service:one x"])


@pytest.mark.parametrize(
    "words",
    [
        ["-p", "one", "-p", "two", "list"],
        ["-p", "one", "list", "-p", "two"],
        ["list", "-p", "one", "-p", "two"],
    ],
)
def test_plugins_add_up(folder, words):
    """Those named before the word and those named behind it are loaded, in that order."""
    folder.plugin("one", 'Candidate(Key.of("service", "one"), "x", create)')
    folder.plugin("two", 'Candidate(Key.of("service", "two"), "x", create)')

    keys = folder.run(*words, "--json", "--domain", "service").json["keys"]

    assert [(each["key"], each["candidates"][0]["source"]) for each in keys] == [
        ("one", "one"),
        ("two", "two"),
    ]


def test_the_last_settings_file_counts(folder):
    """Of files given twice, the one behind the word lies over the one before it."""
    folder.write("one.toml", '[adapters.selections]\ncache = "memory"\n')
    folder.write("two.toml", '[adapters.selections]\ncache = "disk"\n')

    ended = folder.run("-c", "one.toml", "list", "-c", "two.toml", "--json")

    assert [each["winner"] for each in ended.json["keys"] if each["key"] == "cache"] == ["disk"]


def test_settings_file_is_found_and_its_plugins_beside_it(folder, monkeypatch):
    """From a folder below the project, its file is found, and the modules beside the file are importable."""
    folder.write("oneiric.toml", '[app]\nplugins = ["mine"]\n')
    folder.plugin("mine", 'Candidate(Key.of("service", "mail"), "smtp", create)')
    (folder.path / "below").mkdir()
    monkeypatch.chdir(folder.path / "below")

    assert [each["key"] for each in folder.run("list", "--domain", "service", "--json").json["keys"]] == [
        "mail"
    ]


# --- colours -----------------------------------------------------------------------------------------------------------

COLORS = [
    ([], {}, False),
    (["--color", "always"], {}, True),
    (["--color", "always"], {"NO_COLOR": "1"}, True),
    (["--color", "never"], {"FORCE_COLOR": "1"}, False),
    ([], {"FORCE_COLOR": "1"}, True),
    ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ([], {"FORCE_COLOR": "1", "NO_COLOR": ""}, True),
]


@pytest.mark.parametrize(("options", "environment", "colored"), COLORS)
def test_colors_are_for_those_who_want_them(folder, options, environment, colored):
    """--color says so, then NO_COLOR, then FORCE_COLOR, and else the stream, which is no terminal here."""
    assert ("\x1b[" in folder.run("list", *options, **environment).out) is colored


@pytest.mark.parametrize(("term", "colored"), [("xterm", True), ("dumb", False)])
def test_terminal_gets_colors(folder, term, colored):
    """A terminal that can show them, without being asked."""
    import pty

    ours, theirs = pty.openpty()
    subprocess.run(
        folder.command("plugins"),
        env=folder.environment | {"TERM": term, "COLUMNS": "80"},
        cwd=folder.path,
        stdout=theirs,
        check=True,
    )
    import os

    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        said += part
    os.close(ours)

    assert (b"\x1b[32mon\x1b[0m" in said) is colored


def test_states_are_words(folder):
    """Without colours nothing is lost: the same text, less the escapes."""
    import re

    folder.write("broken.py", "import no_such_library\n")
    plain = folder.run("plugins", "-p", "broken", "-p", "no:cache.disk").out
    colored = folder.run("plugins", "-p", "broken", "-p", "no:cache.disk", "--color", "always").out

    times = re.compile(r"[\d.]+ ms| +")
    assert times.sub(" ", re.sub(r"\x1b\[\d+m", "", colored)) == times.sub(" ", plain)
    assert {"on", "failed", "off"} <= set(plain.split())


# --- kits ----------------------------------------------------------------------------------------------------------------

KIT = """\
import click

@click.group()
@click.option("-c", "--count", type=int, default=1)
@click.pass_obj
def command(context, count):
    "Words about redis."

@command.command()
@click.pass_obj
def keys(context):
    "Show the keys."
    print("from the kit")
    context.show([{"name": "a", "size": 1}, {"name": "b", "size": 20}], "oneiric-redis/keys/1")

@command.command()
@click.pass_obj
def cache(context):
    "Use the cache."
    import asyncio

    async def use():
        async with context.host() as host, host.use("adapter", "cache") as cache:
            await cache.set("a", b"1")
            context.show({"value": (await cache.get("a")).decode(), "file": str(context.settings.file)}, "oneiric-redis/cache/1")

    asyncio.run(use())
"""


@pytest.fixture
def kits(folder):
    """Installed: a good kit, two that bring the same word, and one that does not import."""
    folder.write("site/redis_kit.py", KIT)
    folder.write("site/broken_kit.py", "print('loud')\nimport no_such_library\n")
    folder.distribution("oneiric-redis", version="2.1", oneiric_commands={"redis": "redis_kit:command"})
    folder.distribution(
        "oneiric-broken", oneiric_commands={"broken": "broken_kit:command", "listing": "click:echo"}
    )
    folder.distribution(
        "oneiric-a", oneiric_commands={"twice": "redis_kit:command", "list": "redis_kit:command"}
    )
    folder.distribution("oneiric-b", oneiric_commands={"twice": "redis_kit:command"})
    return folder


def test_help_lists_words_of_kits_without_importing_them(kits):
    """From their metadata; a word of ours cannot be taken."""
    ended = kits.spawn("--help")

    section = ended.out.partition("From kits:\n")[2].partition("\n\n")[0]
    assert (ended.code, ended.err, section.splitlines()) == (
        0,
        "",
        [
            "  broken   from oneiric-broken 1.0",
            "  listing  from oneiric-broken 1.0",
            "  redis    from oneiric-redis 2.1",
            "  twice    from oneiric-a 1.0, and oneiric-b 1.0",
        ],
    )


def test_kit_shows_tables_and_json(kits):
    """One call, two forms; what the kit prints beside it spoils neither."""
    people, machine = kits.spawn("redis", "keys"), kits.spawn("redis", "keys", "--json")

    assert (people.code, people.out) == (0, "from the kit\nNAME  SIZE\na     1\nb     20\n")
    assert machine.out.splitlines()[-1] == (
        '{"schema": "oneiric-redis/keys/1", "items": [{"name": "a", "size": 1}, {"name": "b", "size": 20}], "warnings": []}'
    )


def test_kit_uses_a_started_runtime(kits):
    """``host()`` is a runtime of the settings, started and closed."""
    ended = kits.spawn("redis", "cache", "--json")

    assert (ended.code, ended.err) == (0, "")
    assert ended.json == {"schema": "oneiric-redis/cache/1", "value": "1", "file": "None", "warnings": []}


def test_kit_that_answers_people(kits):
    """Without --json the same is lines of names and values."""
    ended = kits.spawn("redis", "cache")

    assert (ended.code, ended.out, ended.err) == (0, "value  1\nfile   None\n", "")


def test_kits_own_options_come_first(kits):
    """What a kit means by -c is its own; --config is still ours."""
    kits.write("other.toml", "")

    ended = kits.spawn("redis", "-c", "3", "--config", "other.toml", "cache", "--json")

    assert (ended.code, ended.json["file"]) == (0, str(kits.path / "other.toml"))


@pytest.mark.parametrize(
    ("word", "lines"),
    [
        (
            "broken",
            [
                "error: the command broken does not load: ModuleNotFoundError: No module named 'no_such_library'",
                "  it is broken_kit:command of oneiric-broken; the other commands work",
            ],
        ),
        (
            "listing",
            [
                "error: the command listing is a function, not a click command",
                "  it is click:echo of oneiric-broken",
            ],
        ),
        (
            "twice",
            [
                "error: several distributions bring the command twice: oneiric-a, oneiric-b",
                "  uninstall one of them",
            ],
        ),
        ("redi", ["error: there is no command redi; did you mean redis?", "  see oneiric --help"]),
    ],
)
def test_word_that_cannot_be_used(kits, word, lines):
    """It says whose it is; stdout stays empty, whatever its module prints."""
    ended = kits.spawn(word)

    noise = ["loud"] if word == "broken" else []
    assert (ended.code, ended.out, ended.err.splitlines()) == (2 if word == "redi" else 3, "", noise + lines)


def test_broken_kit_breaks_nothing_else(kits):
    """Not even a warning: its word was not typed."""
    ended = kits.spawn("list")

    assert (ended.code, ended.err) == (0, "")


def test_completion_imports_no_kit(kits):
    """The words of kits are completed from their metadata."""
    ended = kits.spawn(_ONEIRIC_COMPLETE="bash_complete", COMP_WORDS="oneiric l", COMP_CWORD="1")

    assert (ended.out.splitlines(), ended.err) == (["plain,list", "plain,listing"], "")
