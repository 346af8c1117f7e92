"""Every code of the lint, as who installed the kit, or wrote it, meets it: what, where, and what was meant."""

import subprocess
import sys
from textwrap import dedent

import pytest

IMPORTS = "from collections.abc import Iterable\nfrom oneiric_hookspecs import hookimpl\n\n"

#: The kit's code below the imports; code, message, line, hint; and whether the plugin is failed.
FINDINGS = {
    "an unknown hook": (
        "@hookimpl\ndef oneiric_swaped(): ...\n",
        ("E101", "there is no hook oneiric_swaped", 4, "did you mean oneiric_swapped?"),
    ),
    "a hook like no other": (
        "@hookimpl\ndef oneiric_qqqqqqqq(): ...\n",
        ("E101", "there is no hook oneiric_qqqqqqqq", 4, "there are: "),
    ),
    "a hook by another name": (
        "@hookimpl(specname='oneiric_candidate')\ndef mine(): ...\n",
        ("E101", "there is no hook oneiric_candidate (mine)", 4, "did you mean oneiric_candidates?"),
    ),
    "no mark": (
        "def oneiric_candidates():\n    return ()\n",
        ("W102", "oneiric_candidates is named like a hook and not marked", 4, "write @hookimpl above it"),
    ),
    "no mark, and a slip": (
        "def oneiric_candidate():\n    return ()\n",
        (
            "W102",
            "oneiric_candidate is named like a hook and not marked",
            4,
            "write @hookimpl above it; did you mean oneiric_candidates?",
        ),
    ),
    "an unknown argument": (
        "@hookimpl\ndef oneiric_load(candidat): ...\n",
        ("E103", "oneiric_load has no argument candidat", 4, "did you mean candidate?"),
    ),
    "an argument of another hook": (
        "@hookimpl\ndef oneiric_candidates(operation):\n    return ()\n",
        ("E103", "oneiric_candidates has no argument operation", 4, "it has: none"),
    ),
    "all arguments": (
        "@hookimpl\ndef oneiric_load(*everything): ...\n",
        (
            "E103",
            "oneiric_load takes *everything, which a hook never fills",
            4,
            "name the arguments it wants",
        ),
    ),
    "a keyword": (
        "@hookimpl\ndef oneiric_load(*, candidate): ...\n",
        ("E103", "oneiric_load takes candidate as a keyword only, which a hook never fills", 4, "remove the *"),
    ),
    "a slip with a default": (
        "@hookimpl\ndef oneiric_load(candidat=None): ...\n",
        (
            "W103",
            "oneiric_load has no argument candidat, so its default is used",
            4,
            "did you mean candidate?",
        ),
    ),
    "async for a sync hook": (
        "@hookimpl\nasync def oneiric_candidates():\n    return ()\n",
        ("E104", "oneiric_candidates is sync, and this is async def", 4, "write def"),
    ),
    "an async generator": (
        "@hookimpl\nasync def oneiric_swapped(operation):\n    yield\n",
        ("E104", "oneiric_swapped cannot be an async generator", 4, "return what it yields"),
    ),
    "a wrapper of pluggy": (
        "@hookimpl(wrapper=True)\ndef oneiric_candidates():\n    return (yield)\n",
        ("E106", "oneiric_candidates is a pluggy wrapper", 4, "give a context manager to a hook that wraps"),
    ),
    "an old wrapper of pluggy": (
        "@hookimpl(hookwrapper=True)\ndef oneiric_candidates():\n    yield\n",
        ("E106", "oneiric_candidates is a pluggy wrapper", 4, "give a context manager to a hook that wraps"),
    ),
    "a generator that is never run": (
        "@hookimpl\ndef oneiric_load(candidate):\n    yield\n",
        (
            "E107",
            "oneiric_load yields, so its body would never run",
            4,
            "give a context manager to a hook that wraps",
        ),
    ),
    "nothing at all": (
        "x = 1\n",
        ("W108", "it implements no hook that begins with oneiric_", 1, None),
    ),
    "a handler of signals": (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n@hookimpl\ndef oneiric_candidates():\n    return ()\n",
        (
            "W109",
            "loading it changed the handler of SIGTERM, which was put back",
            1,
            "an application sets these up itself; do it when the runtime starts, or not at all",
        ),
    ),
}  # fmt: skip


@pytest.fixture
def kit(folder, monkeypatch):
    """``kit(source)`` installs it, and gives its file; a good one is beside it."""
    monkeypatch.syspath_prepend(folder.path / "site")
    folder.write("site/good_kit.py", IMPORTS + "@hookimpl\ndef oneiric_candidates():\n    return ()\n")
    folder.distribution("kit-good", oneiric={"good": "good_kit"})

    def install(source):
        folder.distribution("kit-bad", oneiric={"bad": "bad_kit"})
        return folder.write("site/bad_kit.py", IMPORTS + source)

    return install


