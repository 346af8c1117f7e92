"""Kits that are broken in every way there is, installed beside good ones: nothing else breaks, and each is named."""

import os
import re
import subprocess
import sys
from importlib import import_module

import pytest

from oneiric.cli import COMMANDS, kits

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once

GOOD = """
from oneiric_hookspecs import Candidate, Key, hookimpl

async def create():
    return object()

@hookimpl
def oneiric_candidates():
    yield Candidate(Key.of("service", "{name}"), "{name}", create)
"""

#: Each kit's module, what is said of it (``...`` for anything), the line, and a hint.
FAULTS = {
    "absent": (
        "x = 1\nimport no_such_library\n",
        "ModuleNotFoundError: No module named 'no_such_library'",
        2,
        None,
    ),
    "raises": ("raise ValueError('no')\n", "ValueError: no", 1, None),
    "leaves": ("import sys\nsys.exit(0)\n", "SystemExit: 0", 2, None),
    "own": ("class Own(BaseException): pass\nraise Own('mine')\n", "Own: mine", 2, None),
    "cancels": ("import asyncio\nraise asyncio.CancelledError\n", "CancelledError", 2, None),
    "stops": ("x = 1\nraise GeneratorExit\n", "GeneratorExit", 2, None),
    "syntax": ("x = 1\ndef :\n", "SyntaxError: invalid syntax (syntax_kit.py, line 2)", 2, None),
    "bytes-inside": (b"x = '\xff'\n", "SyntaxError: ...", 1, None),
    "deep": ("def f():\n    f()\nf()\n", "RecursionError: maximum recursion depth exceeded", 2, None),
    "long": (
        "raise ValueError('x' * 10_000_000)\n",
        f"ValueError: {'x' * 988}… (10,000,012 characters)",
        1,
        None,
    ),
    "mute": (
        "class Mute(Exception):\n    def __str__(self):\n        raise OSError\nraise Mute\n",
        "Mute: (its text cannot be shown)",
        4,
        None,
    ),
    "misspelt": (
        "from oneiric_hookspecs import hookimpl\n\n@hookimpl\ndef oneiric_candidate(): ...\n",
        "there is no hook oneiric_candidate",
        3,
        "did you mean oneiric_candidates?",
    ),
    "declares-badly": (
        "from oneiric_hookspecs import hookimpl\n@hookimpl\ndef oneiric_candidates():\n    yield 1\n    raise KeyError('x')\n",
        "oneiric_candidates: TypeError: answered 1 (int), not an instance of Candidate",
        2,
        "yield an instance of Candidate, or return a list of such",
    ),
    "declares-raising": (
        "from oneiric_hookspecs import hookimpl\n@hookimpl\ndef oneiric_candidates():\n    raise KeyError('x')\n",
        "oneiric_candidates: KeyError: 'x'",
        4,
        None,
    ),
    "declares-leaving": (
        "import sys\nfrom oneiric_hookspecs import hookimpl\n@hookimpl\ndef oneiric_candidates():\n    sys.exit(0)\n",
        "oneiric_candidates: SystemExit: 0",
        5,
        None,
    ),
    "domain-again": (
        "from oneiric_hookspecs import Domain, hookimpl\n@hookimpl\ndef oneiric_domains():\n"
        "    yield Domain('adapter', 'adaptors', 'another')\n",
        "there is a domain adapter (adapters) already; adapter (adaptors) would be a second one of the name adapter",
        1,
        "domains: action, adapter, event, service, task, workflow",
    ),
    "domain-twice": (
        "from oneiric_hookspecs import Domain, hookimpl\n@hookimpl\ndef oneiric_domains():\n"
        "    yield Domain('thing', 'things', 'one')\n    yield Domain('thing', 'thingies', 'two')\n",
        "there is a domain thing (things) already; thing (thingies) would be a second one of the name thing",
        1,
        "domains: action, adapter, event, service, task, workflow",
    ),
    "unmade": (
        "class Plugin:\n    def __init__(self, context):\n        raise OSError('no till')\n",
        "OSError: no till",
        3,
        None,
    ),
    "wrong-name": ("def plugin(): ...\n", "wrong_name_kit has no plugn", None, "did you mean plugin?"),
    "nothing": (None, "it names nothing, which is no module", None, "write pkg.mod or pkg.mod:attr"),
    "nowhere": (None, "ModuleNotFoundError: No module named 'nowhere_kit'", None, None),
    "number": ("plugin = 42\n", "42 (int) cannot be a plugin", None, "give a module, ..."),
}
TARGETS = {"unmade": ":Plugin", "wrong-name": ":plugn", "number": ":plugin"}

