"""``oneiric bisect``: who is to blame, found by running somebody's command, whatever that does."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once

ASSEMBLE = "import oneiric\nruntime = oneiric.assemble()\n"
#: What a bad kit's module does when it is imported; the exit that comes of it.
DEEDS = {
    "exits": ("import os\nos._exit(7)\n", 7),
    "segfaults": ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", 139),
    "sleeps": ("import time\ntime.sleep(600)\n", None),
    "ignores SIGTERM": (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)\n",
        None,
    ),
}
GOOD = "from oneiric_hookspecs import hookimpl\n\n@hookimpl\ndef oneiric_candidates():\n    return ()\n"


@pytest.fixture
def kits(folder):
    """Seven kits that are well, and a command that assembles a runtime."""
    for number in range(7):
        folder.write(f"site/kit_{number}.py", GOOD)
        folder.distribution(f"kit-{number}", version=f"{number}.0", oneiric={f"k{number}": f"kit_{number}"})
    folder.write("app.py", ASSEMBLE)
    folder.environment["ONEIRIC_STATE_DIR"] = str(folder.path / "state")
    return folder


def app(folder):
    return [sys.executable, "-P", str(folder.path / "app.py")]


def names(ended):
    """The culprits' names, by group."""
    return [[each["name"] for each in group] for group in ended.json["culprits"]]


def test_all_is_well(kits):
    """It says that there is nothing to find, after one run."""
    ended = kits.spawn("bisect", "--", "true")

    assert (ended.code, ended.out) == (
        3,
        "true ends well (exit 0) with every plugin on (7 installed plugins): there is nothing to find\n"
        "to look for another exit status: --bad-exit CODE\n",
    )
    assert ended.err.startswith("run 1: 7 of 7 plugins on: good (exit 0, ")


def test_no_plugin_is_to_blame(kits):
    """What is bad without any of them, too, is not their fault; its own words are repeated."""
    ended = kits.spawn("bisect", "--", "sh", "-c", "echo out of milk >&2; exit 4")

    assert (ended.code, ended.out) == (
        3,
        "no plugin is to blame: sh -c 'echo out of milk >&2; exit 4' is bad (exit 4) with none on, too (7 installed plugins tried)\n"
        "  | out of milk\n",
    )


@pytest.mark.parametrize("deed", DEEDS)
def test_a_kit_that_kills_or_hangs(kits, deed):
    """It is found by name, distribution and version; the command that is shown mends it."""
    source, code = DEEDS[deed]
    kits.write("site/kit_4.py", source)
    ended = kits.spawn("bisect", "--json", "--timeout", "5", "--", *app(kits))

    assert (ended.code, ended.err, ended.json["outcome"]) == (0, "", "found")
    assert ended.json["culprits"] == [
        [{"name": "k4", "distribution": "kit-4", "version": "4.0", "target": "kit_4"}]
    ]
    assert {run["exit"] for run in ended.json["runs"] if run["bad"]} == {code}
    assert {run["exit"] for run in ended.json["runs"] if not run["bad"]} == {0}
    assert len(ended.json["runs"]) == 7

    assert ended.json["mend"] == "oneiric plugins off k4"
    assert kits.spawn(*shlex.split(ended.json["mend"])[1:]).code == 0
    assert subprocess.run(app(kits), env=kits.environment, cwd=kits.path, timeout=60).returncode == 0


