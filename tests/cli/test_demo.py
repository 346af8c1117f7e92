"""The demo keeps its word, and would say so if it did not."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from oneiric_hookspecs import Spec, specs

from oneiric.cli import demo

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once

SHORT = ["--clients", "20", "--swaps", "4", "--seconds", "0.3"]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The figures of a short demo, and its project, which was kept."""
    kept = tmp_path_factory.mktemp("demo") / "project"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "oneiric", "demo", *SHORT, "--keep", str(kept), "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout), kept


def test_every_promise_is_kept(played):
    """No call fails by a swap, nothing is used after its end, and as many are closed as were made."""
    figures, _ = played

    zero = ["failed_calls", "closed_twice", "used_after_close"]
    assert ({name: figures[name] for name in zero}, figures["verdict"], figures["broken"]) == (
        dict.fromkeys(zero, 0),
        "kept",
        [],
    )
    assert figures["instances_made"] == figures["instances_closed"] > 10


def test_what_was_to_happen_has_happened(played):
    """Swaps, four refusals, two rollbacks, and calls that the bad provider failed; measured apart with and without swaps."""
    figures, _ = played

    # 4 under load, disk before them, turns-bad, sticky, memory, and two of the stream's; and the greeter for its cache.
    assert 11 <= figures["swaps"] <= 15
    assert (figures["refused"], figures["rollbacks"]) == (4, 2)
    assert figures["bad_provider_calls"] >= 5
    assert figures["calls"] > 1000
    assert figures["greetings"] > 0
    measured = figures["latency"]["without_swaps"]["calls"] + figures["latency"]["with_swaps"]["calls"]
    assert figures["calls"] - figures["bad_provider_calls"] <= measured <= figures["calls"]
    for each in figures["latency"].values():
        assert 0 < each["p50_ms"] <= each["p99_ms"] <= each["max_ms"]


def test_work_is_done_once(played):
    """What is written down by whoever really did it, in both processes: once, but for the node that was cut short."""
    figures, kept = played

    assert figures["work"].pop("service")["rounds"] >= 3
    assert figures["work"] == {
        "task": {"asked": 2, "runs": 1, "attempts": 2, "failed_attempts": 1, "done": 1},
        "event": {"thanks": "handled", "points": "failed"},
        "workflow": {
            "ended_before": ["charge", "reserve"],
            "state_when_killed": "lost",
            "times_run": {"reserve": 1, "charge": 1, "pack": 2, "ship": 1},
            "result": {"ship": "ship tea"},
        },
        "actions": {"signature": "hmac-sha512", "valid": True, "hash": "sha3-256"},
    }
    assert Counter((kept / "done.txt").read_text().split("\n")) == Counter(
        ["printer busy", "invoice", "reserve", "charge", "pack", "pack", "ship", "stock ended", ""]
    )


def test_nothing_is_believed_but_what_was_signed(played):
    """An upgrade by the stream fails no call, five forgeries are refused, and the new key signs."""
    stream = dict(played[0]["stream"])

    assert stream.pop("upgrade_calls") > 100
    assert stream.pop("requests") >= 2 * 11 - 1
    assert stream == {
        "upgrade": ["1.0", "2.0"],
        "upgrade_failed_calls": 0,
        "signers": ["release-b"],
        "server_away": ["unreachable", "unchanged"],
        "syncs": 11,
        "publisher_commands": 27,
        "refused": {
            "tampered": "digest",
            "replayed": "rollback",
            "unsigned": "signature",
            "expired": "expired",
            "signed by the old key": "signature",
        },
    }