#: Kits that are on, and of which something is to be said.
DOUBTFUL = {
    "forgets": (
        "def oneiric_candidates():\n    return ()\n",
        ["W102 oneiric_candidates is named like a hook and not marked", "W108 it implements no hook"],
    ),
    "takes-over": (
        """
        import logging, os, signal, sys, warnings
        from oneiric_hookspecs import hookimpl
        logging.basicConfig(level=1)
        logging.disable(logging.CRITICAL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        warnings.simplefilter("ignore")
        sys.stdout = open(os.devnull, "w")
        sys.excepthook = print
        os.chdir("/")
        @hookimpl
        def oneiric_candidates(): return ()
        """,
        [
            "W109 loading it changed the handler of SIGTERM, the root logger, the filter of all warnings, "
            "the standard streams or sys.excepthook, the working directory, which was put back"
        ],
    ),
    "loud": (
        "import os\nfrom oneiric_hookspecs import hookimpl\nprint('loud')\nos.write(1, b'louder\\n')\n"
        "@hookimpl\ndef oneiric_candidates():\n    print('loudest')\n    return ()\n",
        [],
    ),
    "slow": (
        "import os, time\nfrom oneiric_hookspecs import hookimpl\ntime.sleep(float(os.environ.get('SECONDS', 1)))\n"
        "@hookimpl\ndef oneiric_candidates(): return ()\n",
        [],
    ),
}


def module_of(name):
    """The module of a kit."""
    return name.replace("-", "_") + "_kit"


def install_good(folder):
    """Two kits that are well, the first and the last."""
    for name in ("aa-good", "zz-good"):
        folder.write(f"site/{module_of(name)}.py", GOOD.format(name=name))
        folder.distribution(f"kit-{name}", oneiric={name: module_of(name)})
    folder.write("oneiric.toml", "")


def install_broken(folder):
    """All that are not."""
    for name, (source, *_) in FAULTS.items():
        file = folder.path / "site" / f"{module_of(name)}.py"
        if source is not None:
            file.write_bytes(source if isinstance(source, bytes) else source.encode())
        target = "" if name == "nothing" else f"{module_of(name)}{TARGETS.get(name, '')}"
        folder.distribution(f"kit-{name}", oneiric={name: target})
    for name, (source, _) in DOUBTFUL.items():
        folder.write(f"site/{module_of(name)}.py", source)
        folder.distribution(f"kit-{name}", oneiric={name: module_of(name)})
    for name in ("twin-a", "twin-b"):
        folder.write(f"site/{module_of(name)}.py", GOOD.format(name=name))
        folder.distribution(f"kit-{name}", oneiric={"twin": module_of(name)})
    # What no tool would write, and disks hold all the same.
    folder.distribution("kit-latin", oneiric={"latin": "latin_kit"})
    site = folder.path / "site"
    (site / "kit_latin-1.0.dist-info" / "entry_points.txt").write_bytes(b"[oneiric]\nr\xe9dis = latin_kit\n")
    folder.distribution("kit-scrawl", oneiric={"scrawl": "scrawl_kit"})
    (site / "kit_scrawl-1.0.dist-info" / "entry_points.txt").write_text(
        "# a note\n[oneiric]\nscrawl\n[oneiric.commands]\nscrawl = scrawl_kit:word\n"
    )
    (site / "kit_bare.dist-info").mkdir()
    (site / "kit_bare.dist-info" / "entry_points.txt").write_text("[oneiric]\nbare = bare_kit\n")
    folder.write("site/bare_kit.py", GOOD.format(name="bare"))
    odd = site / os.fsdecode(b"kit_\xff-1.0.dist-info")
    odd.mkdir()
    (odd / "entry_points.txt").write_text("[oneiric]\nodd = odd_kit\n")
    folder.write("site/odd_kit.py", GOOD.format(name="odd"))
    # A stranger's, which is none of our business.
    folder.distribution("stranger", console_scripts={"x": "y"})
    (site / "stranger-1.0.dist-info" / "entry_points.txt").write_bytes(b"[console_scripts]\n\xff\n")


@pytest.fixture
def site(folder, monkeypatch):
    """The folder, with good kits; what is installed in it is seen in this process, too."""
    install_good(folder)
    monkeypatch.syspath_prepend(folder.path / "site")
    return folder


@pytest.fixture(scope="module")
def broken(new_folder):
    """A folder in which all of them are installed."""
    folder = new_folder("broken")
    install_good(folder)
    install_broken(folder)
    return folder