@pytest.mark.parametrize("case", FINDINGS)
def test_finding(folder, kit, case):
    """An E keeps the plugin out, anything else is a warning; of each command, and of ``plugins``."""
    source, (code, message, line, hint) = FINDINGS[case]
    file = kit(source)
    found = {each["name"]: each for each in folder.run("plugins", "--json").json["plugins"]}
    listed = folder.spawn("list")  # in a process of its own: it imports the kit once more

    bad = found["bad"]
    said = f"plugin bad: {code} {message} ({file}:{line})"
    assert found["good"]["state"] == "on"
    assert said in bad["findings"]
    assert bad["state"] == ("failed" if code.startswith("E") else "on")
    lines = listed.err.splitlines()
    place = lines.index(
        f"warning: plugin bad failed: {message} ({file}:{line})"
        if bad["state"] == "failed"
        else f"warning: {said}"
    )
    assert listed.code == 0
    assert hint is None or lines[place + 1].startswith(f"  {hint}")
    if bad["state"] == "failed":
        assert (bad["reason"], bad["where"], bad["hint"].startswith(hint)) == (
            message,
            f"{file}:{line}",
            True,
        )


def test_every_finding_at_once(folder, kit):
    """Who wrote it need not run it three times."""
    file = kit(
        "@hookimpl\ndef oneiric_swaped(): ...\n\n@hookimpl\ndef oneiric_load(candidat): ...\n\n"
        "@hookimpl\nasync def oneiric_candidates():\n    return ()\n"
    )
    (bad,) = [each for each in folder.run("plugins", "--json").json["plugins"] if each["name"] == "bad"]

    assert bad["reason"] == "oneiric_candidates is sync, and this is async def (and 2 more)"
    assert bad["hint"].splitlines() == [
        "write def",
        f"  E103 oneiric_load has no argument candidat ({file}:7): did you mean candidate?",
        f"  E101 there is no hook oneiric_swaped ({file}:4): did you mean oneiric_swapped?",
    ]


def test_what_is_only_imported_is_not_linted(folder, kit):
    """A helper of another's that happens to be named so was not meant as a hook."""
    folder.write("site/helper.py", "def oneiric_candidate(): ...\n")
    kit("from helper import oneiric_candidate\n@hookimpl\ndef oneiric_candidates():\n    return ()\n")
    (bad,) = [each for each in folder.run("plugins", "--json").json["plugins"] if each["name"] == "bad"]

    assert (bad["state"], bad["findings"]) == ("on", [])


# --- hooks of an application, which it has deprecated or removed -----------------------------------------------------------

SHOP = """
import sys
from oneiric_hookspecs import Deprecation, declares
from oneiric.hooks import HookManager

@declares(str, deprecated=Deprecation("1.2", "2.0", "shop_wares"))
def shop_goods(): "Declare goods."

@declares(str)
def shop_wares(color, colour): "Declare wares."

hooks = HookManager("shop")
hooks.add_specs(
    [shop_goods, shop_wares],
    removed={"shop_things": "shop_wares"},
    deprecated_arguments={"shop_wares": {"colour": Deprecation("1.2", "2.0", "color")}},
)
hooks.load_entry_points("shop")
for each in hooks.plugins:
    print(each.name, each.state, each.reason)
    for finding in each.findings:
        print(str(finding))
"""
AGED = {
    "a deprecated hook": (
        "@hookimpl\ndef shop_goods():\n    return ()\n",
        "on",
        "D201 the hook shop_goods is deprecated since 1.2, gone in 2.0; use shop_wares",
    ),
    "a deprecated argument": (
        "@hookimpl\ndef shop_wares(colour):\n    return ()\n",
        "on",
        "D201 the argument colour of shop_wares is deprecated since 1.2, gone in 2.0; use color",
    ),
    "a removed hook": (
        "@hookimpl\ndef shop_things():\n    return ()\n",
        "failed",
        "E105 the hook shop_things was removed",
    ),
}


@pytest.mark.parametrize("case", AGED)
def test_hook_that_has_aged(folder, case):
    """Since when, till when and what instead; as a DeprecationWarning at the plugin's own line, too."""
    source, state, said = AGED[case]
    file = folder.write("site/old_kit.py", IMPORTS + source)
    folder.distribution("kit-old", shop={"old": "old_kit"})
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", dedent(SHOP)],
        env=folder.environment,
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=True,
    )

    reason = "" if state == "on" else said.partition(" ")[2]
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"old {state} {reason}", f"plugin old: {said} ({file}:4)"]
    assert lines[2:] == ([] if state == "on" else ["  use shop_wares"])
    warned = [line for line in done.stderr.splitlines() if "DeprecationWarning" in line]
    assert warned == (
        [f"{file}:4: DeprecationWarning: plugin old: {said} ({file}:4)"] if state == "on" else []
    )
