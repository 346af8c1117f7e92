"""What only a file can do for runs: processes that are killed, several at once, damage, strangers, full disks."""

import asyncio
import contextlib
import json
import logging
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from textwrap import dedent

import pytest
from oneiric_hookspecs import Job, RunError, StateError

from oneiric import assemble
from oneiric.plugins.executors import _journal, _running
from oneiric.plugins.executors._owners import Owner


def application(folder, **settings):
    """An application whose runs are kept in *folder*."""
    tables = {"executors.local": settings}
    return assemble({"app": {"state_dir": str(folder)}, "plugins": {"settings": tables}}, environment=False)


@contextlib.asynccontextmanager
async def executor(folder, **settings):
    """Its executor."""
    async with application(folder, **settings) as runtime:
        yield await runtime.executor("local")


async def gives(steps):
    return 1


async def one(executing, body=gives, **more):
    """Submit a job, and wait for it."""
    return await executing.wait(await executing.submit(Job("task", "reindex", **more), body))


def listing(folder):
    """All that is in a folder, with what it holds."""
    return {str(each): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


# --- where it is ---------------------------------------------------------------------------------------------------


def test_nothing_is_made_before_something_is_written(tmp_path):
    """Asking makes nothing; the first run makes the file and its folder, for their owner alone; no lock is left."""
    folder = tmp_path / "one" / "two"

    async def scenario():
        async with executor(folder) as executing:
            asked = await executing.runs(), await executing.get("a"), await executing.cancel("a")
            before = list(tmp_path.iterdir())
            await one(executing)
            modes = [stat.S_IMODE(each.stat().st_mode) for each in (folder, folder / "runs.db")]
        return asked, before, modes, sorted(each.name for each in folder.rglob("*"))

    expected = (([], None, False), [], [0o700, 0o600], ["runs.db", "runs.db.owners"])
    assert asyncio.run(scenario()) == expected


@pytest.mark.parametrize("path", ["other/runs.db", "{}/elsewhere.db"], ids=["relative", "absolute"])
def test_the_file_is_where_settings_say(path, tmp_path):
    """What is relative is relative to the state directory."""
    path = path.format(tmp_path)

    async def scenario():
        async with executor(tmp_path / "state", path=path) as executing:
            await one(executing)

    asyncio.run(scenario())
    assert (tmp_path / "state" / path).is_file()


def test_without_a_journal_nothing_is_made(tmp_path):
    """No file, no folder."""

    async def scenario():
        async with executor(tmp_path / "state", journal=False) as executing:
            return (await one(executing)).state

    assert (asyncio.run(scenario()), list(tmp_path.iterdir())) == ("succeeded", [])


# --- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"not a database at all, " * 200, None], ids=["text", "database"])
def test_what_is_not_ours_is_not_touched(content, tmp_path):
    """The error names the file, and what to do; the body is not called."""
    path = tmp_path / "runs.db"
    if content is None:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE mine (a)")
    else:
        path.write_bytes(content)
    before, calls = listing(tmp_path), []

    async def body(steps):
        calls.append(steps)

    async def scenario():
        async with executor(tmp_path) as executing:
            with pytest.raises(StateError) as caught:
                await one(executing, body)
            return str(caught.value)

    said = asyncio.run(scenario())
    assert (calls, listing(tmp_path)) == ([], before)
    assert str(path) in said
    assert '[plugins.settings."executors.local"] path' in said


def test_a_damaged_journal_is_set_aside(tmp_path, caplog):
    """Whoever starts next begins another one, and the log says where the old one is."""

    async def scenario():
        async with executor(tmp_path) as executing:
            for _ in range(5):
                await one(executing, payload="x" * 5000)

    asyncio.run(scenario())
    path = tmp_path / "runs.db"
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 3] = b"\xff" * 8192
    path.write_bytes(content)

    async def again():
        async with executor(tmp_path) as executing:
            run = await one(executing)
            return run.state, [each.id for each in await executing.runs()] == [run.id]

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(again()) == ("succeeded", True)
    assert (tmp_path / "runs.db.corrupt-1").read_bytes()[4096:5000] == b"\xff" * 904
    said = [each.message.splitlines()[0] for each in caplog.records]
    assert len(said) == 1
    assert said[0].endswith("and is set aside as runs.db.corrupt-1; the journal of runs begins anew")