@pytest.fixture(scope="module")
def listing(broken):
    """What ``plugins --json`` says of each, by name."""
    ended = broken.spawn("plugins", "--json")
    assert (ended.code, ended.out.count("\n")) == (0, 1), ended.err
    found = {}
    for each in ended.json["plugins"]:
        found.setdefault(each["name"], []).append(each)
    return found


def pattern(text):
    """*text*, in which ``...`` stands for anything."""
    return re.escape(text).replace(r"\.\.\.", ".*")


# --- each is named -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_with_its_place(broken, listing, name):
    """The plugin is failed, with the reason, file and line, and where there is one what would be right."""
    _, reason, line, hint = FAULTS[name]
    (one,) = listing[name]

    assert (one["state"], one["distribution"], one["version"]) == ("failed", f"kit-{name}", "1.0")
    assert re.fullmatch(pattern(reason), one["reason"])
    asked = f"{broken.path}/site/kit_{name.replace('-', '_')}-1.0.dist-info/entry_points.txt:2"
    assert one["where"] == (f"{broken.path}/site/{module_of(name)}.py:{line}" if line else asked)
    assert re.fullmatch(
        pattern(hint or ""), (one["hint"] or "").splitlines()[0] if hint else one["hint"] or ""
    )


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_is_doubtful_is_said(listing, name):
    """The plugin is on, and what the lint has found is listed."""
    (one,) = listing[name]

    assert one["state"] == "on"
    found = zip(one["findings"], DOUBTFUL[name][1], strict=True)
    assert all(finding.startswith(f"plugin {name}: {said}") for finding, said in found)


CHANGED = """
import logging, os, signal, sys, warnings
from oneiric import assemble

def state():
    root, filters = logging.getLogger(), list(warnings.filters)
    return [signal.getsignal(signal.SIGTERM), root.level, root.handlers[:], root.manager.disable, filters,
            sys.stdout, sys.excepthook, os.getcwd()]

mine = logging.NullHandler()
logging.getLogger().addHandler(mine)
signal.signal(signal.SIGTERM, lambda *_: None)
before = state()
(kit,) = [each for each in assemble().hooks.plugins if each.name == "takes-over"]
assert "W109" in [each.code for each in kit.findings], kit
assert state() == before, (before, state())
warnings.warn("still said", UserWarning)
"""


def test_what_an_import_takes_is_given_back(broken):
    """An application that embeds a runtime has its signals, logging, warnings and streams as it had set them up."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", CHANGED],
        cwd=broken.path,
        env=broken.environment | {"SECONDS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "UserWarning: still said" in done.stderr) == (0, True), done.stderr


def test_two_kits_of_one_name(broken, listing):
    """The first by its distribution is on; the other says whose the name is, and only one of them declares."""
    first, second = listing["twin"]

    assert [(each["distribution"], each["state"], each["candidates"]) for each in (first, second)] == [
        ("kit-twin-a", "on", ["service:twin-a twin-a"]),
        ("kit-twin-b", "failed", []),
    ]
    assert second["reason"] == "the name twin is taken by kit-twin-a 1.0"
    keys = broken.spawn("list", "--json", SECONDS="0").json["keys"]
    (one,) = [each for each in keys if each["key"] == "twin-a"]
    assert [each["distribution"] for each in one["candidates"]] == ["kit-twin-a"]


def test_damaged_metadata_is_named(broken, listing):
    """An entry_points.txt that is no text, and one that is no list of entry points; a stranger's is left alone."""
    site = broken.path / "site"

    found = [listing[name][0] for name in ("kit-latin", "kit-scrawl")]
    assert [(each["state"], each["reason"], each["where"]) for each in found] == [
        (
            "failed",
            "entry_points.txt is not UTF-8: byte 0xe9",
            f"{site}/kit_latin-1.0.dist-info/entry_points.txt:2",
        ),
        (
            "failed",
            "entry_points.txt 'scrawl' is no entry point: it has no =",
            f"{site}/kit_scrawl-1.0.dist-info/entry_points.txt:3",
        ),
    ]
    assert "stranger" not in listing
    assert "scrawl" not in broken.spawn("--help").out  # a word that nobody could type


def test_metadata_without_a_version(listing):
    """Nobody needs it."""
    (one,) = listing["bare"]
    assert (one["state"], one["distribution"], one["version"]) == ("on", "kit-bare", None)


def test_name_that_is_no_text(listing):
    """A folder of odd bytes is a distribution all the same, and its name can be typed."""
    (one,) = listing["odd"]
    assert (one["state"], one["distribution"], one["version"]) == ("on", r"kit-\udcff", "1.0")


