"""The fixtures that pytest finds wherever Oneiric is installed."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import pytest
from oneiric_hookspecs import Candidate, FactoryError, Key, hookimpl

LAMP = Key.of("adapter", "lamp")


class Lamp:
    """A plugin whose part can be told to close badly, or not at all."""

    ending = None

    @hookimpl
    def oneiric_candidates(self):
        yield Candidate(LAMP, "desk", self.make, close=self.close, summary="gives light")

    async def make(self):
        return "light"

    async def close(self, _):
        if self.ending is not None:
            raise self.ending


class Broken(Lamp):
    ending = OSError("stuck")


# --- the plugin itself ---------------------------------------------------------------------------------------------

LOADED = """
import sys
import pytest

before = set(sys.modules)
code = pytest.main(["--co", "-q", "-p", "no:cacheprovider"])
print(sorted({name.partition(".")[0] for name in sys.modules if name.startswith(("oneiric", "pytest_oneiric"))}))
print([name for name in sys.modules if name.startswith("pytest_oneiric.")])
"""


def test_pytest_loads_no_more_than_the_fixtures(oneiric_project):
    """A project that has Oneiric installed and does not test with it pays for one module, and none of ours else."""
    done = oneiric_project.python("-c", LOADED)

    assert done.code == 0, done.err
    assert done.out.splitlines()[-2:] == ["['pytest_oneiric']", "[]"]


def test_the_module_imports_pytest_alone():
    """Nothing else is imported where the fixtures are defined, but for types."""
    import ast

    import pytest_oneiric

    tree = ast.parse(Path(pytest_oneiric.__file__).read_text())
    imported = [
        name
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([each.name for each in node.names] if isinstance(node, ast.Import) else [node.module])
    ]

    assert imported == ["__future__", "collections.abc", "typing", "pytest"]


def test_each_fixture_is_documented(oneiric_project):
    """``pytest --fixtures`` says of each what it is."""
    done = oneiric_project.pytest("--fixtures", "-q", "-p", "no:cacheprovider")
    lines = done.out.splitlines()
    ours = {
        line.split()[0]: lines[number + 1].strip()
        for number, line in enumerate(lines)
        if "pytest_oneiric/" in line
    }

    assert set(ours) == {"oneiric_cli", "oneiric_clock", "oneiric_project", "oneiric_runtime"}
    assert all(text and text != "no docstring available" for text in ours.values())


# --- oneiric_runtime -----------------------------------------------------------------------------------------------


def test_a_runtime_in_a_test_that_is_not_async(oneiric_runtime):
    """Used by ``with ....blocking``."""
    with oneiric_runtime(plugins=[Lamp]).blocking as runtime, runtime.use(*LAMP) as lamp:
        assert lamp == "light"


def test_a_runtime_in_an_async_test(oneiric_runtime):
    """Used by ``async with``, on the test's own loop."""

    async def main():
        async with oneiric_runtime({"adapters": {"selections": {"lamp": "desk"}}}, [Lamp]) as runtime:
            async with runtime.use(*LAMP) as lamp:
                return lamp

    assert asyncio.run(main()) == "light"


def test_nothing_of_the_machine_is_in_it(oneiric_project):
    """Neither a kit that is installed, nor a settings file, nor a variable."""
    oneiric_project.kit("intruder", "raise RuntimeError('I was loaded')")
    oneiric_project.write("oneiric.toml", "[resolver]\nstack_order = 'intruder'\n")
    oneiric_project.write(
        "test_it.py",
        """
        import os

        def test_it(oneiric_runtime, tmp_path):
            runtime = oneiric_runtime()
            assert [each.name for each in runtime.hooks.plugins if each.origin != "builtin" and each.state != "off"] == []
            assert dict(runtime.settings.resolver.stack_order) == {}
            assert {name: text for name, text in os.environ.items() if name.startswith("ONEIRIC")} == {
                "ONEIRIC_STATE_DIR": str(tmp_path / "state")
            }
        """,
    )

    done = oneiric_project.pytest(
        "-q", "-p", "no:cacheprovider", ONEIRIC__RESOLVER__STACK_ORDER="other", ONEIRIC_X="1"
    )

    assert done.code == 0, done.out


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("asyncio.run(oneiric_runtime(plugins=[Lamp]).start())", "a runtime was left open"),
        ("with oneiric_runtime(plugins=[Broken]).blocking as r, r.use('adapter', 'lamp'): pass", "closing adapter:lamp desk ended as close_failed: OSError: stuck"),
        ("with oneiric_runtime(plugins=[Broken], checked=False).blocking as r, r.use('adapter', 'lamp'): pass", None),
        ("oneiric_runtime(plugins=[Lamp])", None),
    ],
)  # fmt: skip
def test_a_runtime_has_to_end_well(body, said, oneiric_project):
    """One that is left open, or whose parts do not close, is an error of the test that made it; unless it says so."""
    source = Path(__file__).read_text().partition("# --- the plugin itself")[0]
    oneiric_project.write("test_it.py", f"{source}\n\ndef test_it(oneiric_runtime):\n    {body}\n")

    done = oneiric_project.pytest("-q", "-p", "no:cacheprovider", "-W", "error")

    if said is None:
        assert done.code == 0, done.out
    else:
        assert done.code == 1
        assert "ERROR at teardown of test_it" in done.out
        assert said in done.out


# --- oneiric_cli ---------------------------------------------------------------------------------------------------