TOLD = [
    (0, "->  memory       highest priority (0)"),
    (0, "started      the runtime takes operations"),
    (1, "activated    adapter:cache: memory"),
    (1, "resolved     adapter:cache: disk wins now, memory did (selected by a pin)"),
    (3, "promoted     service:greeter says 'Salve, Oneiric' from disk; it was selected by demo_shop:Shop (it speaks la)"),
    (
        4,
        "refused      adapter:cache: unreachable did not come up at step create: ConnectionRefusedError: nobody listens",
    ),
    (4, "refused      adapter:cache: sick did not come up at step warm: the licence has expired"),
    (5, "refused      adapter:cache: recalled was refused at step load: demo_shop:Shop objects: version 0.9 was recalled"),
    (5, "refused      adapter:cache: memory was refused at step check: demo_shop:Shop objects: interns change nothing on Fridays"),
    (5, "serving      disk"),
    (6, "refused      adapter:cache: sluggish was rolled back: demo_shop:Shop objects: the canary took "),
    (7, "rolled back  adapter:cache: turns-bad -> disk, "),
    (7, "explained    turns-bad is left out: eligibility: in quarantine: rolled back"),
    (8, "retired      adapter:cache: sticky close_failed: OSError: the lock file is gone"),
    (9, "running      service:stock by counting: "),
    (10, "asked        2 times under one key: 1 run; printed 1 time"),
    (11, "handled      thanks: thanked ada@example.org"),
    (11, "failed       points: KeyError: 'loyalty_card'"),
    (12, "killed       process "),
    (12, "resumed      'ship tea'; times that each node was run, both processes together: reserve 1, charge 1, pack 2, ship 1"),
    (13, "signed       by hmac-sha512: "),
    (13, "hashed       by sha3-256: "),
    (14, "synced       release 1.1, applied: 1 added, 0 removed, in "),
    (15, "upgraded     swift 1.0 -> 2.0: "),
    (16, "rejected     tampered: digest: "),
    (16, "rejected     replayed: rollback: the source gave 1.1, below 1.3, which was seen"),
    (16, "rejected     unsigned: signature: the head is not signed"),
    (16, "rejected     expired: expired: it has expired, at 2020-01-02T00:00:00Z"),
    (17, "believed     release 1.7, signed by release-b"),
    (17, "rejected     signed by the old key: signature: "),
    (18, "unreachable  unreachable; swift serves: "),
    (18, "back         unchanged: release 1.7"),
    (19, "stopping     the runtime closes what is left"),
]  # fmt: skip


@pytest.mark.parametrize(("scene", "line"), TOLD)
def test_it_is_told(played, scene, line):
    """Every kind of thing that happens is in the story, in its scene."""
    said = played[0]["scenes"][scene]["said"]

    assert [each for each in said if each.startswith(line)], said


def test_every_hook_is_used(played, folder):
    """A hook ships only with a plugin of this repository that uses it: a built-in one, the demo's, or a kit's."""
    hooks = folder.run("-c", played[1] / "oneiric.toml", "hooks", "--json").json["hooks"]

    everyone = {spec.name for spec in vars(specs).values() if isinstance(spec, Spec)}
    root = Path(__file__).parents[2]
    kits = "".join(file.read_text() for file in root.glob("contrib/*/oneiric_*/*.py"))
    of_kits = {name for name in everyone if f"def {name}(" in kits}

    assert {hook["name"] for hook in hooks if hook["implementations"]} | of_kits == everyone


def test_kept_project_is_a_real_one(played, folder):
    """Whoever looks around finds settings, a plugin and a cache, and every command works there."""
    kept = played[1]
    assert {"oneiric.toml", "demo_shop.py", "cache.sqlite"} <= {path.name for path in kept.iterdir()}

    ended = folder.run("-c", kept / "oneiric.toml", "list", "--json")

    mine, theirs = {"demo_shop:Shop", "demo_work", "stream:shop"}, {}
    for key in ended.json["keys"]:
        brought = {each["source"] for each in key["candidates"]} & mine
        if brought:
            theirs[f"{key['domain']}:{key['key']}"] = (key["winner"], brought)
    assert theirs == {
        # What was accepted of the stream is in force although nobody serves it any more.
        "adapter:cache": ("swift", {"demo_shop:Shop", "stream:shop"}),
        "event:points": ("shop", {"demo_work"}),
        "event:thanks": ("shop", {"demo_work"}),
        "service:greeter": ("latin", {"demo_shop:Shop"}),
        "service:stock": ("counting", {"demo_work"}),
        "task:invoice": ("printer", {"demo_work"}),
        "task:pack": ("shop", {"demo_work"}),
        "task:step": ("shop", {"demo_work"}),
        "workflow:order": ("shop", {"demo_work"}),
    }
    assert ended.json["warnings"] == []


