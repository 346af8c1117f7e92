"""Each rule finds what breaks it, and nothing else; a kit as it should be keeps them all.

All kits are written once, and tested by one pytest that knows nothing of this one.
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from textwrap import dedent

import attrs
import pytest

from oneiric.testing import KitConformance
from oneiric.testing.conformance import RULES

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once

GOOD = '''
"""A kit as it should be."""

from __future__ import annotations

import asyncio

import attrs
from oneiric_hookspecs import Action, Candidate, Health, Key, Need, Secret, hookimpl


@attrs.frozen
class Settings:
    limit: int = 10
    password: Secret | None = None


class Store:
    def __init__(self, settings):
        self.values = {}

    async def get(self, name):
        return self.values.get(name)

    async def set(self, name, value, ttl=None):
        self.values[name] = value

    async def delete(self, name):
        return self.values.pop(name, None) is not None

    async def clear(self):
        self.values.clear()

    async def health(self):
        return Health("ok")

    async def aclose(self):
        self.values.clear()


async def create(settings):
    await asyncio.sleep(0)
    return Store(settings)


@attrs.frozen
class Text:
    text: str


async def shout(request, settings):
    return Text(request.text.upper())


@hookimpl
def oneiric_candidates():
    yield Candidate(Key.of("adapter", "cache"), "good", create, settings_class=Settings, summary="keeps it")


@hookimpl
def oneiric_actions():
    yield Action("text.shout", "Say it in capitals", takes=Text, returns=Text, run=shout)
'''
CANDIDATE = (
    'yield Candidate(Key.of("adapter", "cache"), "good", create, settings_class=Settings, summary="keeps it")'
)
CREATE = "    await asyncio.sleep(0)\n    return Store(settings)\n"
ACTION = 'Action("text.shout", "Say it in capitals", takes=Text, returns=Text, run=shout)'
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: oneiric-hookspecs>=1.0,<2\n"


@attrs.frozen
class Bad:
    """A kit with one mistake.

    The mistake is a replacement in the good one's source, or in its metadata; ``said`` is part of what the failing test
    says, and ``line`` what stands at the place it names.
    """

    name: str
    rule: str
    old: str
    new: str
    said: str
    line: str = ""
    where: str = "source"


def at_import(name, code, said):
    return Bad(
        name,
        "importing_does_nothing",
        "import asyncio\n",
        f"import asyncio\n{code}\n",
        said,
        code.splitlines()[-1],
    )


BAD = [
    Bad("loads", "imports_lightly", "import asyncio\n", "import asyncio\nimport click\n", "loads click", "import click"),
    Bad("crashes", "imports_lightly", "import asyncio\n", "import asyncio\nimport os, sys\nif '-P' in sys.orig_argv and not hasattr(sys, 'ps0') and sys.argv[0].endswith('probe.py'): os._exit(3)\n", "ended with exit status 3"),
    at_import("thread", "import threading\nthreading.Thread(target=int, name='mine').start()", "starts a thread: mine"),
    at_import("logs", "import logging\nlogging.basicConfig()", "sets logging up"),
    at_import("signals", "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)", "handles a signal: SIGUSR1"),
    at_import("sets", "import os\nos.environ['SHOP'] = '1'", "changes the environment: SHOP"),
    at_import("moves", "import os\nos.chdir(os.getcwd())", "changes the working directory: "),
    at_import("prints", "print('hello')", "prints 'hello'"),
    at_import("spawns", "import subprocess\nsubprocess.run(['true'])", "starts a process"),
    at_import("filters", "import warnings\nwarnings.simplefilter('ignore', EncodingWarning)", "changes the filters of warnings"),
    attrs.evolve(at_import("paths", "import sys\nsys.path.append('/nowhere')", "changes sys.path: /nowhere"), line=""),
    Bad("kernel", "leaves_the_kernel_alone", CREATE, "    from oneiric.clock import RuntimeClock\n" + CREATE, "imports oneiric.clock", "from oneiric.clock"),
    Bad("unmarked", "hooks", "@hookimpl\ndef oneiric_candidates", "def oneiric_candidates", "W102: oneiric_candidates is named like a hook and not marked", "def oneiric_candidates"),
    Bad("misspelt", "hooks", "def oneiric_actions()", "def oneiric_action()", "did you mean oneiric_actions?", "@hookimpl"),
    Bad("arguments", "hooks", "def oneiric_actions()", "def oneiric_actions(runtime)", "oneiric_actions has no argument runtime", "@hookimpl"),
    Bad("twice", "registers", CANDIDATE, f"{CANDIDATE}\n    {CANDIDATE}", "declares adapter:cache 'good' twice", "async def create"),
    Bad("raises", "registers", CANDIDATE, "raise LookupError('no more parts')", "no more parts", "raise LookupError"),
    Bad("unstable", "declares_the_same_twice", CANDIDATE, "global COUNT\n    COUNT += 1\n    " + CANDIDATE.replace('"keeps it"', 'f"number {COUNT}"') + "\n\nCOUNT = 0", "oneiric_candidates declares other things when it is asked again: adapter:cache good differs in summary", "@hookimpl"),
    Bad("mute", "says_what_it_is", ', summary="keeps it"', "", "adapter:cache good has no summary", "async def create"),
    Bad("talkative", "says_what_it_is", '"keeps it"', '"keeps it " * 20', "180 letters", "async def create"),
    Bad("untaken", "needs_make_sense", 'summary="keeps it"', 'summary="keeps it", needs=[Need(Key.of("adapter", "db"), optional=True)]', "needs adapter:db, and its factory does not take 'db'", "async def create"),
    Bad("itself", "needs_make_sense", 'summary="keeps it"', 'summary="keeps it", needs=[Need(Key.of("adapter", "cache"), name="settings", optional=True)]', "needs its own key", "async def create"),
    Bad("unrequired", "needs_make_sense", 'summary="keeps it"', 'summary="keeps it", distributions=["attrs>=1"]', "wants attrs, which oneiric-bad-unrequired does not require", "async def create"),
    Bad("default", "settings_are_strict", "limit: int = 10", 'limit: int = "10"', "Settings.limit of adapter:cache good does not take its own value", "limit: int"),
    Bad("shared", "settings_are_strict", "limit: int = 10", "limit: int = 10\n    names: list[str] = attrs.field(default=[])", "is one list for all", "names: list"),
    Bad("incomparable", "settings_are_strict", "@attrs.frozen\nclass Settings", "@attrs.frozen(eq=False)\nclass Settings", "made twice from the same data is not equal", "@attrs.frozen"),
    Bad("schemaless", "schemas_can_be_made", "limit: int = 10", "limit: int = 10\n    clock: complex | None = None", "Settings.clock of adapter:cache good is a complex, which plain data never becomes", "clock: complex"),
    Bad("shown", "secrets_stay_hidden", "password: Secret | None", "password: str | None", "Settings.password of adapter:cache good is a text, and shows itself", "password: str"),
    Bad("revealed", "secrets_stay_hidden", "    password: Secret | None = None\n", "    password: Secret | None = None\n\n    def __repr__(self):\n        return f'Settings({self.password and self.password.reveal()})'\n", "shows in its repr", "password: Secret"),
    Bad("uncallable", "actions_refuse_bad_requests", "async def shout(request, settings)", "async def shout(request)", "text.shout is not run by run(request, settings)", "async def shout"),
    Bad("untyped", "actions_refuse_bad_requests", "class Text:\n    text: str\n", "class Text:\n    text = attrs.field()\n", "Text.text of the request of text.shout has no type", "text = attrs"),
    Bad("fails", "comes_up", CREATE, "    raise RuntimeError('no luck')\n", "does not come up: RuntimeError: no luck", "raise RuntimeError"),
    Bad("lacks", "satisfies_its_contract", "    async def clear(self):\n        self.values.clear()\n", "", "its product is no Cache: Store lacks clear", "async def create"),
    Bad("waits", "satisfies_its_contract", "    async def clear(self)", "    def clear(self)", "clear is not async", "async def create"),
    Bad("differs", "satisfies_its_contract", "def set(self, name, value, ttl=None)", "def set(self, name, value)", "set(name, value) is called as", "async def create"),
    Bad("ill", "is_well", 'Health("ok")', 'Health("failed", "no room")', "no room", "async def create"),
    Bad("task", "leaves_nothing", CREATE, "    settings = asyncio.get_running_loop().create_task(asyncio.sleep(30), name='mine')\n    KEPT.append(settings)\n    return Store(settings)\n\nKEPT = []\n", "the task mine was left", "async def create"),
    Bad("threads", "leaves_nothing", CREATE, "    import threading\n    OVER = threading.Event()\n    threading.Thread(target=OVER.wait, args=(20,), name='mine', daemon=True).start()\n    return Store(settings)\n", "the thread mine was left", "async def create"),
    Bad("files", "leaves_nothing", CREATE, "    KEPT.append(open(__file__))\n    return Store(settings)\n\nKEPT = []\n", "__init__.py was left open", "async def create"),
    Bad("dropped", "leaves_nothing", CREATE, "    store = Store(settings)\n    store.file = open(__file__)\n    return store\n", "dropped without being closed", "async def create"),
    Bad("unclosed", "leaves_nothing", "    async def aclose(self):\n        self.values.clear()", "    async def aclose(self):\n        raise OSError('cannot')", "ended as close_failed: OSError: cannot", "async def create"),
    Bad("alone", "is_swapped", "    async def aclose(self):\n        self.values.clear()\n\n\nasync def create(settings):\n", "    async def aclose(self):\n        OPEN.clear()\n\n\nOPEN = []\n\n\nasync def create(settings):\n    if OPEN:\n        raise RuntimeError('it is open')\n    OPEN.append(1)\n", "it is open", "async def create"),
    Bad("cancelled", "survives_cancellation", "    async def aclose(self):\n        self.values.clear()\n\n\n" + "async def create(settings):\n" + CREATE, "    async def aclose(self):\n        self.file.close()\n\n\nasync def create(settings):\n    file = open(__file__)\n    for _ in range(5):\n        await asyncio.sleep(0)\n    store = Store(settings)\n    store.file = file\n    return store\n", "dropped without being closed", "async def create"),
    Bad("misnamed", "names_agree", "bad-misnamed = oneiric", "other = oneiric", "the entry point of oneiric-bad-misnamed is called other", where="entry points"),
    Bad("kernelled", "requires_the_contract", "oneiric-hookspecs>=1.0,<2", "oneiric-hookspecs>=1.0,<2\nRequires-Dist: oneiric>=1.0", "requires the kernel: oneiric>=1.0", where="metadata"),
    Bad("loose", "requires_the_contract", "oneiric-hookspecs>=1.0,<2", "oneiric-hookspecs", "requires oneiric-hookspecs", where="metadata"),
    Bad("untied", "requires_the_contract", "oneiric-hookspecs>=1.0,<2", "attrs", "does not require oneiric-hookspecs", where="metadata"),
    Bad("typeless", "is_typed", "", "", "has no py.typed", '"""A kit as it should be."""', where="py.typed"),
]  # fmt: skip


def write(
    site, name, source=GOOD, *, metadata=METADATA, entry_points="[oneiric]\n{short} = {package}\n", typed=True
):
    """A kit, installed in *site*."""
    package = name.replace("-", "_")
    folder = site / package
    folder.mkdir()
    (folder / "__init__.py").write_text(source.lstrip("\n"))
    if typed:
        (folder / "py.typed").touch()
    about = site / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(metadata.format(name=name))
    short = name.removeprefix("oneiric-")
    (about / "entry_points.txt").write_text(entry_points.format(short=short, package=package))
    return package


def write_bad(site, bad):
    name = f"oneiric-bad-{bad.name}"
    if bad.where == "source":
        assert GOOD.count(bad.old) == 1, bad
        source = GOOD
        if bad.rule not in ABOUT_ACTIONS:
            source = GOOD.partition("\n\n@hookimpl\ndef oneiric_actions")[0] + "\n"
        if bad.rule == "importing_does_nothing":
            source = GOOD.partition("\n\n@hookimpl")[0] + "\n\n@hookimpl\ndef oneiric_resolved():\n    pass\n"
        return write(site, name, source.replace(bad.old, bad.new))
    if bad.where == "entry points":
        entry = f"[oneiric]\nbad-{bad.name} = oneiric_bad_{bad.name}\n"
        return write(site, name, entry_points=entry.replace(bad.old, bad.new))
    if bad.where == "metadata":
        assert bad.old in METADATA
        return write(site, name, metadata=METADATA.replace(bad.old, bad.new))
    return write(site, name, typed=False)


#: Other kits have no action, and those that do something at import no candidate: each of them takes time.
ABOUT_ACTIONS = {"actions_refuse_bad_requests", "hooks"}

CLASS = """
import {package}
from oneiric.testing import KitConformance