def test_a_command_in_this_process(oneiric_cli):
    """What it answers, as text and as JSON, and how it ended."""
    oneiric_cli.write("lamps.py", Path(__file__).read_text().partition("# --- the plugin itself")[0])
    oneiric_cli.write("oneiric.toml", '[app]\nplugins = ["lamps:Lamp"]\n')

    listed = oneiric_cli("list", "--json")
    explained = oneiric_cli("explain", "adapter", "lamp")
    wrong = oneiric_cli("explain", "adapter", "lump", "--json")

    assert listed.code == 0
    assert "lamp" in str(listed.json)
    assert explained.out.startswith("adapter:lamp is filled by desk")
    assert (wrong.code, wrong.out) == (3, "")
    assert "lamp" in wrong.error["hint"]


def test_a_command_leaves_this_process_as_it_was(oneiric_cli, request):
    """The working directory is the test's own; what was imported from it, and what a command logs to, is forgotten."""
    from pytest_oneiric.isolation import forgotten

    handlers, disabled, path = (
        list(logging.getLogger("oneiric").handlers),
        logging.root.manager.disable,
        list(sys.path),
    )
    oneiric_cli.write(
        "passing.py",
        "from oneiric_hookspecs import hookimpl\n\n@hookimpl\ndef oneiric_resolved():\n    pass\n",
    )

    with forgotten(oneiric_cli.path):
        assert oneiric_cli("plugins", "-p", "passing", "-q").code == 0
        assert "passing" in sys.modules

    assert "passing" not in sys.modules
    assert (list(logging.getLogger("oneiric").handlers), logging.root.manager.disable, sys.path) == (
        handlers,
        disabled,
        path,
    )
    assert Path.cwd() == oneiric_cli.path
    assert os.environ["ONEIRIC_STATE_DIR"] == str(oneiric_cli.path / "state")


def test_a_variable_and_an_input_for_one_command(oneiric_cli):
    """They are there for it, and for no other."""
    shown = oneiric_cli("list", "--json", env={"ONEIRIC__NOWHERE__NOTHING": "1"})

    assert shown.code == 5
    assert oneiric_cli("list", "--json").code == 0


# --- oneiric_clock -------------------------------------------------------------------------------------------------


def test_time_that_takes_no_time(oneiric_clock):
    """Sleeping for an hour is over at once, and the clock says so."""

    async def main():
        await asyncio.sleep(3600)
        return oneiric_clock.time()

    assert oneiric_clock.run(main) == 3600
    oneiric_clock.advance(60)
    assert oneiric_clock.time() == 3660


def test_time_of_a_runtime(oneiric_clock, oneiric_runtime):
    """A runtime keeps the time of the loop that it is entered on."""

    async def main():
        async with oneiric_runtime(plugins=[Lamp]) as runtime:
            before = runtime.clock.time()
            await asyncio.sleep(100)
            return runtime.clock.time() - before

    assert oneiric_clock.run(main()) == pytest.approx(100)


# --- oneiric_project -----------------------------------------------------------------------------------------------

KIT = """
from oneiric_hookspecs import Candidate, Key, hookimpl

async def create():
    return object()

@hookimpl
def oneiric_candidates():
    yield Candidate(Key.of("adapter", "lamp"), "desk", create, summary="gives light")
"""


def test_a_kit_that_is_installed_for_one_test(oneiric_project):
    """It is made and installed, and a process of its own finds it as it would any other."""
    folder = oneiric_project.kit("lamp", KIT)

    listed = oneiric_project.oneiric("plugins", "--json")
    checked = oneiric_project.oneiric("check", "lamp")

    assert (folder / "oneiric_lamp" / "py.typed").is_file()
    found = next(each for each in listed.json["plugins"] if each["name"] == "lamp")
    assert (found["state"], found["distribution"], found["version"]) == ("on", "oneiric-lamp", "1.0")
    assert found["where"].startswith(str(oneiric_project.site))
    assert checked.code == 0, checked.out


def test_a_kit_that_is_not_installed(oneiric_project):
    """It is made, and nobody finds it."""
    oneiric_project.kit("lamp", KIT, install=False)

    assert "lamp" not in oneiric_project.oneiric("list").out


def test_a_class_and_more_files_and_other_groups(oneiric_project):
    """What a kit may have is installed with it: modules, and entry points of any group."""
    source = "from .parts import Lamp\n"
    folder = oneiric_project.kit("lamp", source, attribute="Lamp", files={"parts.py": PARTS}, install=False)
    about = folder / "pyproject.toml"
    about.write_text(
        about.read_text() + '[project.entry-points."oneiric.commands"]\nlight = "oneiric_lamp.parts:light"\n'
    )
    oneiric_project.install(folder)

    assert oneiric_project.oneiric("plugins", "--require", "lamp").code == 0
    assert oneiric_project.oneiric("light").out == "let there be light\n"


PARTS = """
import click
from oneiric_hookspecs import hookimpl

class Lamp:
    @hookimpl
    def oneiric_resolved(self):
        pass

@click.command()
def light():
    click.echo("let there be light")
"""


def test_an_error_of_a_candidate_is_the_tests_own(oneiric_runtime):
    """Nothing is swallowed on the way to the test."""

    class Dark(Lamp):
        async def make(self):
            raise LookupError("no bulb")

    with oneiric_runtime(plugins=[Dark]).blocking as runtime:
        with pytest.raises(FactoryError, match="no bulb"), runtime.use(*LAMP):
            pass
