"""``oneiric doctor``: each trouble is made for real, its remedy is followed as it is shown, and then all is well."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import oneiric
from oneiric.cli import doctor
from oneiric.cli.doctor import checking

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once

HOOK = "from oneiric_hookspecs import hookimpl\n\n@hookimpl\ndef oneiric_candidates():\n    return ()\n"


@pytest.fixture
def sick(folder):
    """A project that is well until a test has made it sick; its state, cache and home are its own."""
    folder.environment |= {
        "ONEIRIC_STATE_DIR": str(folder.path / "state"),
        "XDG_CACHE_HOME": str(folder.path / "cache"),
    }
    return folder


def kit(folder, name="kit", source=HOOK, **metadata):
    """An installed kit of one plugin."""
    folder.write(f"site/{name}_module.py", source)
    folder.distribution(f"{name}-dist", oneiric={name: f"{name}_module"})
    if metadata:
        about = folder.path / "site" / f"{name}_dist-1.0.dist-info" / "METADATA"
        about.write_text(
            about.read_text() + "".join(f"{k.replace('_', '-')}: {v}\n" for k, v in metadata.items())
        )


def examined(folder, *words):
    """What the doctor says: the exit code, and its findings by id."""
    ended = folder.spawn("doctor", "--json", *words)
    assert ended.err == "", ended.err
    body = ended.json
    assert body["schema"] == "oneiric/doctor/1"
    assert {each["id"] for each in body["findings"]} | set(body["ok"]) == {
        each.id for each in checking.all_checks()
    }
    return ended.code, {each["id"]: each for each in body["findings"]}


def follow(folder, command):
    """Do what a pasted command would do; what would change the machine is done in the test's own folder."""
    first, *rest = shlex.split(command)
    if first == "oneiric":
        ended = folder.spawn(*rest)
        assert ended.code == 0, ended.err
    elif first == "unset":
        del folder.environment[rest[0]]
    elif first == "export":
        name, _, value = rest[0].partition("=")
        folder.environment[name] = value
    elif first == "pip" and rest[0] == "install" and "--upgrade" not in rest:
        name, _, version = rest[1].partition(">=")
        folder.write(f"site/{name.replace('-', '_')}.py", "")
        folder.distribution(name, version=version or "1.0")
    elif first == "pip" and rest[0] == "uninstall":
        for each in (folder.path / "site").glob(f"{rest[1].replace('-', '_')}-*.dist-info"):
            shutil.rmtree(each)
    else:
        subprocess.run(["sh", "-c", command], cwd=folder.path, env=folder.environment, check=True)


def test_all_is_well(sick):
    """Nothing is found, in a folder without anything; and nothing is made there."""
    assert examined(sick) == (0, {})
    assert [path.name for path in sick.path.iterdir()] == []
    assert sick.spawn("doctor").out == f"ok    {len(checking.all_checks())} checks\n"


# --- each trouble -------------------------------------------------------------------------------------------------


def crashes(folder):
    kit(folder, source="import os\nos._exit(3)\n")


def hangs(folder):
    kit(folder, source="import time\ntime.sleep(600)\n")


def crashes_later(folder):
    kit(folder, source=HOOK.replace("return ()", "import os; os._exit(9)"))


def misses_a_library(folder):
    kit(folder, source="import nolib.client\n", Requires_Dist="NoLib>=2")


def misses_something(folder):
    kit(folder, source="import nolib2\n")


def raises(folder):
    kit(folder, source="x = 1\nraise ValueError('no licence')\n")


def twice(folder):
    kit(folder, "one")
    folder.distribution("two-dist", oneiric={"one": "two_module"})
    folder.write("site/two_module.py", HOOK)


def lint(folder):
    folder.write("oneiric.toml", '[app]\nplugins = ["slip"]\n')
    folder.write("slip.py", HOOK + "\ndef oneiric_swapped(report):\n    pass\n")


def slow(folder):
    kit(folder, source=HOOK + "\nimport time\ntime.sleep(0.35)\n")


def hidden(folder):
    folder.write("oneiric.toml", '[app]\nplugins = ["shop"]\n')
    folder.write("shop.py", HOOK)
    folder.write("site/shop.py", HOOK)
    folder.environment["PYTHONPATH"] += os.pathsep + str(folder.path / "site")