def test_a_full_disk_begins_no_run(tmp_path):
    """The error says so, the body is not called; with room again all goes on."""
    calls = []

    async def body(steps):
        calls.append(steps.run)

    async def scenario():
        async with executor(tmp_path) as executing:
            await one(executing)
            limit(executing._journal, 12)
            with pytest.raises(StateError) as caught:
                for _ in range(100):
                    await one(executing, body, payload="x" * 3000)
            known = {each.id for each in await executing.runs()}
            done = len(calls)
            limit(executing._journal, 10_000)
            await one(executing, body)
            return str(caught.value), known.issuperset(calls[:done]), len(calls) - done

    said, honest, more = asyncio.run(scenario())
    assert said == f"{tmp_path}/runs.db: the disk is full; nothing was changed\n  make room, and try again"
    assert (honest, more) == (True, 1)


def limit(journal, pages):
    """Let the file have so many pages."""
    journal._database.post(
        lambda: journal._database.connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    ).result(5)


def test_an_end_that_cannot_be_written_is_written_later(tmp_path, monkeypatch, caplog):
    """Who waits is told at once; others see that the run goes on, until there is room."""
    monkeypatch.setattr(_running, "LOOK", 0.05)

    async def scenario():
        async with executor(tmp_path) as executing:
            await one(executing)

            async def body(steps):
                limit(executing._journal, 1)
                return "x" * 100_000

            with pytest.raises(StateError, match="the disk is full"):
                await one(executing, body)
            run = (await executing.runs())[0]
            limit(executing._journal, 10_000)
            return run.state, len((await executing.wait(run.id)).result)

    assert asyncio.run(scenario()) == ("running", 100_000)
    assert "and that cannot be written down" in caplog.text


def test_a_step_that_cannot_be_written_fails_its_run(tmp_path):
    """What was done is not known to be done, and nobody goes on as if it were."""

    async def scenario():
        async with executor(tmp_path) as executing:
            await one(executing)

            async def body(steps):
                async def call():
                    limit(executing._journal, 1)
                    return "x" * 100_000

                try:
                    return await steps.step("a", call)
                finally:
                    limit(executing._journal, 10_000)

            run = await one(executing, body)
            return run.state, "the disk is full" in run.error, await executing.steps(run.id)

    assert asyncio.run(scenario()) == ("failed", True, [])


def test_another_process_that_keeps_the_file_is_named_in_time(tmp_path):
    """Nothing is begun; when it lets go, all goes on."""

    async def scenario():
        async with executor(tmp_path, busy_timeout=0.1) as executing:
            await one(executing)
            with contextlib.closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(StateError) as caught:
                    await one(executing)
                other.execute("ROLLBACK")
            return (
                str(caught.value).splitlines()[0],
                (await one(executing)).state,
                len(await executing.runs()),
            )

    said = f"{tmp_path}/runs.db: another process has been writing to it for 0.1 s"
    assert asyncio.run(scenario()) == (said, "succeeded", 2)


