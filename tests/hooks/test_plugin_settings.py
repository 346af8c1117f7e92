"""A slip in a plugin's settings is told with the user's own line, wherever it is told."""

import os
import sys
from textwrap import dedent

import pytest
from click.testing import CliRunner
from oneiric_hookspecs import PluginError, Problem, SettingsError, hookimpl, observes

from oneiric import assemble
from oneiric.cli import main
from oneiric.hooks import HookManager

LOG = """
    import attrs
    from oneiric_hookspecs import hookimpl

    class Log:
        @attrs.frozen
        class Settings:
            level: int = 0
            name: str = "log"

        def __init__(self, context):
            self.settings = context.settings

        @hookimpl
        def oneiric_started(self):
            "Nothing."

    class Settings:
        "Of a candidate, as modules often have them."

    @hookimpl
    def oneiric_started():
        "Nothing."
"""

ONE = '[app]\nplugins = ["shop_log:Log"]\n\n[plugins.settings."shop_log:Log"]\nlevl = 1\n'
TWO = ONE + "name = 3\n"

UNKNOWN = 'plugins.settings."shop_log:Log".levl: unknown key (did you mean level?)'
EXPECTED = 'plugins.settings."shop_log:Log".name: expected a text, found 3'


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A working directory with the plugin; what is imported from it is forgotten afterwards."""
    (tmp_path / "shop_log.py").write_text(dedent(LOG))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in [name for name in os.environ if name.startswith("ONEIRIC")]:
        monkeypatch.delenv(name)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("shop_log", None)


@pytest.fixture
def file(site):
    """The settings' file, with one slip."""
    path = site / "oneiric.toml"
    path.write_text(ONE)
    return path


def test_a_record_says_which_line_is_wrong(file):
    """Reason, error and place are those of the problem; the settings' own error is the cause."""
    runtime = assemble(file, environment=False)

    record = runtime.hooks.plugin("shop_log:Log")
    assert (record.state, record.reason, record.where) == ("failed", f"{file}:5: {UNKNOWN}", f"{file}:5")
    assert str(record.error) == f"plugin shop_log:Log: {UNKNOWN} ({file}:5)"
    assert isinstance(record.error.__cause__, SettingsError)


def test_a_failed_plugins_table_is_not_said_to_be_nobodys(file):
    """What it would have taken is its own matter: there is no second warning about it."""
    assert assemble(file, environment=False).settings.warnings == ()


def test_a_table_of_a_plugin_that_is_off_is_not_said_to_be_nobodys(file):
    """Switching it off does not ask for its settings to be removed."""
    runtime = assemble(file, off=["shop_log:Log"], environment=False)
    assert (runtime.hooks.plugin("shop_log:Log").state, runtime.settings.warnings) == ("off", ())


def test_every_problem_is_told_with_its_line(file):
    """The first first, the others below it."""
    file.write_text(TWO)

    record = assemble(file, environment=False).hooks.plugin("shop_log:Log")

    assert record.reason == f"{file}:5: {UNKNOWN}; {file}:6: {EXPECTED}"
    assert str(record.error) == (
        f"plugin shop_log:Log: {UNKNOWN} (and 1 more) ({file}:5)\n  {file}:6: {EXPECTED}"
    )


def test_strict_raises_all_of_it(file):
    """The same, as an error."""
    file.write_text(TWO)
    with pytest.raises(PluginError) as caught:
        assemble(file, environment=False, strict=True)
    assert str(caught.value) == (
        f"plugin shop_log:Log: {UNKNOWN} (and 1 more) ({file}:5)\n  {file}:6: {EXPECTED}"
    )


def test_settings_given_in_code_have_no_line(file):
    """They are told by their path alone, and not by a line that has nothing to do with them."""
    import shop_log

    file.write_text("[app]\n")
    runtime = assemble(file, environment=False)

    with pytest.raises(SettingsError) as caught:
        runtime.plug(shop_log.Log, "log", settings={"levl": 1})
    assert str(caught.value) == "plugins.settings.log.levl: unknown key (did you mean level?)"
    assert runtime.plug(shop_log.Log, "log").plugin.settings.level == 0
    runtime.unplug("log")
    assert runtime.plug(shop_log.Log, "log", settings={"level": 2}).plugin.settings.level == 2


def test_the_command_line_says_which_line_is_wrong(file):
    """Below the table of plugins, about the plugin, and in the warning of every other command."""
    listed, others = CliRunner().invoke(main, ["plugins"]), CliRunner().invoke(main, ["list"])
    info = CliRunner().invoke(main, ["plugins", "info", "shop_log:Log"])

    row, *reason = [line for line in listed.stdout.splitlines() if line.startswith("shop_log:Log")]
    assert (row.split()[2], reason) == ("failed", [f"shop_log:Log failed: {UNKNOWN}"])
    assert f"  {file}:5" in listed.stdout.splitlines()
    assert f"reason  {UNKNOWN}" in info.stdout
    assert f"where   {file}:5" in info.stdout
    warnings = [line for line in others.stderr.splitlines() if line.startswith("warning:")]
    assert warnings == [f"warning: plugin shop_log:Log failed: {UNKNOWN} ({file}:5)"]


def test_only_a_class_with_settings_takes_a_table(file):
    """A module's ``Settings`` belong to its candidates, so it is not what was meant."""
    file.write_text('[app]\nplugins = ["shop_log"]\n[plugins.settings.shop_lgo]\nlevel = 1\n')
    with pytest.raises(SettingsError) as caught:
        assemble(file, environment=False)
    (problem,) = caught.value.problems
    assert (problem.path, problem.message) == ("plugins.settings.shop_lgo", "no plugin takes these settings")
    assert problem.hint.startswith("there are: ")  # built-in ones that do

    file.write_text('[app]\nplugins = ["shop_log:Log"]\n[plugins.settings."shop_lgo:Log"]\nlevel = 1\n')
    with pytest.raises(SettingsError) as caught:
        assemble(file, environment=False)
    assert caught.value.problems[0].hint == "did you mean shop_log:Log?"


# --- the manager alone -------------------------------------------------------------------------------------------


@observes
def till_sold():
    """Learn of a sale."""


class Till:
    """It fails by itself, with an error of settings that says nothing, or something."""

    problems: tuple = ()

    def __init__(self, context):
        raise SettingsError(self.problems)

    @hookimpl
    def till_sold(self):
        """Nothing."""


@pytest.mark.parametrize(
    ("problems", "reason", "where"),
    [
        ((Problem("a", "is wrong", "shop.toml:3"),), "shop.toml:3: a: is wrong", "shop.toml:3"),
        ((Problem("a", "is wrong"),), "a: is wrong", None),
        ((), "SettingsError: the settings have 0 problems", "here"),
    ],
)
def test_an_error_of_settings_in_a_plugins_own_code_is_told_alike(monkeypatch, problems, reason, where):
    """Whoever raises it; one without problems is told by its text, and its line of code."""
    monkeypatch.setattr(Till, "problems", problems)
    module = type(sys)("till_of_tests")
    module.Till = Till
    monkeypatch.setitem(sys.modules, "till_of_tests", module)
    manager = HookManager("till")
    manager.add_specs(till_sold)

    (record,) = manager.load(["till_of_tests:Till"])

    line = Till.__init__.__code__.co_firstlineno
    class_place, raised_at = f"{__file__}:{line}", f"{__file__}:{line + 1}"
    assert (record.state, record.reason) == ("failed", reason)
    assert record.where == {"here": raised_at, None: class_place}.get(where, where)