def same_word(folder):
    folder.distribution("one-dist", oneiric_commands={"redis": "click:echo"})
    folder.distribution("two-dist", oneiric_commands={"redis": "click:echo"})


def invalid(folder):
    folder.write("oneiric.toml", '[lifecycle]\ncreate_timeout = "long"\nprobaton = 3\n')


def invalid_variable(folder):
    folder.environment["ONEIRIC__LIFECYCLE__PROBATON"] = "3"


def refused(folder):
    folder.write("oneiric.toml", "")


def undeclared(folder):
    folder.write("oneiric.toml", '[plugins]\noff = ["cache.disk"]\n\n[adapters.settings.cache.dsk]\nx = 1\n')


def unknown_plugin(folder):
    folder.write("oneiric.toml", '[plugins]\noff = ["cache.dsk"]\n')


def variable(folder):
    folder.environment["ONEIRIC_CONFG"] = "x.toml"


def selection(folder):
    folder.write("oneiric.toml", '[adapters.selections]\ncach = "memory"\n')


SECRET = """
import attrs
from oneiric_hookspecs import Candidate, Key, Secret, hookimpl

@attrs.frozen
class Settings:
    password: Secret = Secret("")

async def create(settings):
    return object()

@hookimpl
def oneiric_candidates():
    yield Candidate(Key.of("service", "db"), "pg", create, settings_class=Settings)
"""


def plain(folder):
    folder.write("shop.py", SECRET)
    folder.write(
        "oneiric.toml", '[app]\nplugins = ["shop"]\n\n[services.settings.db.pg]\npassword = "canary-4711"\n'
    )


def _refers(folder, source):
    folder.write("shop.py", SECRET)
    folder.write(
        "oneiric.toml",
        f'[app]\nplugins = ["shop"]\n\n[secrets]\ndb = "{source}"\n\n'
        '[services.settings.db.pg]\npassword = { "$secret" = "db" }\n',
    )


def missing(folder):
    _refers(folder, "env:DB_PASSWORD")


def missing_file(folder):
    _refers(folder, f"file:{folder.path}/db password")


def open_to_others(folder):
    _refers(folder, f"file:{folder.path}/db")
    folder.write("db", "canary-4711\n").chmod(0o644)


def damaged_switches(folder):
    kit(folder)
    folder.write("state/plugins.toml", "[off\n")


def switches_are_a_folder(folder):
    kit(folder)
    (folder.path / "state/plugins.toml").mkdir(parents=True)


def unfilled(folder):
    folder.write("oneiric.toml", '[app]\nplugins = ["shop"]\n')
    folder.plugin("shop", 'Candidate(Key.of("service", "mail"), "smtp", create, distributions=["nolib3>=2"])')


def unfilled_by_selection(folder):
    folder.write("oneiric.toml", '[adapters.selections]\ncache = "dsk"\n')


def tied(folder):
    folder.write("oneiric.toml", '[app]\nplugins = ["one", "two"]\n')
    folder.plugin("one", 'Candidate(Key.of("service", "mail"), "smtp", create)')
    folder.plugin("two", 'Candidate(Key.of("service", "mail"), "local", create)')


def contract(folder):
    folder.distribution("oneiric-hookspecs", version="9.0")
    _first(folder)


def _first(folder):
    """What lies in site hides what is installed."""
    folder.environment["PYTHONPATH"] = os.pathsep.join(
        [str(folder.path / "site"), folder.environment["PYTHONPATH"]]
    )


def old_kit(folder):
    kit(folder, Requires_Dist="oneiric-hookspecs>=7,<8")


def python_kit(folder):
    kit(folder, Requires_Python=">=4")


def foreign(folder):
    folder.distribution("oneiric", version="0.17.2")
    _first(folder)


def two_of_us(folder):
    folder.write("site/oneiric/__init__.py", "")
    folder.environment["PYTHONPATH"] += os.pathsep + str(folder.path / "site")


def state_is_a_file(folder):
    folder.write("state", "")


def damaged_state(folder):
    _use_state(folder)
    (file,) = (folder.path / "state").glob("state.db")
    data = bytearray(file.read_bytes())
    data[4096:] = b"\x5a" * (len(data) - 4096)
    file.write_bytes(bytes(data))


def set_aside(folder):
    damaged_state(folder)
    _use_state(folder)


