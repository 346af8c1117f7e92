"""How commands end: exit codes, errors of one to three lines, and streams that are not as they should be."""

import json
import logging
import os
import signal
import subprocess
from pathlib import Path

import pytest

FULL = Path("/dev/full")
ENDINGS = [
    (
        "lst",
        2,
        ["error: there is no command lst; did you mean list?", "  see oneiric --help"],
    ),
    ("list --jsn", 2, ["error: there is no option --jsn; did you mean --json?", "  see oneiric list --help"]),
    (
        "explain",
        2,
        [
            "error: say DOMAIN and KEY, as in: oneiric explain adapter cache",
            "  see oneiric explain --help",
        ],
    ),
    (
        "explain adapter cache --hook x",
        2,
        [
            "error: --hook is about a hook, and takes no DOMAIN and KEY",
            "  see oneiric explain --help",
        ],
    ),
    (
        "plugins --slow info cache.disk",
        2,
        ["error: --hooks, --slow and --require are about all plugins", "  see oneiric plugins --help"],
    ),
    (
        "-p no: list",
        2,
        [
            "error: invalid value for '-p' / '--plugin': name a plugin, as in -p no:cache.disk or -p shop.plugin",
            "  see oneiric --help",
        ],
    ),
    (
        "plugins inof",
        2,
        ["error: there is no command inof; did you mean info?", "  see oneiric plugins --help"],
    ),
    ("-z", 2, ["error: there is no option -z", "  see oneiric --help"]),
    ("explain adapter cach", 3, ["error: no candidate fills adapter:cach", "  did you mean adapter:cache?"]),
    ("explain adaptr cache", 3, ["error: there is no domain adaptr", "  did you mean adapter?"]),
    ("list --domain adaptors", 3, ["error: there is no domain adaptors", "  did you mean adapter?"]),
    (
        "explain adapter cache --provider dsk",
        3,
        [
            "error: no candidate fills adapter:cache with provider 'dsk' (set by the call)",
            "  did you mean 'disk'?",
            "  registered: disk, memory",
        ],
    ),
    (
        "explain adapter cache --why-not dsk",
        3,
        ["error: there is no candidate of adapter:cache by dsk", "  did you mean disk?"],
    ),
    ("hooks swaped", 3, ["error: there is no hook oneiric_swaped", "  did you mean oneiric_swapped?"]),
    ("plugins info cache.dsk", 3, ["error: there is no plugin cache.dsk", "  did you mean cache.disk?"]),
    ("list -p no:cache.dsk", 3, ["error: there is no plugin cache.dsk", "  did you mean cache.disk?"]),
    (
        "plugins --require cache.memory --require cache.dsk",
        3,
        ["error: required: cache.dsk is not there", "  did you mean cache.disk?"],
    ),
    ("-c no.toml list", 5, ["error: no.toml: there is no such file"]),
    ("plan no.toml", 5, ["error: no.toml: there is no such file"]),
    (
        "-c bad.toml list",
        5,
        ["error: bad.toml:2: lifecycle.probatio: unknown key (did you mean probation?)"],
    ),
    ("list -p no:precedence", 4, ["error: precedence is always on, and cannot be switched off"]),
]


@pytest.mark.parametrize(("words", "code", "lines"), ENDINGS, ids=[words for words, *_ in ENDINGS])
def test_error_is_short(folder, words, code, lines):
    """What is wrong, the nearest right name, what to do; on stderr alone, and never a traceback."""
    folder.write("bad.toml", "[lifecycle]\nprobatio = 3\n")

    ended = folder.run(*words.split())

    assert (ended.code, ended.out, ended.err.splitlines()) == (code, "", lines)


@pytest.mark.parametrize(("words", "code", "lines"), ENDINGS, ids=[words for words, *_ in ENDINGS])
def test_error_as_json(folder, words, code, lines):
    """With --json, wherever it stands, the same is one object on stderr, and stdout is empty."""
    folder.write("bad.toml", "[lifecycle]\nprobatio = 3\n")

    ended = folder.run(*words.split(), "--json")

    error = ended.error
    assert (ended.code, ended.out, error["schema"], error["exit"]) == (code, "", "oneiric/error/1", code)
    assert [
        "error: " + error["message"],
        *(f"  {line}" for line in (error["hint"] or "").splitlines()),
    ] == lines


def test_every_problem_of_the_settings_is_in_the_object(folder):
    """Machines get them one by one."""
    folder.write("bad.toml", "[lifecycle]\nprobatio = 3\ndrain_timeout = -1\n")

    error = folder.run("-c", "bad.toml", "list", "--json").error

    assert [(each["where"], each["path"]) for each in error["problems"]] == [
        ("bad.toml:2", "lifecycle.probatio"),
        ("bad.toml:3", "lifecycle.drain_timeout"),
    ]