# --- nothing else breaks -----------------------------------------------------------------------------------------------

#: What commands are called with that want something; the others are called with nothing.
ARGUMENTS = {
    "completion": ["bash"],
    "demo": ["--clients", "1", "--swaps", "1", "--seconds", "0.2"],
    "explain": ["service", "aa-good"],
    "hooks": ["candidates"],
    "drain": ["service", "aa-good"],
    "hold": ["service", "aa-good"],
    "note": ["service", "aa-good", "hello"],
    "pause": ["service"],
    "pin": ["service", "aa-good"],
    "plan": ["other.toml"],
    "plugins info": ["cache.memory"],
    "plugins off": ["cache.disk", "aa-good"],
    "plugins on": ["cache.disk"],
    "resume": ["service"],
    "rollback": ["service", "aa-good"],
    "swap": ["adapter", "cache", "disk"],
    "unpin": ["adapter", "cache"],
}
#: Commands whose exit code is about just this, and those that go on until somebody ends them.
ABOUT_IT, ENDLESS = {"doctor"}, {"event listen", "orchestrate", "schedules run"}


def paths(command, path):
    """Every command below *command*, by its words."""
    inside = getattr(command, "commands", {})
    if not inside or getattr(command, "invoke_without_command", False):
        yield path
    for word, each in inside.items():
        yield from paths(each, f"{path} {word}")


def all_commands():
    """Every command there is, those of built-in domains too."""
    for word, (module, _) in COMMANDS.items():
        yield from paths(import_module(module).command, word)
    for word, who in sorted(kits.words().items()):
        if all(each.distribution == "oneiric" for each in who):
            yield from paths(kits.load(word), word)


EVERY = list(all_commands())


@pytest.fixture(scope="module")
def healthy(new_folder):
    """A folder in which only the good ones are installed."""
    folder = new_folder("healthy")
    install_good(folder)
    return folder


@pytest.mark.parametrize("words", [each for each in EVERY if each not in ABOUT_IT | ENDLESS])
def test_every_command_ends_as_without_them(broken, healthy, words):
    """The same exit code, whatever is installed beside the kits that are well; and no traceback."""
    for folder in (broken, healthy):
        folder.write("other.toml", "[lifecycle]\nprobation = 1\n")
    command = [*words.split(), *ARGUMENTS.get(words, [])]
    # What one command switches off is off for that one alone.
    state = f"state-{words.replace(' ', '-')}"
    with_them = broken.spawn(*command, ONEIRIC_STATE_DIR=state, SECONDS="0.01")
    without = healthy.spawn(*command, ONEIRIC_STATE_DIR=state)

    assert (with_them.code, "Traceback" in with_them.err) == (without.code, False), with_them.err
    assert with_them.code in (0, 2, 3, 6, 10), with_them.err


def test_good_kits_work_beside_them(broken, healthy):
    """What they declare is there, and nothing is said on stdout but the answer."""
    names = {"aa-good", "zz-good", "twin-a", "bare", "odd"}
    ended = broken.spawn("list", "--domain", "service", "--json")

    assert {each["key"] for each in ended.json["keys"]} == names
    assert [each["winner"] for each in ended.json["keys"] if each["key"] == "aa-good"] == ["aa-good"]
    assert {each["key"] for each in healthy.spawn("list", "--domain", "service", "--json").json["keys"]} == {
        "aa-good",
        "zz-good",
    }


BROKEN = [*FAULTS, *DOUBTFUL, "kit-latin", "kit-scrawl", "kit-twin-b", r"kit-\udcff"]


@pytest.mark.parametrize("name", BROKEN)
def test_each_can_be_switched_off(site, monkeypatch, name):
    """By its name or its distribution, whatever else is installed; nothing is said but that."""
    install_broken(site)
    ended = site.run("plugins", "off", name, ONEIRIC_STATE_DIR=str(site.path / "state"))

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[0] == f"{name} is off from the next start on"
    assert ended.out.splitlines()[2:] == ["  what it brings is not known without importing it"]


