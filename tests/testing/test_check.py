"""``oneiric check``: the same rules for those without pytest, each kit in a process of its own."""

import pytest

from oneiric.testing.conformance import RULES

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once

GOOD = '''
"""A kit as it should be."""

from oneiric_hookspecs import Candidate, Key, hookimpl


async def create():
    return object()


@hookimpl
def oneiric_candidates():
    yield Candidate(Key.of("adapter", "lamp"), "desk", create, summary="gives light")
'''
MUTE = GOOD.replace(', summary="gives light"', "")
NEEDY = GOOD.replace("async def create():", "@attrs.frozen\nclass Settings:\n    watts: int\n\n\nasync def create(settings):").replace(
    "create, ", "create, settings_class=Settings, "
).replace("from oneiric", "import attrs\nfrom oneiric", 1)  # fmt: skip


@pytest.fixture
def kit(oneiric_project):
    """Makes a kit that is not installed."""

    def kit(source, name="lamp", **more):
        return oneiric_project.kit(name, source, install=False, **more)

    return kit


def test_a_good_kit(kit, oneiric_project):
    """Its folder is named, nothing is installed, and every rule is kept."""
    kit(GOOD)

    done = oneiric_project.oneiric("check", "lamp")

    assert (done.code, done.err) == (0, "")
    assert done.out == f"lamp: {len(RULES)} rules, {len(RULES) - 5} kept, 5 skipped\n"


def test_why_rules_were_skipped(kit, oneiric_project):
    """Said with -v, one line each."""
    kit(GOOD)

    done = oneiric_project.oneiric("check", "lamp", "-v")

    lines = done.out.splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        "settings_are_strict",
        "schemas_can_be_made",
        "secrets_stay_hidden",
        "actions_refuse_bad_requests",
        "satisfies_its_contract",
    ]


def test_a_bad_kit(kit, oneiric_project):
    """A line says where, which rule, and what; the next what to do; and the command fails."""
    kit(MUTE)

    done = oneiric_project.oneiric("check", "lamp")

    assert done.code == 6
    assert done.out.splitlines() == [
        f"lamp: {len(RULES)} rules, {len(RULES) - 6} kept, 1 broken, 5 skipped",
        "lamp/oneiric_lamp/__init__.py:7: says_what_it_is: adapter:lamp desk has no summary",
        '  give it summary="..."',
    ]


def test_for_machines(kit, oneiric_project):
    """The same as one object, with every rule, what it promises, and what came of it."""
    kit(MUTE)

    done = oneiric_project.oneiric("check", "lamp", "--json")

    (one,) = done.json["kits"]
    assert (done.code, done.json["schema"]) == (6, "oneiric/check/1")
    assert {name: one[name] for name in ("kit", "distribution", "rules", "broken")} == {
        "kit": "lamp",
        "distribution": "oneiric-lamp",
        "rules": len(RULES),
        "broken": 1,
    }
    assert [each["rule"] for each in one["outcomes"]] == [rule.name for rule in RULES]
    broken = next(each for each in one["outcomes"] if each["outcome"] == "broken")
    assert broken["broken"] == [
        {
            "what": "adapter:lamp desk has no summary",
            "where": f"{oneiric_project.path}/lamp/oneiric_lamp/__init__.py:7",
            "hint": 'give it summary="..."',
        }
    ]


@pytest.mark.parametrize("what", ["lamp", "oneiric-lamp", "oneiric_lamp"])
def test_one_that_is_installed(what, oneiric_project):
    """By its entry point, its distribution or its module."""
    oneiric_project.kit("lamp", GOOD)
    (oneiric_project.path / "lamp").rename(oneiric_project.path / "elsewhere")

    assert oneiric_project.oneiric("check", what).code == 0


def test_a_file_and_a_folder_without_metadata(oneiric_project):
    """A module that is no distribution: what is about distributions is skipped."""
    oneiric_project.write("lamp.py", GOOD)
    oneiric_project.write("lamps/__init__.py", GOOD)

    file, module, folder = (oneiric_project.oneiric("check", each) for each in ("lamp.py", "lamp", "lamps"))

    assert (file.code, module.code) == (0, 0), file.out + module.out
    assert file.out == module.out
    assert folder.code == 6  # a package should have a py.typed
    assert "lamps/__init__.py:1: is_typed: lamps has no py.typed" in folder.out


def test_what_is_only_known_when_it_is_built(kit, oneiric_project):
    """Requirements that are dynamic are nobody's fault."""
    about = kit(GOOD) / "pyproject.toml"
    about.write_text(
        about.read_text().replace(
            'dependencies = ["oneiric-hookspecs>=1.0,<2"]', 'dynamic = ["dependencies"]'
        )
    )

    done = oneiric_project.oneiric("check", "lamp", "-v")

    assert done.code == 0, done.out
    assert "requires_the_contract: what it requires is known when it is built" in done.out


def test_the_src_layout(kit, oneiric_project):
    """A package below src is found, as setuptools finds it."""
    folder = kit(GOOD)
    (folder / "src").mkdir()
    (folder / "oneiric_lamp").rename(folder / "src" / "oneiric_lamp")

    assert oneiric_project.oneiric("check", "lamp").code == 0


def test_several_at_once(kit, oneiric_project):
    """Each has its lines; one that is bad makes the command fail."""
    kit(GOOD)
    kit(MUTE.replace('"lamp"', '"torch"'), "torch")

    done = oneiric_project.oneiric("check", "lamp", "torch")

    assert done.code == 6
    assert [line.partition(":")[0] for line in done.out.splitlines() if " rules, " in line] == [
        "lamp",
        "torch",
    ]