def test_it_is_told(kits):
    """Each run with what is left; then who it is, its last words, and what to do."""
    kits.write(
        "site/kit_4.py",
        "import os, sys\nprint('no licence \\x1b[2J', file=sys.stderr, flush=True)\nos._exit(7)\n",
    )
    ended = kits.spawn("bisect", *app(kits))

    runs = [line.split(", ")[0].rpartition(",")[0] or line for line in ended.err.splitlines()]
    assert [line.split(" (")[0] for line in runs] == [
        "run 1: 7 of 7 plugins on: bad",
        "run 2: 0 of 7 plugins on: good",
        "run 3: 3 of 7 plugins on: good",
        "run 4: 2 of 7 plugins on: bad",
        "run 5: 1 of 7 plugins on: good",
        "run 6: 1 of 7 plugins on: bad",
        "run 7: 6 of 7 plugins on: good",
    ]
    lefts = [line.rpartition("about ")[2] for line in ended.err.splitlines()[:-1]]
    assert lefts == ["6 more", "5 more", "4 more", "3 more", "2 more", "1 more"]
    assert ended.out.splitlines() == [
        "culprit: k4 of kit-4 4.0 (kit_4); bad (exit 7) with it alone",
        "  | no licence  [2J",
        "",
        "without k4 it is good, all others on:",
        "  oneiric plugins off k4",
    ]


@pytest.mark.parametrize("front", ["oneiric", "pytest"])
def test_what_command_it_is(kits, front):
    """``oneiric`` itself, and a suite that assembles a runtime, obey as well."""
    kits.write("site/kit_2.py", "import os\nos._exit(9)\n")
    kits.write("test_app.py", "import oneiric\n\ndef test_it():\n    oneiric.assemble()\n")
    cmd = {
        "oneiric": kits.command("list", "--json"),
        # Without the plugins of this suite, which take most of the time that each run starts.
        "pytest": [
            "env",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py"),
        ],
    }[front]

    assert names(kits.spawn("bisect", "--json", "--", *cmd)) == [["k2"]]


def test_options_behind_the_command_are_its_own(kits):
    """Without the two dashes, too."""
    ended = kits.spawn("bisect", *kits.command("list", "--json", "--no-such-option"))

    assert (ended.code, ended.out.startswith("no plugin is to blame")) == (3, True)


PAIR = {
    "together": ("'kit_1' in sys.modules and 'kit_5' in sys.modules", [["k1", "k5"]], ["k1"]),
    "each": ("'kit_1' in sys.modules or 'kit_5' in sys.modules", [["k1"], ["k5"]], ["k1", "k5"]),
}


@pytest.mark.parametrize("case", PAIR)
def test_two(kits, case):
    """Two that are bad only together are named together; two that are bad each, each; what is said to help, does."""
    condition, groups, off = PAIR[case]
    kits.write("app.py", f"{ASSEMBLE}import sys\nsys.exit({condition})\n")
    ended = kits.spawn("bisect", "--json", "--", *app(kits))

    assert (ended.code, names(ended), ended.json["off"]) == (0, groups, off)
    assert kits.spawn(*shlex.split(ended.json["mend"])[1:]).code == 0
    assert subprocess.run(app(kits), env=kits.environment, cwd=kits.path, timeout=60).returncode == 0


def test_two_together_are_told(kits):
    """People read that neither is to blame alone."""
    kits.write("app.py", f"{ASSEMBLE}import sys\nsys.exit({PAIR['together'][0]})\n")

    assert kits.spawn("bisect", "-q", "--", *app(kits)).out.splitlines() == [
        "culprits, bad (exit 1) only together:",
        "  k1 of kit-1 1.0 (kit_1)",
        "  k5 of kit-5 5.0 (kit_5)",
        "",
        "without k1 it is good, all others on:",
        "  oneiric plugins off k1",
    ]


def test_a_command_that_ends_as_it_likes(kits):
    """Nobody is accused of what comes and goes."""
    counter = kits.path / "count"
    cmd = f"n=$(cat {counter} 2>/dev/null || echo 0); echo $((n + 1)) > {counter}; [ $n -gt 0 ]"
    ended = kits.spawn("bisect", "-q", "--", "sh", "-c", cmd)

    assert ended.code == 3
    assert ended.out.splitlines()[-1] == (
        "it may end differently from run to run: run this again, or see the runs with --json"
    )


