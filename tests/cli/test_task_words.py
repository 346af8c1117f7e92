"""``oneiric task``, as an operator types it."""

import json
import re
import signal

import pytest

SHOP = """
    import asyncio
    from pathlib import Path
    from oneiric_hookspecs import Candidate, Key, Retry, TaskSpec, hookimpl

    class Reindex:
        async def run(self, payload, context):
            wanted = payload or {}
            if wanted.get("bad"):
                raise ValueError("no such index")
            if wanted.get("wait") and not Path("go").exists():
                Path("began").write_text(context.run)
                await asyncio.Event().wait()
            return {"indexed": wanted.get("n", 3), "attempt": context.attempt}

    @hookimpl
    def oneiric_candidates():
        how = TaskSpec(timeout=20, retry=Retry(attempts=2, backoff=0))
        yield Candidate(Key("task", "reindex"), "shop", Reindex, data=how, summary="Index everything anew.")
"""


@pytest.fixture
def shop(folder):
    """A project with a task, and a state directory of its own."""
    folder.write("shop.py", SHOP)
    folder.write(
        "oneiric.toml",
        """
        [app]
        plugins = ["shop"]
        state_dir = "state"

        [plugins.settings."domains.task"]
        runs.reindex = { concurrency = 2 }
        """,
    )
    return folder


def runs(folder, *words):
    """The runs, as the command tells them."""
    return folder.run("task", "runs", *words, "--json").json["runs"]


def begun(folder):
    """Wait until a task waits; the id of its run."""
    for _ in range(3000):
        path = folder.path / "began"
        if path.exists() and (text := path.read_text()):
            path.unlink()
            return text
        signal.sigtimedwait([], 0.01)
    raise AssertionError("it does not begin")


def test_tasks_are_listed_with_how_they_are_run(shop):
    """As they say, and the settings."""
    ended = shop.run("task", "list")
    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            "TASK     PROVIDER  TIMEOUT  ATTEMPTS  AT ONCE  SUMMARY",
            "reindex  shop      20 s     2         2        Index everything anew.",
        ],
    )
    assert shop.run("task", "list", "--json").json["tasks"] == [
        {
            "task": "reindex",
            "provider": "shop",
            "timeout": 20,
            "attempts": 2,
            "concurrency": 2,
            "breaker": None,
            "summary": "Index everything anew.",
        }
    ]


def test_a_task_is_run_and_what_it_gives_is_shown(shop):
    """For people and for programs; the run is known afterwards."""
    people = shop.run("task", "run", "reindex", "--param", "n=5")
    program = shop.run("task", "run", "reindex", "--input", '{"n": 6}', "--json")
    first, second = runs(shop)[::-1]

    assert (people.code, people.out) == (0, "indexed  5\nattempt  1\n")
    assert program.json == {
        "schema": "oneiric/task-result/1",
        "task": "reindex",
        "run": second["id"],
        "result": {"indexed": 6, "attempt": 1},
        "warnings": [],
    }
    facts = {"task": "reindex", "state": "succeeded", "key": None, "payload": {"n": 5}, "error": None}
    assert {name: first[name] for name in facts} == facts
    assert first["result"] == {"indexed": 5, "attempt": 1}
    assert first["submitted"] <= first["started"] <= first["ended"]
    shown = shop.run("task", "show", first["id"])
    assert (
        f'id         {first["id"]}\ntask       reindex\nstate      succeeded\npayload    {{"n": 5}}\n'
        in shown.out
    )
    listed = shop.run("task", "runs", "reindex", "--limit", "1").out.splitlines()
    assert len(listed) == 2
    assert re.fullmatch(
        rf"{second['id']}  reindex  succeeded  \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d  \d+ ms", listed[1]
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "reindx"], 3, "no candidate fills task:reindx\n  did you mean task:reindex?\n"),
        (["run", "reindex", "--param", "bad=true"], 4, "task reindex failed: ValueError: no such index\n"),
        (
            ["run", "reindex", "--param", "wait=1", "--timeout", "0.1"],
            8,
            "task reindex took longer than 0.1 s\n",
        ),
        (["run", "reindex", "--timeout", "0"], 2, "invalid value for '--timeout'"),
        (["run", "reindex", "--input", "{"], 2, "--input is not JSON"),
        (["run", "reindex", "--key", ""], 3, "a key of a run is a text of 1 to 255 characters, found ''\n"),
        (["runs", "--state", "gone"], 2, "invalid value for '--state'"),
        (["show", "nope"], 3, "there is no run nope of a task\n  there are: none\n"),
        (["cancel", "nope"], 3, "there is no run nope of a task\n  there are: none\n"),
        (["resume", "nope"], 3, "there is no run nope of a task\n  there are: none\n"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else None,
)
def test_what_goes_wrong_is_told_in_a_line(shop, words, code, said):
    """With the exit code of its kind, and no traceback."""
    ended = shop.run("task", *words)

    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_the_same_key_is_the_same_run(shop):
    """What it gave is shown again; another payload is refused."""
    first, second = (shop.run("task", "run", "reindex", "--key", "monday", "--json").json for _ in range(2))
    other = shop.run("task", "run", "reindex", "--key", "monday", "--param", "n=9")

    assert (first, len(runs(shop))) == (second, 1)
    assert (other.code, other.err) == (
        4,
        "error: task reindex: the key 'monday' was used with another payload\n"
        f"  that was run {first['run']}; another payload wants another key\n",
    )