def test_a_file_that_is_deleted_is_made_again(tmp_path):
    """What was in it is unknown; a run that went on meanwhile says that it cannot be written down."""

    async def scenario():
        async with executor(tmp_path) as executing:
            before = await one(executing)

            async def body(steps):
                for path in tmp_path.glob("runs.db*"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

            with pytest.raises(StateError, match="is no longer in the journal"):
                await one(executing, body)
            after = await one(executing)
            return [each.id for each in await executing.runs()] == [after.id], before.state

    assert asyncio.run(scenario()) == (True, "succeeded")


# --- how much is kept ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", [True, False])
def test_the_oldest_runs_are_forgotten(journal, tmp_path, monkeypatch):
    """With their keys and steps; what goes on stays."""
    monkeypatch.setattr(_journal, "PRUNE_EVERY", 1)

    async def scenario():
        async with executor(tmp_path, journal=journal, keep_runs=3) as executing:
            free = asyncio.Event()

            async def held(steps):
                await free.wait()

            async def body(steps):
                return await steps.step("a", lambda: gives(steps))

            going = await executing.submit(Job("task", "held"), held)
            ids = [(await one(executing, body, key=f"k{number}")).id for number in range(6)]
            left = [each.id for each in await executing.runs()]
            steps = [len(await executing.steps(each)) for each in ids]
            again = await executing.submit(Job("task", "reindex", key="k0"), gives)
            free.set()
            return left == [*ids[:2:-1], going], steps, again not in ids

    expected = [0, 0, 0, 1, 1, 1] if journal else [0] * 6
    assert asyncio.run(scenario()) == (True, expected, True)


def test_old_runs_are_forgotten(tmp_path, monkeypatch):
    """What ended, and what nobody has resumed; what goes on in a process that lives stays."""
    monkeypatch.setattr(_journal, "PRUNE_EVERY", 1)

    async def scenario():
        async with executor(tmp_path) as executing:
            await one(executing)
            lost = await executing.submit(Job("task", "lost"), lambda steps: asyncio.Event().wait())
            await asyncio.sleep(0)
        with contextlib.closing(sqlite3.connect(tmp_path / "runs.db")) as db:
            db.execute("UPDATE runs SET submitted = submitted - 864000, ended = ended - 864000")
            db.commit()
        async with executor(tmp_path, keep_days=9) as executing:
            before = [each.name for each in await executing.runs()]
            last = await one(executing)
            return before, [each.id for each in await executing.runs()] == [last.id], lost != last.id

    assert asyncio.run(scenario()) == (["lost", "reindex"], True, True)


# --- who lives -----------------------------------------------------------------------------------------------------


def test_an_owner_lives_as_long_as_it_holds(tmp_path):
    """What others left who were killed is removed by the next."""
    one, other = Owner(tmp_path), Owner(tmp_path)
    before = one.lives(one.token), other.lives(one.token), other.lives(None), other.lives("nobody")
    one.hold()
    one.hold()
    during = one.lives(one.token), other.lives(one.token)
    (tmp_path / "999-killed").touch()
    other.hold()
    names = sorted(each.name for each in tmp_path.iterdir())
    one.release()
    one.release()
    after = other.lives(one.token), [each.name for each in tmp_path.iterdir()]
    other.release()

    assert before == (False, False, False, False)
    assert during == (True, True)
    assert names == sorted([one.token, other.token])
    assert after == (False, [other.token])


FORK = """
import os, sys
from pathlib import Path
from oneiric.plugins.executors._owners import Owner

owner, other = Owner(Path(sys.argv[1])), Owner(Path(sys.argv[1]))
owner.hold()
asking, answer = os.pipe()
forked, tell = os.pipe()
if os.fork() == 0:
    os.write(tell, b"1")
    os.close(answer)
    os.read(asking, 1)
    os._exit(0)
os.read(forked, 1)
print(other.lives(owner.token), end=" ")
owner.forget()
print(other.lives(owner.token))
os.close(answer)
os.wait()
"""


@pytest.mark.once
def test_a_forked_child_does_not_live_for_its_parent(tmp_path):
    """When the parent lets go without a word, as when it is killed, nobody has the lock any more."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path)], capture_output=True, text=True, timeout=30
    )

    assert (done.stdout, done.stderr) == ("True False\n", "")


SHOP = """
    import asyncio, json, os, sys
    from pathlib import Path
    from oneiric_hookspecs import Candidate, Job, Key, OneiricError, hookimpl
    from oneiric import assemble

    class Slow:
        async def run(self, payload, context):
            with open("began", "a") as file:
                print(context.run, file=file)
            if not Path("go").exists():
                await asyncio.Event().wait()
            return payload

    async def main(what, *words):
        runtime = assemble({"app": {"state_dir": "state"}}, environment=False)
        runtime.register(Candidate(Key("task", "slow"), "shop", Slow))
        async with runtime:
            tasks = runtime.domain("task")
            try:
                if what == "run":
                    submitted = await tasks.submit("slow", 5, key=words[0] if words else None)
                else:
                    sys.stdin.readline()
                    submitted = await tasks.resume(words[0])
                print(json.dumps([submitted.id, await submitted.wait()]))
            except OneiricError as error:
                print(json.dumps(str(error).splitlines()[0]))

    asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def shop(tmp_path):
    """``shop(*words)`` starts a process of an application; all are ended at the end."""
    (tmp_path / "shop.py").write_text(dedent(SHOP))
    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "shop.py", *words],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def answer(process):
    return json.loads(process.communicate("\n", timeout=30)[0])


def begun(tmp_path, times):
    """Wait until a task has begun so often; the ids of its runs."""
    path = tmp_path / "began"
    for _ in range(3000):
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) >= times:
            return lines
        signal.sigtimedwait([], 0.01)
    raise AssertionError("it does not begin")