def test_no_command_shows_the_help(folder):
    """``oneiric`` alone is a slip, and is told the commands; as JSON it is an error."""
    alone, machine = folder.run(), folder.run("--json")

    assert (alone.code, alone.out, alone.err.splitlines()[0]) == (
        2,
        "",
        "Usage: oneiric [OPTIONS] COMMAND [ARGS]...",
    )
    assert (machine.code, machine.out, machine.error["message"]) == (2, "", "missing command")


@pytest.fixture
def buggy(folder):
    """A folder in which the word ``buggy`` does what its argument says."""
    folder.write(
        "site/buggy.py",
        """\
        import os, signal, sys, time
        import click

        @click.command()
        @click.argument("what")
        def command(what):
            "Misbehave."
            if what == "raise":
                {}["a\\nkey"]
            if what == "wait":
                print("ready", flush=True)
                time.sleep(60)
            if what == "exit":
                sys.exit(7)
            if what == "abort":
                raise click.Abort
            if what == "refuse":
                raise click.ClickException("Not today")
        """,
    )
    folder.distribution("oneiric-buggy", oneiric_commands={"buggy": "buggy:command"})
    return folder


def test_bug_says_so(buggy):
    """What nobody expected ends with 1 and two lines that name the place; --debug has the traceback above them."""
    plain, debug = buggy.spawn("buggy", "raise"), buggy.spawn("buggy", "raise", "--debug")

    place = f"{buggy.path}/site/buggy.py:9"
    lines = [f"error: a bug: KeyError: 'a\\nkey' ({place})", "  please report it, with what --debug prints"]
    assert (plain.code, plain.out, plain.err.splitlines()) == (1, "", lines)
    assert (debug.code, debug.out, debug.err.splitlines()[-2:]) == (1, "", lines)
    assert debug.err.startswith("Traceback (most recent call last):\n")


@pytest.mark.parametrize(
    ("what", "code", "err"),
    [("exit", 7, ""), ("abort", 130, "interrupted\n"), ("refuse", 1, "error: Not today\n")],
)
def test_command_ends_as_it_says(buggy, what, code, err):
    """A kit's own ways to end are kept."""
    ended = buggy.spawn("buggy", what)

    assert (ended.code, ended.out, ended.err) == (code, "", err)


def test_interrupted(buggy):
    """Ctrl-C ends with 130 and one word."""
    with buggy.start("buggy", "wait") as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (130, "", "interrupted\n")


@pytest.mark.parametrize("words", [["list"], ["--help"], ["hooks", "--json"]])
def test_reader_that_has_gone(folder, words):
    """``oneiric ... | head -0`` is quiet."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        done = subprocess.run(
            folder.command(*words),
            env=folder.environment,
            cwd=folder.path,
            stdout=broken,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
def test_full_disk(folder):
    """An answer that cannot be written is an error, and is not taken for a bug."""
    with FULL.open("wb") as full:
        done = subprocess.run(
            folder.command("list"),
            env=folder.environment,
            cwd=folder.path,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert (done.returncode, done.stderr) == (1, b"error: cannot write the answer: No space left on device\n")


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)])
def test_closed_streams(folder, closed, code):
    """Nobody listening is no reason to fail."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *folder.command("list", "-p", "nowhere")],
        env=folder.environment,
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


# --- machines get one object, whatever plugins do ------------------------------------------------------------------

LOUD = """\
import atexit, logging, os, subprocess, sys
print("at import")
os.write(1, b"below Python\\n")
subprocess.run(["/bin/echo", "from a child"], check=True)
logging.basicConfig(stream=sys.stdout, level=0)
logging.info("logged")
atexit.register(lambda: (print("at the end"), os.write(1, b"at the very end\\n")))
from oneiric_hookspecs import hookimpl

@hookimpl
def oneiric_candidates():
    print("when asked")
    return ()
"""
IMPORTS_NOTHING = (
    "plugin broken failed: ModuleNotFoundError: No module named 'no_such_library' (FOLDER/broken.py:1)"
)
LOGS = (
    "plugin loud: W109 loading it changed the root logger, which was put back (FOLDER/loud.py:1); "
    "an application sets these up itself; do it when the runtime starts, or not at all"
)
SURROUNDINGS = {
    "plugins loaded": (["-p", "fine"], {}, []),
    "a plugin that does not import": (["-p", "broken"], {}, [IMPORTS_NOTHING]),
    "a plugin that prints": (["-p", "loud"], {}, [LOGS]),
    "variables set": ([], {"ONEIRIC_STACK_ORDER": "app:5", "ONEIRIC__LIFECYCLE__PROBATION": "3"}, []),
    "a variable that is not ours": ([], {"ONEIRIC_HOME": "/nowhere"}, []),
}