USE_STATE = """
import asyncio, oneiric

async def main():
    async with oneiric.assemble() as runtime:
        await runtime.state.put("x", 1)

asyncio.run(main())
"""


def _use_state(folder):
    done = subprocess.run(
        [sys.executable, "-P", "-c", USE_STATE],
        cwd=folder.path,
        env=folder.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def no_zones(folder):
    folder.environment["PYTHONTZPATH"] = ""
    folder.write("site/tzdata.py", "")  # the package of that name may be installed here; this is none
    folder.environment["PYTHONPATH"] += os.pathsep + str(folder.path / "site")


def bisecting(folder):
    folder.environment["ONEIRIC_BISECT_OFF"] = "kit-dist:kit"


def rewrite(name, old, new):
    """The edit that is meant."""

    def edit(folder, finding):
        path = folder.path / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return edit


def paste(folder, finding):
    """The command that is shown."""
    follow(folder, finding["command"])


def upgrade(folder, finding):
    """What an upgrade would bring."""
    assert finding["command"] == "pip install --upgrade kit-dist"
    shutil.rmtree(folder.path / "site" / "kit_dist-1.0.dist-info")
    kit(folder)


def put_in_place(folder, finding):
    """The command of a shell, which reads the secret from its input."""
    command = finding["command"]
    subprocess.run(["sh", "-c", command], cwd=folder.path, input="s3cret\n", text=True, check=True)


def start(folder, finding):
    """The next start does it."""
    assert "at the next start" in finding["edit"]
    _use_state(folder)
    for each in (folder.path / "state").glob("*.corrupt-*"):
        each.unlink()


def put_the_zones_back(folder, finding):
    assert finding["command"] == "pip install tzdata"
    del folder.environment["PYTHONTZPATH"]
    (folder.path / "site/tzdata.py").unlink()


#: Id, what makes it, its severity, what is said and where (``~`` is the folder), its command or edit, and what follows it.
TROUBLES = [
    ("plugin-crashes", crashes, "fail", "importing the plugin kit of kit-dist ends its process, with exit 3; it was left out here", None, "oneiric plugins off kit", paste),
    ("plugin-crashes", hangs, "fail", "importing the plugin kit of kit-dist takes longer than 3 s, or never comes back; it was left out here", None, "oneiric plugins off kit", paste),
    ("plugin-crashes", crashes_later, "fail", "importing the plugin kit of kit-dist ends its process, with exit 9; it was left out here", None, "oneiric plugins off kit", paste),
    ("plugin-failed", misses_a_library, "fail", "the plugin kit of kit-dist 1.0 failed: ModuleNotFoundError: No module named 'nolib'", "~/site/kit_module.py:1", "pip install 'NoLib>=2'", None),
    ("plugin-failed", misses_something, "fail", "the plugin kit of kit-dist 1.0 failed: ModuleNotFoundError: No module named 'nolib2'", "~/site/kit_module.py:1", "pip install nolib2", paste),
    ("plugin-failed", raises, "fail", "the plugin kit of kit-dist 1.0 failed: ValueError: no licence", "~/site/kit_module.py:2", "oneiric plugins off kit", paste),
    ("plugin-twice", twice, "fail", "two plugins are named one: of one-dist 1.0, and of two-dist 1.0, which is not asked", "~/site/two_dist-1.0.dist-info/entry_points.txt:2", "oneiric plugins off two-dist", paste),
    ("plugin-lint", lint, "warn", "the plugin slip: W102 oneiric_swapped is named like a hook and not marked", "~/slip.py:7", "write @hookimpl above it", rewrite("slip.py", "def oneiric_swapped(report)", "@hookimpl\nasync def oneiric_swapped(report)")),
    ("plugin-slow", slow, "warn", "loading the plugin kit of kit-dist 1.0 takes # ms of every start", "~/site/kit_module.py:1", None, rewrite("site/kit_module.py", "time.sleep(0.35)", "")),
    ("plugin-hidden", hidden, "warn", "the module shop that lies beside the settings is hidden by ~/site/shop.py", "oneiric.toml:2", "rename ~/shop.py, and what [app] plugins says", lambda folder, _: (folder.path / "shop.py").rename(folder.path / "store.py") and rewrite("oneiric.toml", "shop", "store")(folder, _)),
    ("command-twice", same_word, "fail", "the command redis is brought by one-dist 1.0 and two-dist 1.0, and works for neither", None, "pip uninstall two-dist", paste),
    ("settings-invalid", invalid_variable, "fail", "ONEIRIC__LIFECYCLE__PROBATON: names no setting", "ONEIRIC__LIFECYCLE__PROBATON", "unset ONEIRIC__LIFECYCLE__PROBATON", paste),
    ("settings-undeclared", undeclared, "warn", "adapters.settings.cache.dsk: no candidate of 'cache' has the provider 'dsk'", "oneiric.toml:4", None, rewrite("oneiric.toml", "[adapters.settings.cache.dsk]\nx = 1", "")),
    ("settings-plugin-unknown", unknown_plugin, "warn", "plugins.off: there is no plugin 'cache.dsk'", "oneiric.toml:2", "did you mean cache.disk?", rewrite("oneiric.toml", "dsk", "disk")),
    ("settings-variable-unknown", variable, "warn", None, "ONEIRIC_CONFG", "unset ONEIRIC_CONFG", paste),
    ("selection-unfilled", selection, "warn", "adapters.selections.cach: nobody fills adapter:cach", "oneiric.toml:2", "did you mean cache?", rewrite("oneiric.toml", "cach ", "cache ")),
    ("secret-plain", plain, "warn", "services.settings.db.pg.password holds a secret as a text", "oneiric.toml:5", None, lambda folder, _: _refers(folder, "env:HOME")),
    ("secret-missing", missing, "fail", "the secret db: the variable DB_PASSWORD is not set", "oneiric.toml:5", "export DB_PASSWORD=...", paste),
    ("secret-missing", missing_file, "fail", "the secret db: there is nothing in ~/db password", "oneiric.toml:5", "(umask 077; cat > '~/db password')", put_in_place),
    ("secret-refused", open_to_others, "fail", "the secret db: ~/db is open to others (mode 0644)", "oneiric.toml:5", "chmod 600 ~/db", paste),
    ("switches-damaged", damaged_switches, "fail", None, None, "rm ~/state/plugins.toml", paste),
    ("switches-damaged", switches_are_a_folder, "fail", None, None, "rm -r ~/state/plugins.toml", paste),
    ("key-unfilled", unfilled, "fail", "no candidate fills service:mail left out: smtp: eligibility: nolib3 is not installed", None, "pip install 'nolib3>=2'", paste),
    ("key-unfilled", unfilled_by_selection, "fail", "no candidate fills adapter:cache with provider 'dsk' (set by the settings)", "oneiric.toml:2", "oneiric explain adapter cache", rewrite("oneiric.toml", "dsk", "disk")),
    ("key-tied", tied, "warn", "service:mail goes to local of two only because smtp of one was registered before it", None, 'write mail = "local" into [services.selections], or give one a priority', lambda folder, _: folder.write("oneiric.toml", '[app]\nplugins = ["one", "two"]\n\n[services.selections]\nmail = "local"\n')),
    ("version-contract", contract, "fail", "oneiric 1.0.0 requires oneiric-hookspecs<1.1,>=1.0, and 9.0 is installed", "~/site/oneiric_hookspecs-9.0.dist-info", "pip install 'oneiric-hookspecs<1.1,>=1.0'", lambda folder, _: shutil.rmtree(folder.path / "site")),
    ("version-kit", old_kit, "fail", "kit-dist 1.0 requires oneiric-hookspecs<8,>=7, and 1.0.0 is installed", "~/site/kit_dist-1.0.dist-info", "pip install --upgrade kit-dist", upgrade),
    ("version-kit", python_kit, "fail", None, "~/site/kit_dist-1.0.dist-info", "pip install --upgrade kit-dist", upgrade),
    ("version-foreign", foreign, "fail", "oneiric 1.0.0 is imported, and the distribution oneiric 0.17.2 is installed, which is another project's", "~/site/oneiric-0.17.2.dist-info", "pip uninstall oneiric", paste),
    ("installed-twice", two_of_us, "warn", None, "~/site/oneiric", None, lambda folder, _: shutil.rmtree(folder.path / "site" / "oneiric")),
    ("state-directory", state_is_a_file, "fail", None, None, "mv ~/state ~/state.aside", paste),
    ("state-store", damaged_state, "fail", None, None, None, start),
    ("state-store", set_aside, "warn", "it was damaged, and set aside; what was in it is not in force", None, "rm ~/state/", paste),
    ("time-zones-missing", no_zones, "warn", "there are no data of time zones", None, "pip install tzdata", put_the_zones_back),
    ("bisect-left-over", bisecting, "warn", "ONEIRIC_BISECT_OFF leaves out kit-dist:kit", "ONEIRIC_BISECT_OFF", "unset ONEIRIC_BISECT_OFF", paste),
]  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLES, ids=[f"{id_}-{made.__name__}" for id_, made, *_ in TROUBLES])
def test_trouble(sick, trouble):
    """It is found, with what mends it; and when that is done, it is gone, and nothing else has come."""
    id_, make, severity, said, where, mend, follows = trouble
    make(sick)
    words = ["--timeout", "3"] if make is hangs else []
    code, found = examined(sick, *words)

    home = str(sick.path)
    assert id_ in found, found
    finding = found[id_]
    assert (code, finding["severity"]) == (6 if severity == "fail" else 0, severity)
    if said is not None:
        assert re.sub(r"\d+ ms", "# ms", finding["said"]) == said.replace("~", home)
    if where is not None:
        assert finding["where"] in {where.replace("~", home), f"{home}/{where}"}
    if mend is not None:
        shown = [text for text in (finding["command"], finding["edit"]) if text]
        assert any(text.startswith(mend.replace("~", home)) for text in shown), shown
    assert finding["command"] or finding["edit"]
    assert "canary" not in str(found)

    if follows is not None:
        follows(sick, finding)
        code, left = examined(sick, *words)
        assert id_ not in left, left
        assert code == 0, left