def test_which_exit_is_bad(kits):
    """With --bad-exit all others are good."""
    kits.write("app.py", f"{ASSEMBLE}import sys\nsys.exit(5 if 'kit_3' in sys.modules else 1)\n")

    assert names(kits.spawn("bisect", "--json", "--bad-exit", "5", "--", *app(kits))) == [["k3"]]
    assert kits.spawn("bisect", "--json", "--bad-exit", "6", "--", *app(kits)).json["outcome"] == "good"


def test_what_is_off_stays_off(kits):
    """By the settings, by an operator, by an option: no suspect, and off in every run."""
    for number in (0, 1, 2):
        kits.write(f"site/kit_{number}.py", "import os\nos._exit(7)\n")
    kits.write("oneiric.toml", '[plugins]\noff = ["kit-0"]\n')
    assert kits.spawn("plugins", "off", "k1").code == 0
    ended = kits.spawn("bisect", "--json", "-p", "no:k2", "--", *app(kits))

    assert (ended.json["outcome"], ended.json["plugins"]) == ("good", 4)


def test_two_entry_points_of_one_distribution(folder):
    """Each is a suspect of its own, even where one has the distribution's name."""
    for name in ("one", "two"):
        folder.write(f"site/shop_{name}.py", GOOD)
    folder.distribution("shop", oneiric={"shop": "shop_one", "more": "shop_two"})
    folder.write("app.py", ASSEMBLE)
    folder.write("site/shop_two.py", "import os\nos._exit(7)\n")
    ended = folder.spawn("bisect", "--json", "--", *app(folder))

    assert names(ended) == [["more"]]
    assert [run["on"] for run in ended.json["runs"]][-1] == ["shop"]


def test_no_plugin_is_imported(kits):
    """What would kill this process is only ever imported by others."""
    for number in range(7):
        kits.write(f"site/kit_{number}.py", "import os\nos._exit(7)\n")

    assert kits.spawn("bisect", "--json", "--", "true").json["outcome"] == "good"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bisect"], "error: missing argument '[--] CMD...'"),
        (["bisect", "--", "no-such-program"], "error: cannot run no-such-program: No such file or directory"),
        (["bisect", "--", "/"], "error: cannot run /: Permission denied"),
        (
            ["bisect", "--timeout", "0", "--", "true"],
            "error: invalid value for '--timeout': 0.0 is not in the range x>0",
        ),
    ],
)
def test_what_cannot_be_run(kits, words, said):
    """It is said, and nothing is blamed."""
    ended = kits.spawn(*words)

    assert (ended.code, ended.out, ended.err.splitlines()[-2]) == (2, "", said)


def alive(file):
    """Whether the process whose number is in *file* lives; a zombie does not."""
    try:
        stat = Path(f"/proc/{file.read_text().strip()}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def until(ready, seconds=30):
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_it_can_be_ended(kits, number):
    """Ctrl-C ends the command too, and what that has started."""
    script = "sleep 600 & echo $! > grandchild; echo $$ > child; wait"
    with kits.start("bisect", "--", "sh", "-c", script) as process:
        until(lambda: (kits.path / "child").exists() and (kits.path / "child").read_text().strip())
        process.send_signal(number)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (128 + number, "")
    assert err == ("interrupted\n" if number == signal.SIGINT else "")
    until(lambda: not alive(kits.path / "child") and not alive(kits.path / "grandchild"))


def test_what_a_run_leaves_behind_is_ended(kits):
    """A server that a run has started does not disturb the next one."""
    script = "sleep 600 & echo $! >> left"
    assert kits.spawn("bisect", "--", "sh", "-c", script).code == 3

    for number in (kits.path / "left").read_text().split():
        file = kits.write("one", number)
        until(lambda file=file: not alive(file))


def test_a_command_is_shown_on_request(kits):
    """With -v, what it writes goes to stderr, so that stdout is the answer's."""
    ended = kits.spawn("bisect", "-v", "--json", "--", "sh", "-c", "echo loud; exit 1")

    assert (json.loads(ended.out)["outcome"], "loud" in ended.err.splitlines()) == ("not plugins", True)
    assert "ONEIRIC_BISECT_OFF" not in os.environ