def test_people_see_a_table(folder):
    """Scenes, then the figures, then the verdict; nothing on stderr where no terminal is."""
    ended = folder.run("demo", *SHORT)

    lines = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, ""), ended.out[ended.out.rindex("took  ") :]
    assert (
        lines[0]
        == "A runtime from a settings file and two plugins, in a temporary folder (--keep DIR keeps it)"
    )
    assert [line.split(". ", 1)[1] for line in lines if line[:1].isdigit()] == [
        "Who fills adapter:cache, and why not the others?",
        "20 clients work on it without pause, first on memory, then on disk",
        "4 swaps under their hands, memory for disk and back",
        "What was built from the cache is built anew, once its new cache is promoted",
        "Candidates that do not come up, or come up ill: refused, and nobody notices",
        "Candidates that a plugin's policy objects to",
        "One that is bound, and found too slow by a canary: back at once",
        "One that is well when it is bound, and turns bad on probation: back by itself",
        "One whose close raises: the swap away from it stands, and the report says so",
        "A service works by itself for as long as it is bound",
        "A task fails, is tried again, and is done once, however often it is asked for",
        "An event with two handlers: what one of them raises is nothing to the other",
        "A workflow in a process of its own, which is killed in the middle; and resumed here",
        "Actions, set up by the settings file",
        "Candidates from elsewhere: a publisher signs a stream, and it is synced by http",
        "A better one comes by the stream: upgraded under the clients' hands",
        "What nobody signed, or nobody should believe, is refused; what serves goes on",
        "The publisher changes its key: the root vouches for the new one, and for no other",
        "The server goes away: what was accepted goes on; and it comes back",
        "The end: the clients go home, and everything is closed",
    ]
    assert [" ".join(line.split()[:-2]) for line in lines if line.startswith("calls failed by a swap")] == [
        "calls failed by a swap"
    ]
    assert lines[-3].startswith("kept: no call failed because of a swap")
    assert max(map(len, lines)) <= 100


def test_narrow_terminal(folder):
    """At 80 columns nothing runs over, either."""
    ended = folder.run("demo", *SHORT, COLUMNS="80")

    assert (ended.code, max(map(len, ended.out.splitlines()))) <= (0, 80)


def workers(place):
    """The command lines of processes that work in *place*."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [line] if f"{place}/oneiric-demo" in line else []
    return found


LONG = ["--swaps", "100", "--seconds", "100"]
#: When it is interrupted: the hook that tells, with what has to hold of its arguments, and the size of the demo.
MOMENTS = {
    "swapping": ("oneiric_swapped(report)", "True", LONG),
    "the other process works": ("oneiric_activated(new)", "str(new.key) == 'task:invoice'", SHORT),
    "syncing": ("oneiric_synced(report)", "report.version == 2", SHORT),
}


@pytest.mark.parametrize(
    ("moment", "number", "options"),
    [
        pytest.param(moment, number, options, id=f"{moment}-{number.name}-{''.join(options)}")
        for moment in MOMENTS
        for number in (signal.SIGINT, signal.SIGTERM)
        for options in ([], ["--json"])
        if moment == "swapping" or (number == signal.SIGINT) is bool(options)
    ],
)
def test_interrupted_in_the_middle(folder, moment, number, options, tmp_path):
    """Ctrl-C closes what is open, ends the other process, removes the folder, and says one word; SIGTERM says none."""
    hook, holds, size = MOMENTS[moment]
    (tmp_path / "hook.py").write_text(
        "from oneiric_hookspecs import hookimpl\n"
        "@hookimpl\n"
        f"{'' if moment == 'syncing' else 'async '}def {hook}:\n"
        f"    if {holds}:\n"
        "        import pathlib; pathlib.Path(__file__).with_name('swapped').touch()\n"
    )
    folder.environment["PYTHONPATH"] += os.pathsep + str(tmp_path)
    words = ["demo", *size, "-p", "hook", *options]
    with folder.start(*words, TMPDIR=str(tmp_path), PYTHONUNBUFFERED="1") as process:

        async def swapped():
            async with asyncio.timeout(30):
                while not (tmp_path / "swapped").exists():
                    await asyncio.sleep(0.02)

        asyncio.run(swapped())
        process.send_signal(number)
        out, err = process.communicate(timeout=30)

    assert process.returncode == 128 + number
    if number == signal.SIGTERM:
        assert err == ""
    else:
        assert (err if not options else json.loads(err)["message"] + "\n") == "interrupted\n"
    assert (out == "") is bool(options)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("oneiric-demo")] == []
    assert workers(tmp_path) == []


VETO = """\
from oneiric_hookspecs import Objection, hookimpl

@hookimpl
async def oneiric_check_swap(old, new):
    if old and new.candidate.provider == "disk":
        return [Objection("no disks today")]