def test_every_check_has_a_trouble():
    """One that nothing here provokes would be one that nobody has seen work."""
    rare = {"settings-refused", "plugin-deprecated"}  # below
    assert {each.id for each in checking.all_checks()} - {id_ for id_, *_ in TROUBLES} == rare


def test_ids_are_one_check_each():
    """A finding's id says which check it is of."""
    ids = [each.id for each in checking.all_checks()]

    assert len(ids) == len(set(ids))
    assert all(each.looks_for and each.mends for each in checking.all_checks())


def test_deprecated(sick, monkeypatch):
    """A plugin that implements what is going to go is told since when, until when, and what instead."""
    import types

    import attrs
    from oneiric_hookspecs import Deprecation, hookimpl, observes

    from oneiric.cli.context import Context
    from oneiric.cli.doctor.patient import Patient

    @observes
    def oneiric_old():
        """Old."""

    oneiric_old = attrs.evolve(oneiric_old, deprecated=Deprecation("1.1", "2.0", "oneiric_swapped"))

    @hookimpl
    def implementation():
        """Mine."""

    monkeypatch.setenv("ONEIRIC_STATE_DIR", str(sick.path / "state"))
    kit = types.SimpleNamespace(oneiric_old=implementation)
    patient = Patient(Context(), 5)
    patient.runtime.hooks.add_specs(oneiric_old)
    with pytest.warns(DeprecationWarning):
        patient.runtime.hooks.register(kit, "kit")
    checks = [each for each in checking.all_checks() if each.id == "plugin-deprecated"]
    (found,) = checking.examine(patient, checks)
    patient.close()

    assert (found.severity, found.trouble.said) == (
        "warn",
        "the plugin kit: D201 the hook oneiric_old is deprecated since 1.1, gone in 2.0; use oneiric_swapped",
    )


