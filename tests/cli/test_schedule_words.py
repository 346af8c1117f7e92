"""``oneiric schedules``, and a task that is really run."""

import asyncio
import signal

import pytest
from oneiric_hookspecs import Candidate, Key

from oneiric import assemble


def test_a_task_is_run_in_real_time(folder):
    """By a runtime of a settings file that is held open, and nothing else."""
    folder.write(
        "oneiric.toml",
        """\
        [app]
        state_dir = "state"

        [plugins.settings.scheduler.schedules.often]
        task = "reindex"
        every = 1
        payload = { deep = true }
        """,
    )

    async def scenario():
        ran = asyncio.get_running_loop().create_future()

        class Reindex:
            async def run(self, payload, context):
                if not ran.done():
                    ran.set_result(payload)

        async with assemble("oneiric.toml", environment=False) as runtime:
            runtime.register(Candidate.ready(Key("task", "reindex"), "mine", Reindex()))
            async with asyncio.timeout(20):
                return await ran

    assert asyncio.run(scenario()) == {"deep": True}


SETTINGS = """\
[app]
plugins = ["shop"]
state_dir = "state"

[plugins.settings.scheduler.schedules.nightly]
task = "reindex"
cron = "0 3 * * *"
zone = "Europe/Berlin"
until = "2026-01-01"
"""
PRINTS = """
class Reindex:
    async def run(self, payload, context):
        print("ran", flush=True)
"""
SHOP = ("Candidate(Key('task', 'reindex'), 'shop', Reindex)",)


def test_the_words_tell_of_schedules(folder):
    """What there is, and what of it is due; a name that is none offers the nearest."""
    folder.write("oneiric.toml", SETTINGS)
    folder.plugin("shop", *SHOP, before=PRINTS)
    listed = folder.run("schedules", "list", "--json")
    missing = folder.run("schedules", "preview", "nightl")

    assert listed.json["schedules"] == [
        {
            "schedule": "nightly",
            "task": "reindex",
            "when": "0 3 * * *",
            "zone": "Europe/Berlin",
            "next": None,
            "last": None,
            "result": None,
            "run": None,
            "runs": 0,
            "payload": None,
        }
    ]
    assert folder.run("schedules", "preview", "nightly").out == "nightly is never due again\n"
    assert (missing.code, missing.err) == (
        3,
        "error: there is no schedule nightl\n  did you mean nightly?\n",
    )


@pytest.mark.parametrize("words", [["list"], ["preview", "x"], ["run"]])
def test_where_nobody_runs_schedules_it_is_said(folder, words):
    """With what is off; nothing is run."""
    folder.write("oneiric.toml", '[plugins]\noff = ["scheduler"]\n')
    ended = folder.run("schedules", *words)

    assert (ended.code, ended.err) == (
        3,
        "error: nobody runs schedules\n  the plugin scheduler is off\n",
    )


def test_none_are_none(folder):
    """To list them is no error; to run them is."""
    folder.write("oneiric.toml", "")
    ended = folder.run("schedules", "run")

    assert folder.run("schedules", "list").out == "there are none\n"
    assert (ended.code, ended.out) == (3, "")
    assert "declare one in [plugins.settings.scheduler.schedules]" in ended.err


@pytest.mark.once
def test_they_are_run_until_interrupted(folder):
    """By a process of its own; what was run is known afterwards."""
    every = SETTINGS.replace('cron = "0 3 * * *"', "every = 1").replace('until = "2026-01-01"', "")
    folder.write("oneiric.toml", every)
    folder.plugin("shop", *SHOP, before=PRINTS)
    process = folder.start("schedules", "run")
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    [listed] = folder.run("schedules", "list", "--json").json["schedules"]

    assert lines == ["running nightly; Ctrl-C ends it\n", "ran\n"]
    assert process.returncode == 130
    assert (listed["runs"] >= 1, listed["zone"]) == (True, "Europe/Berlin")