def test_what_is_off_is_imported_no_more(new_folder):
    """All of them are switched off, and what is left is well: no warning, no second lost."""
    folder = new_folder("off")
    install_good(folder)
    install_broken(folder)
    folder.environment["ONEIRIC_STATE_DIR"] = str(folder.path / "state")
    assert folder.spawn("plugins", "off", *BROKEN).code == 0

    ended = folder.spawn("plugins", "--json")
    found = [each for each in ended.json["plugins"] if each["origin"] == "installed"]
    assert (ended.err, ended.json["warnings"]) == ("", [])
    assert {each["name"] for each in found if each["state"] == "on"} == {"aa-good", "bare", "twin", "zz-good"}
    off = [each for each in found if each["state"] != "on"]
    assert {(each["state"], each["load_ms"], each["hint"], *each["findings"]) for each in off} == {
        ("off", 0, None)
    }
    assert len(off) == len(BROKEN)


STRICT = [(["--strict"], {}), ([], {"ONEIRIC_STRICT": "1"})]


@pytest.mark.parametrize(("options", "environment"), STRICT, ids=["option", "variable"])
@pytest.mark.parametrize("name", FAULTS)
def test_strict_raises(site, name, options, environment):
    """With the option, or the variable, a command ends with 3 and the same words as before."""
    source, reason, _, _ = FAULTS[name]
    if source is not None:
        file = site.path / "site" / f"{module_of(name)}.py"
        file.write_bytes(source if isinstance(source, bytes) else source.encode())
    target = "" if name == "nothing" else f"{module_of(name)}{TARGETS.get(name, '')}"
    site.distribution(f"kit-{name}", oneiric={name: target})

    ended = site.run("list", *options, **environment)

    assert (ended.code, ended.out) == (3, "")
    assert re.match(f"error: plugin {name}: (E101 )?{pattern(reason)}", ended.err)
    assert site.run("list", ONEIRIC_STRICT="0").code == 0


def test_strictness_is_yes_or_no(site):
    """A slip in the variable is said, not taken for no."""
    ended = site.run("list", ONEIRIC_STRICT="maybe")

    assert (ended.code, ended.err) == (
        5,
        "error: ONEIRIC_STRICT: expected 1, true, yes, on or 0, false, no, off, found 'maybe'\n",
    )


def test_interrupt_while_importing_passes(site):
    """Ctrl-C is nobody's fault."""
    site.write("site/stop_kit.py", "raise KeyboardInterrupt\n")
    site.distribution("kit-stop", oneiric={"stop": "stop_kit"})

    ended = site.run("list")
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted\n")


# --- what is seen ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 100])
def test_the_whole_reason_can_be_read(site, columns):
    """Below the table, wrapped, with the place in one piece and the hint, however narrow the terminal is."""
    site.write(
        "site/absent_kit.py",
        "x = 1\nimport a_library_with_a_name_that_is_longer_than_any_column_of_a_table\n",
    )
    site.distribution("kit-absent", oneiric={"absent": "absent_kit"})

    ended = site.run("plugins", COLUMNS=str(columns))
    table, _, below = ended.out.partition("\n\n")

    (row,) = [line for line in table.splitlines() if line.startswith("absent")]
    assert row.split()[:4] == ["absent", "kit-absent", "1.0", "failed"]
    assert max(map(len, table.splitlines())) <= columns
    assert " ".join(below.split()) == (
        "absent of kit-absent 1.0 failed: ModuleNotFoundError: No module named "
        "'a_library_with_a_name_that_is_longer_than_any_column_of_a_table' "
        f"{site.path}/site/absent_kit.py:2"
    )
    assert ended.err == ""  # it has been said


def test_time_is_shown(listing):
    """Of each, what importing it took."""
    assert 1000 <= listing["slow"][0]["load_ms"] < 10_000
    assert 0 < listing["aa-good"][0]["load_ms"] < 1000


def test_slow_ones_stand_first(broken):
    """``--slow`` begins with the kit that took a second."""
    lines = broken.spawn("plugins", "--slow").out.splitlines()

    assert lines[1].split()[:2] == ["slow", "load"]


def test_who_waits_at_a_terminal_is_told_for_what(site):
    """After a second the plugin that is being imported is named on stderr, and the line is gone in the end."""
    import pty

    site.write("site/slow_kit.py", "import time\ntime.sleep(1.7)\n")
    site.distribution("kit-slow", oneiric={"slow": "slow_kit"})
    ours, theirs = pty.openpty()
    done = subprocess.run(
        site.command("list"),
        cwd=site.path,
        env=site.environment | {"TERM": "xterm", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        check=True,
    )
    os.close(theirs)
    said = os.read(ours, 65536).decode()
    os.close(ours)

    assert "\r\x1b[Kimporting the plugin slow (kit-slow 1.0), " in said
    assert re.search(r" s\r\x1b\[K(\x1b\[\d+m)*warning", said)
    assert "importing" not in done.stdout
    assert "importing" not in site.spawn("list").err