def test_all_problems_of_the_settings_and_what_else_there_is(sick):
    """Settings that are not valid hide nothing: every problem is a finding, and the plugins are looked at."""
    invalid(sick)
    kit(sick, source="import nolib4\n")
    with (sick.path / "oneiric.toml").open("a") as file:
        file.write("\n[adapters.selections]\ncache = 7\n")
    ended = sick.spawn("doctor", "--json")

    said = [(each["id"], each["said"].partition(":")[0], each["where"]) for each in ended.json["findings"]]
    place = str(sick.path / "oneiric.toml")
    assert said == [
        ("settings-invalid", "lifecycle.create_timeout", f"{place}:2"),
        ("settings-invalid", "lifecycle.probaton", f"{place}:3"),
        ("settings-invalid", "adapters.selections.cache", f"{place}:6"),
        (
            "plugin-failed",
            "the plugin kit of kit-dist 1.0 failed",
            str(sick.path / "site" / "kit_module.py") + ":1",
        ),
    ]
    assert (ended.code, ended.err) == (6, "")


@pytest.mark.parametrize("content", ["[nonsense\n", b"\xff\xfe", "x = " + "[" * 2000])
def test_settings_that_cannot_be_read(sick, content):
    """Other checks go on; what is installed is not loaded, as nobody knows what was to be left out."""
    kit(sick, source="raise ValueError\n")
    (sick.path / "oneiric.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, found = examined(sick)

    assert (code, list(found)) == (6, ["settings-invalid"])


def test_settings_file_that_is_not_there(sick):
    """The variable that names it is what is to be mended."""
    sick.environment["ONEIRIC_CONFIG"] = "nowhere.toml"
    code, found = examined(sick)

    assert (code, list(found)) == (6, ["settings-invalid"])
    assert found["settings-invalid"]["said"].endswith("there is no such file")


def test_a_guard_that_was_to_be_left_out(sick):
    """What no runtime would be assembled with is said, and the rest is looked at."""
    code, found = examined(sick, "-p", "no:precedence")

    assert (code, list(found)) == (6, ["settings-refused"])
    assert found["settings-refused"]["said"] == "precedence is always on, and cannot be switched off"


def test_several_kits_that_crash(sick):
    """Each is named."""
    for name in ("one", "two", "three"):
        kit(sick, name, source=f"import os\nos.kill(os.getpid(), {len(name)})\n")
    kit(sick, "good")
    ended = sick.spawn("doctor", "--json")

    crashed = [each["command"] for each in ended.json["findings"] if each["id"] == "plugin-crashes"]
    assert sorted(crashed) == [f"oneiric plugins off {name}" for name in ("one", "three", "two")]
    for each in crashed:
        follow(sick, each)
    assert examined(sick) == (0, {})


def test_a_check_that_goes_wrong(sick, monkeypatch, folder):
    """It is a finding itself, says nothing of what it has read, and the others go on."""

    def broken(patient):
        yield checking.Trouble("one", edit="x")
        raise ValueError("canary-4711")

    monkeypatch.setattr(
        checking, "CHECKS", [*checking.all_checks()[:3], checking.Check("odd", "warn", "x", broken)]
    )
    for name in ("ONEIRIC_STATE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, sick.environment[name])
    ended = folder.run("doctor", "--json")

    one, bug = ended.json["findings"]
    assert (ended.code, one["said"], bug["id"], bug["severity"]) == (6, "one", "check-broken", "fail")
    assert bug["said"] == "the check odd itself went wrong: ValueError"
    assert (bug["where"].rpartition(":")[0], "canary" in ended.out) == (__file__, False)


def test_people_see_what_to_paste(sick):
    """Failures first; a command whole on a line of its own, however narrow the terminal is."""
    raises(sick)
    tied(sick)
    ended = sick.spawn("doctor", COLUMNS="60")

    home = sick.path
    assert ended.out == (
        "fail  plugin-failed\n"
        "      the plugin kit of kit-dist 1.0 failed: ValueError: no\n"
        "      licence\n"
        f"      at {home}/site/kit_module.py:2\n"
        "      $ oneiric plugins off kit\n"
        "warn  key-tied\n"
        "      service:mail goes to local of two only because smtp of\n"
        "      one was registered before it\n"
        '      -> write mail = "local" into [services.selections], or\n'
        "         give one a priority\n"
        f"ok    {len(checking.all_checks()) - 2} other checks\n"
    )
    assert (ended.code, ended.err) == (6, "")


def test_settings_of_an_option_are_in_what_is_pasted(sick):
    """The command is about the same application."""
    raises(sick)
    sick.write("my own.toml", "")
    _, found = examined(sick, "-c", "my own.toml")

    assert found["plugin-failed"]["command"] == "oneiric -c 'my own.toml' plugins off kit"
    follow(sick, found["plugin-failed"]["command"])
    assert examined(sick, "-c", "my own.toml") == (0, {})


def test_what_is_well_is_named_on_request(sick):
    """With -v a line for each check."""
    lines = sick.spawn("doctor", "-v").out.splitlines()

    assert lines == [f"ok    {each.id}" for each in checking.all_checks()]
    assert (oneiric.__version__, doctor.UNHEALTHY) == ("1.0.0", 6)
    assert Path(doctor.__file__).is_file()