def test_settings_for_its_candidates(kit, oneiric_project):
    """Without them what needs them is skipped, and says what to give; with -c it is held against everything."""
    kit(NEEDY)
    oneiric_project.write("shop.toml", "[adapters.settings.lamp.desk]\nwatts = 5\n")
    oneiric_project.write("wrong.toml", "[adapters.settings.lamp.desk]\nwatts = true\n")
    oneiric_project.write("broken.toml", "[adapters\n")

    without, given, wrong, broken = (
        oneiric_project.oneiric("check", "lamp", "-v", *more)
        for more in ([], ["-c", "shop.toml"], ["-c", "wrong.toml"], ["-c", "broken.toml"])
    )

    assert "give settings = {'adapters': {'settings': {'lamp': {'desk': {'watts': '...'}}}}}" in without.out
    assert (given.code, "give settings" in given.out) == (0, False), given.out
    assert wrong.code == 6
    assert "expected a whole number, found true" in wrong.out
    assert broken.code == 5


@pytest.mark.parametrize(("required", "code"), [("", 0), ("redis,lamp", 6), ("desk", 6), ("redis", 0)])
def test_a_server_that_is_not_there(required, code, kit, oneiric_project):
    """What needs one is skipped; where the variable names the kit or the provider, it fails."""
    kit(GOOD.replace("    return object()", "    raise ConnectionRefusedError('nobody listens')"))

    done = oneiric_project.oneiric("check", "lamp", "-v", ONEIRIC_REQUIRE_SERVERS=required)

    assert done.code == code
    assert (
        "comes_up: adapter:lamp desk needs a server (ConnectionRefusedError: nobody listens)" in done.out
    ) == (code == 0)
    assert ("adapter:lamp desk does not come up: ConnectionRefusedError: nobody listens" in done.out) == (
        code == 6
    )


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("lump", "there is no kit lump"),
        ("./lump", "there is no ./lump"),
        ("lump.py", "there is no lump.py"),
        ("empty", "holds no kit"),
        ("bare", "bare has no entry point of the group oneiric"),
        ("nameless", "there is no [project] with a name"),
        ("garbled", "cannot be read"),
        ("pluggy", None),
    ],
)
def test_nothing_there(what, said, oneiric_project):
    """What is no kit is said in a line, and the exit code is the one for what is not there."""
    (oneiric_project.path / "empty").mkdir()
    oneiric_project.write("bare/pyproject.toml", '[project]\nname = "bare"\n')
    oneiric_project.write("nameless/pyproject.toml", "[project]\n")
    oneiric_project.write("garbled/pyproject.toml", "[project\n")

    done = oneiric_project.oneiric("check", what)

    if said is None:
        assert done.code == 6  # there, and no plugin
        assert "pluggy implements no hook" in done.out
    else:
        assert done.code == 3
        assert said in done.err
        assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("source", "rule", "said"),
    [
        ("import os\nos.kill(os.getpid(), 11)\n", "imports_lightly", "it ended the process, with signal 11"),
        ("import sys\nsys.exit(4)\n", "imports_lightly", "it ended the process, with exit status 4"),
        ("import os\nos._exit(0)\n", "imports_lightly", "it ended the process, as if all were done"),
        ("import nowhere\n", "imports_lightly", "oneiric_lamp does not import: ModuleNotFoundError: No module named 'nowhere'"),
        ("def f(:\n", "imports_lightly", "does not import: SyntaxError"),
        ("import time\ntime.sleep(600)\n", "imports_lightly", "it did not end within 2 s"),
        (GOOD.replace("    return object()", "    import os\n    os._exit(9)"), "comes_up", "it ended the process, with exit status 9"),
    ],
)  # fmt: skip
def test_a_crash_is_reported(source, rule, said, kit, oneiric_project):
    """Whatever a kit does to its process, the command says so, and in which rule."""
    kit(source)

    done = oneiric_project.oneiric("check", "lamp", "--timeout", "2" if "within 2" in said else "60")

    assert done.code == 6, done.out + done.err
    assert f"{rule}: " in done.out
    assert said in done.out
    assert "Traceback" not in done.err


def test_what_a_kit_prints_is_not_the_answer(kit, oneiric_project):
    """Nothing that it writes, in whatever way, comes between the lines of the command."""
    kit("import os\nos.write(1, b'noise\\n')\nprint('more noise')\n" + GOOD)

    done = oneiric_project.oneiric("check", "lamp", "--json")

    assert done.json["kits"][0]["broken"] == 1
    assert done.err == ""


def test_pytest_is_not_needed(kit, oneiric_project):
    """Where pytest cannot be imported, the command works."""
    kit(GOOD)
    oneiric_project.write("../site/pytest.py", "raise ImportError('there is no pytest')")

    assert oneiric_project.oneiric("check", "lamp").code == 0


@pytest.mark.parametrize("plugin", ["cache.memory", "cache.disk"])
def test_what_is_built_in(plugin, oneiric_project):
    """The built-in candidates keep what every kit promises."""
    done = oneiric_project.oneiric("check", f"oneiric.plugins.{plugin}")

    assert done.code == 0, done.out


def test_the_working_directory_is_left_alone(kit, oneiric_project):
    """Nothing is written into the kit, nor beside it."""
    kit(GOOD)
    before = sorted(oneiric_project.path.rglob("*"))

    oneiric_project.oneiric("check", "lamp", PYTHONDONTWRITEBYTECODE="1")

    assert sorted(oneiric_project.path.rglob("*")) == before
    assert list(oneiric_project.site.iterdir()) == []
