"""The worked example, installed by path in an environment of its own, as its users have it."""

import subprocess
import sys
from importlib.metadata import entry_points
from textwrap import dedent

import pytest

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once

HOUSE = """
    from oneiric_hookspecs import Candidate, Key, hookimpl

    class Polite:
        async def greet(self, name):
            return f"good day, {name}"

    @hookimpl
    def oneiric_candidates():
        yield Candidate(Key.of("adapter", "greeter"), "polite", Polite, priority=-1)
"""
SETTINGS = """
    [app]
    plugins = ["house"]

    [plugins.settings.hello]
    canary = "Bo"
"""


@pytest.fixture(scope="module")
def kit(environment, checkout):
    """An environment with the kit."""
    environment.install(checkout / "contrib" / "hello")
    return environment


@pytest.fixture
def folder(tmp_path):
    """An application with a greeter of its own."""
    (tmp_path / "house.py").write_text(dedent(HOUSE))
    (tmp_path / "oneiric.toml").write_text(dedent(SETTINGS))
    return tmp_path


def parts(ended):
    """Who wins each key that is not built in."""
    return {
        f"{each['domain']}:{each['key']}": each["winner"]
        for each in ended.json["keys"]
        if each["candidates"][0]["origin"] != "builtin" or each["winner"] == "hello"
    }


def test_the_suite_sees_no_kit_that_is_installed_beside_it(tmp_path):
    """Neither this process, nor one that it starts: what is tested does not depend on who has installed what."""
    look = "from importlib.metadata import entry_points as e; print([*e(group='oneiric'), *e(group='oneiric.commands')])"
    done = subprocess.run(
        [sys.executable, "-P", "-c", look], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    here = [each.value for each in entry_points(group="oneiric")]
    assert (here, "hello" in done.stdout) == ([], False)


def test_what_is_installed_is_there(kit, tmp_path):
    """Installing is all there is to do: it is listed, on, and required with success."""
    listed = kit.run(tmp_path, "oneiric", "list", "--json")
    required = kit.run(tmp_path, "oneiric", "plugins", "--require", "hello", "--require", "oneiric-hello")

    assert parts(listed) == {
        "action:hello.greet": "hello",
        "adapter:greeter": "hello",
        "service:reception": "hello",
    }
    assert (required.code, required.err) == (0, "")
    (line,) = [line for line in required.out.splitlines() if line.startswith("hello ")]
    assert line.split()[:5] == ["hello", "oneiric-hello", "1.0.0", "on", "3"]


def test_the_applications_own_plugin_is_shown_beside_it(kit, folder):
    """A module that ``[app] plugins`` names is in list, explain and plugins."""
    listed = kit.run(folder, "oneiric", "list", "--domain", "adapter", "--json")
    explained = kit.run(folder, "oneiric", "explain", "adapter", "greeter")
    plugins = kit.run(folder, "oneiric", "plugins", "--json", "--require", "house")

    assert parts(listed)["adapter:greeter"] == "hello"
    assert explained.out.splitlines() == [
        "adapter:greeter is filled by hello: highest priority (0)",
        "",
        "    PROVIDER  PLUGIN  WHY                       WOULD WIN IF",
        "->  hello     hello   highest priority (0)",
        "    polite    house   priority -1 < 0 of hello  priority at least 0",
    ]
    origins = {each["name"]: (each["origin"], each["state"]) for each in plugins.json["plugins"]}
    assert (origins["hello"], origins["house"]) == (("installed", "on"), ("application", "on"))


def test_it_is_swapped_to_and_away(kit, folder):
    """Its candidate takes part in swaps like any other, and its canary check takes part in everybody's."""
    (folder / "swaps.py").write_text(
        dedent("""
        import asyncio

        from oneiric import assemble

        async def main():
            async with assemble("oneiric.toml") as runtime:
                for provider in ("polite", "hello"):
                    report = await runtime.swap("adapter", "greeter", provider)
                    async with runtime.use("adapter", "greeter") as greeter:
                        print(report.outcome, report.new, await greeter.greet("Ada"))

        asyncio.run(main())
        """)
    )

    done = kit.run(folder, "python", "swaps.py")

    assert (done.out.splitlines(), done.err) == (
        ["activated polite good day, Ada", "swapped hello hello Ada"],
        "",
    )


def test_its_command_is_a_word(kit, folder):
    """``--help`` says whose it is; the settings choose what it greets with."""
    helped = kit.run(folder, "oneiric", "--help")
    (folder / "oneiric.toml").write_text(
        '[app]\nplugins = ["house"]\n[adapters.selections]\ngreeter = "polite"\n'
    )
    greeted = kit.run(folder, "oneiric", "hello", "Ada", "Grace")

    assert "  hello  from oneiric-hello 1.0.0" in helped.out.splitlines()
    assert [line.split(None, 1) for line in greeted.out.splitlines()[1:]] == [
        ["Ada", "good day, Ada"],
        ["Grace", "good day, Grace"],
    ]


@pytest.mark.parametrize("name", ["hello", "oneiric-hello"])
def test_it_is_switched_off_by_a_word(name, kit, folder):
    """It stays listed, with who switched it off; what it declared is gone, and requiring it fails."""
    (folder / "oneiric.toml").write_text(f'[plugins]\noff = ["{name}"]\n')
    plugins = kit.run(folder, "oneiric", "plugins", "--json").json["plugins"]
    required = kit.run(folder, "oneiric", "plugins", "--require", "hello")

    assert [(each["state"], each["candidates"]) for each in plugins if each["name"] == "hello"] == [
        ("off", [])
    ]
    assert parts(kit.run(folder, "oneiric", "list", "--json")) == {}
    assert (required.code, required.out) == (3, "")
    assert required.err.startswith("error: required: hello is off: ")


def test_it_is_left_out_once(kit, tmp_path):
    """``-p no:hello`` is for this command alone."""
    assert parts(kit.run(tmp_path, "oneiric", "list", "--json", "-p", "no:hello")) == {}
    assert parts(kit.run(tmp_path, "oneiric", "list", "--json"))["adapter:greeter"] == "hello"


def test_removing_it_leaves_nothing(kit, checkout, folder):
    """Settings that were its own are an error that says so; without them everything else works."""
    kit.uninstall("oneiric-hello")
    try:
        left = kit.run(folder, "oneiric", "list")
        (folder / "oneiric.toml").write_text('[app]\nplugins = ["house"]\n')
        listed = kit.run(folder, "oneiric", "list", "--json")
        required = kit.run(folder, "oneiric", "plugins", "--require", "hello", "-q")
        word = kit.run(folder, "oneiric", "hello")
    finally:
        kit.install(checkout / "contrib" / "hello")

    assert (left.code, "plugins.settings.hello: no plugin takes these settings" in left.err) == (5, True)
    assert (listed.code, parts(listed)) == (0, {"adapter:greeter": "polite"})
    assert (required.code, required.err.splitlines()[0]) == (3, "error: required: hello is not there")
    assert (word.code, word.err.splitlines()[0]) == (2, "error: there is no command hello")