class Test{title}(KitConformance):
    plugin = {package}
"""

#: Kits that cannot be tested without help, with what helps.
SERVER = (CREATE, "    await asyncio.open_connection('127.0.0.1', 1)\n" + CREATE)
NEEDY = ("limit: int = 10", "limit: int")
HELPED = """
    settings = {"adapters": {"settings": {"cache": {"good": {"limit": 5}}}}}
"""
DEPENDENT = (
    "async def create(settings):\n",
    "async def create(settings, db):\n    assert db == 5\n",
    'summary="keeps it"',
    'summary="keeps it", needs=[Need(Key.of("adapter", "db"))]',
)
DATABASE = """
    plugins = [Database]


class Database:
    @hookimpl
    def oneiric_candidates(self):
        yield Candidate(Key.of("adapter", "db"), "five", lambda: 5)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What became of every test of every kit: by kit, then by test, what the test said."""
    folder = tmp_path_factory.mktemp("kits")
    site = folder / "site"
    site.mkdir()
    source = GOOD.replace(*SERVER)
    kits = {"Good": (write(site, "oneiric-good"), ""), "Server": (write(site, "oneiric-server", source), "")}
    kits["Needy"] = (write(site, "oneiric-needy", GOOD.replace(*NEEDY)), "")
    kits["Helped"] = (write(site, "oneiric-helped", GOOD.replace(*NEEDY)), HELPED)
    dependent = GOOD.replace(*DEPENDENT[:2]).replace(*DEPENDENT[2:])
    kits["Dependent"] = (write(site, "oneiric-dependent", dependent), "")
    alone = next(bad for bad in BAD if bad.name == "alone")
    modest = (
        GOOD.replace(alone.old, alone.new)
        .replace('summary="keeps it"', 'summary="keeps it", policies=Policies(mode="exclusive")')
        .replace("Need, ", "Need, Policies, ")
    )
    kits["Modest"] = (write(site, "oneiric-modest", modest), "")
    kits["Fed"] = (write(site, "oneiric-fed", dependent), DATABASE)
    kits |= {bad.name: (write_bad(site, bad), "") for bad in BAD}
    kits["ill"] = (kits["ill"][0], "\n    timeout = 3\n")
    for title, (package, more) in kits.items():
        text = CLASS.format(package=package, title=title.title()) + more.partition("\n\nclass")[0]
        _, found, after = more.partition("\n\nclass")
        before = f"from oneiric_hookspecs import *\n\nclass{after}" if found else ""
        (folder / f"test_{title.lower()}.py").write_text(before + text)
    # As strict as an author's own project may be; nothing of ours is known there.
    (folder / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\naddopts = --strict-markers --strict-config\n"
    )
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith(("ONEIRIC", "PYTEST"))
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=out.xml", "."],
        cwd=folder,
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = {"folder": folder}
    for case in ET.parse(folder / "out.xml").getroot().iter("testcase"):
        told = found.setdefault(case.get("classname").rpartition("Test")[2], {})
        kind = next((each for each in case if each.tag in ("failure", "error", "skipped")), None)
        text = "" if kind is None else f"{kind.get('message') or ''}\n{kind.text or ''}"
        told[case.get("name")] = ("passed" if kind is None else kind.tag, text)
    return found


def of(results, kit, outcome):
    return {name: text for name, (found, text) in results[kit].items() if found == outcome}


def test_a_good_kit_keeps_every_rule(results):
    """Nothing fails, and nothing is left out but what nobody promises."""
    good = results["Good"]

    assert {name.partition("[")[0].removeprefix("test_") for name in good} == {rule.name for rule in RULES}
    assert {name for name, (outcome, _) in good.items() if outcome != "passed"} == set()
    assert "test_comes_up[adapter:cache-good]" in good
    assert "test_comes_up[action:text.shout-good]" in good


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_kit_breaks_one_rule(bad, results):
    """The test of that rule fails, no other, and says what, where, and what to do."""
    failed = of(results, bad.name.title(), "failure") | of(results, bad.name.title(), "error")

    assert {name.partition("[")[0] for name in failed} == {f"test_{bad.rule}"}, failed
    said = "\n".join(failed.values())
    assert bad.said in said
    assert f"broken: {next(rule.promise for rule in RULES if rule.name == bad.rule)}" in said
    places = re.findall(r"^(\S+?\.py):(\d+): ", said, re.MULTILINE)
    assert places
    lines = [(results["folder"] / file).read_text().splitlines()[int(line) - 1] for file, line in places]
    assert bad.line in "\n".join(lines)


def test_every_rule_is_broken_by_somebody():
    """There is no rule without a kit that breaks it."""
    assert {bad.rule for bad in BAD} == {rule.name for rule in RULES}


def test_a_test_for_each_rule():
    """The class has exactly the rules, each with its promise; and none of its own names collides with one."""
    tests = {name: getattr(KitConformance, name) for name in dir(KitConformance) if name.startswith("test_")}

    assert list(tests) == sorted(f"test_{rule.name}" for rule in RULES)
    assert {name: " ".join(each.__doc__.split()) for name, each in tests.items()} == {
        f"test_{rule.name}": rule.promise for rule in RULES
    }


@pytest.mark.parametrize(
    ("kit", "reason"),
    [
        ("Server", "needs a server (ConnectionRefusedError: "),
        ("Needy", "give settings = {'adapters': {'settings': {'cache': {'good': {'limit': '...'}}}}}"),
        ("Dependent", "adapter:cache good needs adapter:db, which nobody fills here; give plugins = [...]"),
    ],
)
def test_what_cannot_be_tested_is_skipped(kit, reason, results):
    """A candidate that needs what is not there is left out, and the reason says what to give."""
    assert of(results, kit, "failure") == of(results, kit, "error") == {}
    skipped = of(results, kit, "skipped")
    living = {rule.name for rule in RULES if rule.each == "candidate"}
    assert {name.partition("[")[0].removeprefix("test_") for name in skipped} == living
    assert all("adapter:cache" in name and reason in text for name, text in skipped.items()), skipped


@pytest.mark.parametrize("kit", ["Helped", "Fed", "Modest"])
def test_what_is_given_is_used(kit, results):
    """With settings, with a plugin beside it, or where it says that it cannot be there twice, it keeps every rule."""
    assert {name for name, (outcome, _) in results[kit].items() if outcome != "passed"} == set()


def test_a_kit_that_cannot_be_told_apart_is_refused(tmp_path):
    """A module that is no plugin fails, instead of passing everything by having nothing."""
    (tmp_path / "test_nothing.py").write_text(
        dedent(
            """
            import json
            from oneiric.testing import KitConformance

            class TestNothing(KitConformance):
                plugin = json
            """
        )
    )

    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "json implements no hook" in done.stdout