def test_nothing_was_run_yet(shop):
    """Which makes nothing."""
    assert (shop.run("task", "runs").out, runs(shop)) == ("there are none\n", [])
    assert not (shop.path / "state" / "runs.db").exists()


def test_a_failed_run_is_resumed(shop):
    """Under its id, with the payload it had."""
    failed = shop.run("task", "run", "reindex", "--param", "wait=1", "--timeout", "0.1")
    (run,) = runs(shop, "--state", "failed")
    (shop.path / "go").touch()
    resumed = shop.run("task", "resume", run["id"], "--json")
    again = shop.run("task", "resume", run["id"])

    assert (failed.code, resumed.json["run"], resumed.json["result"]) == (
        8,
        run["id"],
        {"indexed": 3, "attempt": 1},
    )
    assert (again.code, again.err) == (
        4,
        f"error: run {run['id']} cannot be resumed: it is succeeded\n  there is nothing left to do\n",
    )


@pytest.mark.once
def test_a_run_in_another_process_is_cancelled(shop):
    """It ends there; who waits for it is told."""
    process = shop.start("task", "run", "reindex", "--param", "wait=1")
    identity = begun(shop)
    asked = shop.run("task", "cancel", identity)
    out, err = process.communicate(timeout=30)

    assert (asked.code, asked.out) == (0, f"run {identity} is asked to end, in {runs(shop)[0]['node']}\n")
    assert (process.returncode, out, err) == (4, "", "error: task reindex was cancelled\n")
    late = shop.run("task", "cancel", identity)
    assert (late.code, late.err) == (4, f"error: run {identity} has ended already (cancelled)\n")


@pytest.mark.once
@pytest.mark.parametrize(
    ("words", "number", "code", "state"),
    [
        ([], signal.SIGINT, 130, "cancelled"),
        ([], signal.SIGTERM, 143, "cancelled"),
        (["--key", "k"], signal.SIGINT, 130, "lost"),
        ([], signal.SIGKILL, -9, "lost"),
    ],
    ids=["interrupt", "terminate", "key", "kill"],
)
def test_a_run_that_is_cut_short_is_begun_anew(shop, words, number, code, state):
    """However it was cut short: it is known how, and `resume` runs it under its id."""
    process = shop.start("task", "run", "reindex", "--param", "wait=1", *words)
    identity = begun(shop)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    known = [(each["id"], each["state"]) for each in runs(shop)]
    (shop.path / "go").touch()
    resumed = shop.run("task", "resume", identity, "--json")

    assert (process.returncode, known) == (code, [(identity, state)])
    assert "Traceback" not in err
    assert (resumed.code, resumed.json["run"], resumed.json["result"]["indexed"]) == (0, identity, 3)


@pytest.mark.once
def test_a_lost_run_is_dropped(shop):
    """It is nobody's, and so it is cancelled at once."""
    process = shop.start("task", "run", "reindex", "--param", "wait=1")
    identity = begun(shop)
    process.kill()
    process.communicate(timeout=30)
    ended = shop.run("task", "cancel", identity, "--json")

    assert (ended.code, ended.json["state"]) == (0, "cancelled")
    assert json.loads(ended.out)["id"] == identity


def test_without_a_journal_there_is_nothing_to_resume(shop):
    """And nothing is made."""
    with (shop.path / "oneiric.toml").open("a") as file:
        file.write('\n[plugins.settings."executors.local"]\njournal = false\n')

    assert shop.run("task", "run", "reindex").code == 0
    assert (shop.run("task", "runs").out, (shop.path / "state").exists()) == ("there are none\n", False)


def test_a_slip_in_the_name_of_an_executor_is_told(shop):
    """With what is near."""
    text = (shop.path / "oneiric.toml").read_text()
    place = '[plugins.settings."domains.task"]\n'
    (shop.path / "oneiric.toml").write_text(text.replace(place, f'{place}executor = "locla"\n'))
    ended = shop.run("task", "run", "reindex")

    assert (ended.code, ended.err) == (
        4,
        "error: no plugin brings an executor 'locla'\n  did you mean local?\n",
    )