async def known(tmp_path):
    async with executor(tmp_path / "state") as executing:
        return [(each.id, each.state) for each in await executing.runs()]


@pytest.mark.once
def test_a_run_of_a_process_that_is_killed_goes_on_in_one_other(shop, tmp_path):
    """It is lost at once, not before; of several that resume it one does, under the same id."""
    process = shop("run")
    (identity,) = begun(tmp_path, 1)
    living = asyncio.run(known(tmp_path))
    process.kill()
    process.wait()
    killed = asyncio.run(known(tmp_path))
    (tmp_path / "go").touch()
    others = [shop("resume", identity) for _ in range(3)]
    answers = [answer(each) for each in others]

    assert (living, killed) == ([(identity, "running")], [(identity, "lost")])
    assert sorted(map(str, answers)).count(str([identity, 5])) == 1
    assert all(each == [identity, 5] or "cannot be resumed" in each for each in answers)
    assert begun(tmp_path, 2) == [identity] * 2
    assert asyncio.run(known(tmp_path)) == [(identity, "succeeded")]


@pytest.mark.once
def test_one_key_is_one_run_in_several_processes(shop, tmp_path):
    """However many ask at once; when the one that runs it is killed, the next who asks goes on with it."""
    first = shop("run", "monday")
    (identity,) = begun(tmp_path, 1)
    first.kill()
    first.wait()
    (tmp_path / "go").touch()
    answers = [answer(each) for each in [shop("run", "monday") for _ in range(3)]]

    assert answers == [[identity, 5]] * 3
    assert begun(tmp_path, 2) == [identity] * 2


# --- what the second half of a cancelled call leaves ---------------------------------------------------------------


def test_a_submission_that_is_cancelled_leaves_no_run(tmp_path):
    """After any step of the loop, also while the file is written."""

    async def scenario():
        calls = []

        async def body(steps):
            calls.append(steps.run)

        async with executor(tmp_path) as executing:
            for steps in range(60):
                submitting = asyncio.ensure_future(executing.submit(Job("task", "reindex"), body))
                for _ in range(steps % 6):
                    await asyncio.sleep(0)
                if not submitting.done():
                    submitting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await executing.wait(await submitting)
            return {each.id for each in await executing.runs(limit=100)} == set(calls)

    assert asyncio.run(scenario())


def test_a_resumption_that_is_cancelled_leaves_a_run_that_can_be_resumed(tmp_path):
    """At any moment, also between the reads and the writes."""

    async def fail(steps):
        raise OSError("no paper")

    async def scenario():
        async with executor(tmp_path) as executing:
            for moment in range(60):
                identity = (await one(executing, fail)).id
                resuming = asyncio.ensure_future(executing.resume(identity, Job("task", "reindex"), gives))
                until = time.perf_counter() + moment * 0.00003  # a timer of the loop is not that fine
                while time.perf_counter() < until:
                    await asyncio.sleep(0)
                resuming.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await resuming
                async with asyncio.timeout(10):
                    if (run := await executing.wait(identity)).state != "succeeded":
                        await executing.resume(identity, Job("task", "reindex"), gives)
                        run = await executing.wait(identity)
                assert (run.id, run.result) == (identity, 1)
        return True

    assert asyncio.run(scenario())


def test_a_run_that_does_not_end_is_not_resumed_elsewhere(tmp_path):
    """Its process still works on it, although the runtime is closed."""
    free = None

    async def stubborn(steps):
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await free.wait()

    async def scenario():
        nonlocal free
        free = asyncio.Event()
        runtime = assemble(
            {"app": {"state_dir": str(tmp_path)}, "lifecycle": {"cancel_grace": 0.05}}, environment=False
        )
        async with runtime:
            executing = await runtime.executor("local")
            identity = await executing.submit(Job("task", "reindex"), stubborn)
            await asyncio.sleep(0.01)
        left = (await runtime.close()).left
        async with executor(tmp_path) as other:
            state = (await other.get(identity)).state
            with pytest.raises(RunError, match="it is running"):
                await other.resume(identity, Job("task", "reindex"), gives)
        free.set()
        await asyncio.sleep(0)
        return left == (f"task task reindex {identity}",), state

    assert asyncio.run(scenario()) == (True, "running")