@pytest.mark.parametrize(
    "words", ["list", "explain adapter cache", "plugins", "hooks", "plan", "plugins info cache.disk"]
)
@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_stdout_is_one_object(folder, words, surroundings):
    """Whatever is plugged in and set, what is on stdout is JSON and nothing else; what else is said is in it."""
    options, environment, warnings = SURROUNDINGS[surroundings]
    folder.plugin("fine", 'Candidate(Key.of("service", "mail"), "smtp", create)')
    folder.write("broken.py", "import no_such_library\n")
    folder.write("loud.py", LOUD)

    ended = folder.spawn(*words.split(), *options, "--json", **environment)

    assert ended.code == 0, ended.err
    assert len(ended.out.splitlines()) == 1
    answer = json.loads(ended.out)
    assert answer["schema"].startswith("oneiric/"), answer
    assert [each.replace(str(folder.path), "FOLDER") for each in answer["warnings"]] == warnings


def test_noise_of_plugins_is_on_stderr(folder):
    """People still see it, where it does no harm."""
    folder.write("loud.py", LOUD)

    ended = folder.spawn("list", "--json", "-p", "loud")

    for line in ("at import", "below Python", "from a child", "INFO:root:logged", "when asked", "at the end"):
        assert line in ended.err.splitlines()


def test_json_tool_reads_it(folder):
    """``oneiric list --json | python -m json.tool``."""
    folder.write("loud.py", LOUD)
    shell = subprocess.run(
        [
            "/bin/sh",
            "-c",
            '"$@" 2>/dev/null | "$0" -m json.tool',
            *[folder.command()[0], *folder.command("list", "--json", "-p", "loud")],
        ],
        env=folder.environment,
        cwd=folder.path,
        capture_output=True,
        check=False,
    )

    assert (shell.returncode, shell.stderr) == (0, b"")


# --- plugins that fail -----------------------------------------------------------------------------------------------


def test_plugin_that_fails_is_a_warning(folder):
    """It is named with its reason and place; the command does what it can, and exits with 0."""
    folder.write("broken.py", "import os\n\nimport no_such_library\n")

    ended = folder.run("list", "-p", "broken")

    place = folder.path / "broken.py"
    warning = (
        f"warning: plugin broken failed: ModuleNotFoundError: No module named 'no_such_library' ({place}:3)\n"
    )
    assert (ended.code, ended.err) == (0, warning)
    assert ended.out == folder.run("list").out


def test_strict_plugin_that_fails_is_an_error(folder):
    """With --strict the same ends the command."""
    folder.write("broken.py", "import os\n\nimport no_such_library\n")

    ended = folder.run("list", "-p", "broken", "--strict")

    place = folder.path / "broken.py"
    error = f"error: plugin broken: ModuleNotFoundError: No module named 'no_such_library' ({place}:3)\n"
    assert (ended.code, ended.out, ended.err) == (3, "", error)


def test_quiet(folder):
    """-q leaves warnings out."""
    folder.write("broken.py", "import no_such_library\n")

    assert folder.spawn("list", "-p", "broken", "-q").err == ""


@pytest.mark.parametrize(("option", "levels"), [("-v", {"INFO"}), ("-vv", {"INFO", "DEBUG"})])
def test_verbose(folder, option, levels):
    """-v and -vv log to stderr what would else be left out."""
    folder.write("chatty.py", "import logging\nlogging.info('a')\nlogging.debug('b')\n")

    ended = folder.spawn("list", "-p", "chatty", option, "--json")

    assert {line.split()[0] for line in ended.err.splitlines() if " root: " in line} == levels
    assert ended.json["schema"] == "oneiric/list/1"


@pytest.mark.parametrize("flag", ["-q", "-v", "-vv", "--json"])
def test_logging_is_left_as_it_was(folder, flag):
    """A command may be run inside another program, and its logging is that program's."""
    root, stores = logging.getLogger(), logging.getLogger("oneiric.plugin.stores")

    def state():
        return root.handlers[:], root.level, root.manager.disable, stores.handlers[:]

    before = state()
    assert folder.run("list", flag).code == 0
    assert state() == before


def test_a_group_without_a_command_is_an_error_object_too(folder):
    """A program that asked for JSON never gets a text of help instead."""
    ended = folder.run("--json", "new")

    assert (ended.code, ended.out, ended.error["code"], ended.error["message"]) == (
        2,
        "",
        "UsageError",
        "oneiric new wants a command",
    )