"""
BREAKS = {
    "a swap that does not work": (VETO, "a swap to disk did not work: "),
    "a closed instance in use": (
        """\
        from oneiric_hookspecs import hookimpl

        @hookimpl
        async def oneiric_swapped(old, new):
            if new.candidate.provider == "disk":
                await new.instance.aclose()
        """,
        "calls failed because of a swap: ",
        "calls reached a closed instance",
    ),
    "a bad provider that stays": (
        """\
        from oneiric_hookspecs import PROMOTE, hookimpl

        @hookimpl
        def oneiric_rollback():
            return PROMOTE
        """,
        "a provider that turned bad was not taken back within 2 s",
    ),
    "work that is not done": (
        """\
        from oneiric_hookspecs import Candidate, Key, Subscription, hookimpl

        class Nothing:
            async def run(self, payload, context):
                return {"attempts": 1}

            async def handle(self, envelope):
                return None

        @hookimpl
        def oneiric_candidates():
            yield Candidate(Key.of("task", "invoice"), "lazy", Nothing, priority=9)
            yield Candidate(Key.of("event", "points"), "lazy", Nothing, priority=9, data=Subscription(["order.*"]))
            yield Candidate(Key.of("task", "pack"), "lazy", Nothing, priority=9)
        """,
        "a task with one key was done 0 times, in 1 runs",
        "the task took 1 attempts, and 0 of them failed",
        "the handlers of an event came to {",
        "the nodes were run {",
    ),
    "a stream that is not accepted": (
        """\
        from oneiric_hookspecs import EntryObjection, hookimpl

        @hookimpl
        def oneiric_check_manifest(manifest):
            if manifest.version > 1:
                yield EntryObjection("one is enough")
        """,
        "release 1.2 was rejected (policy), and 1.1 is in force",
        "swift went from 1.0 to 1.0",
        "a server that is back was rejected",
    ),
    "an instance that nobody closes": (
        """\
        from oneiric_hookspecs import hookimpl

        @hookimpl
        async def oneiric_activated(new):
            if new.key.name == "cache":
                type(new.instance)(object(), "leak", new.instance.ledger)
        """,
        "instances were made, and ",
    ),
}


@pytest.mark.parametrize("case", BREAKS)
def test_broken_promise_is_said(folder, monkeypatch, case):
    """The figures are measured: where a plugin makes one of them wrong, the exit status is 1, with a sentence."""
    source, *sentences = BREAKS[case]
    folder.write("breaker.py", source)
    monkeypatch.setattr("oneiric.cli.demo.stage.PATIENCE", 2.0)

    ended = folder.run("demo", *SHORT, "-p", "breaker", "--json")

    assert (ended.code, ended.json["verdict"]) == (1, "broken")
    for sentence in sentences:
        assert [each for each in ended.json["broken"] if sentence in each], ended.json["broken"]


def test_forgery_that_is_believed_is_said(folder, monkeypatch):
    """A release that nobody forged is taken, in the place of one without signatures: how it ended, and what it changed."""
    monkeypatch.setattr("oneiric.cli.demo.following.Following._unsigned", lambda self: self._next())

    ended = folder.run("demo", *SHORT, "--json")

    assert (ended.code, ended.json["verdict"]) == (1, "broken")
    assert {each for each in ended.json["broken"] if "unsigned" in each} == {
        "a release that is unsigned was applied (None), not rejected as signature",
        "a release that is unsigned changed what is in force",
    }


def test_folder_that_is_not_empty_is_left_alone(folder):
    """--keep overwrites nothing."""
    folder.write("mine/oneiric.toml", "# mine\n")

    ended = folder.run("demo", "--keep", "mine")

    assert (ended.code, ended.out) == (2, "")
    assert (
        ended.err.splitlines()[0]
        == f"error: {folder.path}/mine is not empty; --keep makes a folder of its own"
    )
    assert (folder.path / "mine" / "oneiric.toml").read_text() == "# mine\n"


def test_users_own_settings_do_not_take_part(folder):
    """Neither a settings file in the working directory nor variables change the demo's project."""
    folder.write("oneiric.toml", "[nonsense\n")

    ended = folder.run(
        "demo", *SHORT, "--json", ONEIRIC__LIFECYCLE__PROBATION="many", ONEIRIC_CONFIG="nowhere.toml"
    )

    assert (ended.code, ended.json["verdict"]) == (0, "kept")


def test_latency_of_nothing():
    """Without a call there is no percentile, and the table says so."""
    assert (demo._ms(None), demo._ms(0.0005), demo._ms(12.345)) == ("-", "0.5 us", "12.35 ms")
