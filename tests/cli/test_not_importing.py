"""Commands that have no need of kits import none: not for help, not to switch one off, not for the TAB key."""

import json
import subprocess
import sys
from importlib import import_module

import pytest

from oneiric.cli import COMMANDS, kits

#: What is typed while a kit may be broken, or slow, or somebody only looks.
LIGHT = [
    ["--help"],
    ["-h"],
    ["--version"],
    ["plugins", "off", "marked"],
    ["plugins", "off", "kit-marked"],
    ["plugins", "off", "--json", "cache.memory"],
    ["plugins", "on", "marked", "kit-marked", "cache.memory"],
    ["plugins", "off", "nobody"],
    ["config", "path"],
    ["config", "env"],
    ["completion", "bash"],
    ["no-such-word"],
    ["list", "--no-such-option"],
    ["-p", "marked_kit", "plugins", "off", "marked"],
]
RUN = """
import contextlib, io, json, sys
from oneiric.cli import main
codes = {}
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        codes[" ".join(words)] = main(words, standalone_mode=False)
    assert "marked_kit" not in sys.modules, words
print(json.dumps(codes))
"""


def paths(command, words):
    """The words of a command, and of all below it."""
    yield words
    for word, each in getattr(command, "commands", {}).items():
        yield from paths(each, [*words, word])


def every_help():
    """``--help`` of every command, those of built-in domains too."""
    for word, (module, _) in COMMANDS.items():
        yield from paths(import_module(module).command, [word])
    for word, who in sorted(kits.words().items()):
        if all(each.distribution == "oneiric" for each in who):
            yield from paths(kits.load(word), [word])


@pytest.fixture
def marked(folder):
    """A kit, with a word, that cannot be imported without being noticed."""
    folder.write("site/marked_kit.py", "open('MARK', 'a').write('imported\\n')\nraise SystemExit(7)\n")
    folder.distribution(
        "kit-marked", oneiric={"marked": "marked_kit"}, oneiric_commands={"mark": "marked_kit:word"}
    )
    folder.write("oneiric.toml", '[app]\nplugins = ["marked_kit"]\n')
    folder.environment["ONEIRIC_STATE_DIR"] = str(folder.path / "state")
    return folder


def run(folder, commands, **environment):
    """Their exit codes, in one process."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN, json.dumps(commands)],
        env=folder.environment | environment,
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_kit_would_be_noticed(marked):
    """As it is by a command that wants to know what there is."""
    assert marked.spawn("list").code == 0
    assert (marked.path / "MARK").read_text() == "imported\n" * 2


def test_light_commands_import_no_kit(marked):
    """None of them, whatever it exits with; and one that is off stays off for the next."""
    codes = run(marked, LIGHT)

    assert not (marked.path / "MARK").exists()
    assert {words: code for words, code in codes.items() if not words.startswith("config")} == {
        "--help": 0,
        "-h": 0,
        "--version": 0,
        "plugins off marked": 0,
        "plugins off kit-marked": 0,
        "plugins off --json cache.memory": 0,
        "plugins on marked kit-marked cache.memory": 0,
        "plugins off nobody": 3,
        "completion bash": 0,
        "no-such-word": 2,
        "list --no-such-option": 2,
        "-p marked_kit plugins off marked": 0,
    }


def test_no_help_imports_a_kit(marked):
    """Of no command there is."""
    commands = [[*words, "--help"] for words in every_help()]

    assert set(run(marked, commands).values()) == {0}
    assert not (marked.path / "MARK").exists()


@pytest.mark.parametrize(
    "line", ["oneiric ", "oneiric m", "oneiric plugins ", "oneiric explain ", "oneiric plugins off "]
)
def test_completion_imports_no_kit(marked, line):
    """Whatever word the cursor is at."""
    ended = marked.spawn(
        _ONEIRIC_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(line.split(" ")) - 1)
    )

    assert (ended.code, ended.err, (marked.path / "MARK").exists()) == (0, "", False)


def test_typed_word_of_a_broken_kit_is_an_error(marked):
    """Who types it is told whose it is, even where it would have ended the process."""
    ended = marked.spawn("mark")

    assert (ended.code, ended.out, ended.err.splitlines()) == (
        3,
        "",
        [
            "error: the command mark does not load: SystemExit: 7",
            "  it is marked_kit:word of kit-marked; the other commands work",
        ],
    )
