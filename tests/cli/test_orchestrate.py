"""``oneiric orchestrate`` in a process of its own: told by signals and by other processes, and killed."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from textwrap import dedent

import pytest

pytestmark = pytest.mark.once

SHOP = """
import asyncio
import pathlib
import threading
import time
from oneiric_hookspecs import Candidate, Key, Need, hookimpl

LOG = pathlib.Path(__file__).with_name("log")


def log(line):
    with LOG.open("a") as file:
        file.write(line + "\\n")


class Cache:
    def __init__(self, name):
        self.name, self.open = name, True

    def use(self):
        assert self.open
        return self.name

    def close(self):
        self.open = False
        log(f"closed {self.name}")


class Mail:
    \"\"\"Works on the cache without pause; each piece of work takes a while, and is finished.\"\"\"

    def __init__(self, cache):
        self.cache, self.ending = cache, asyncio.Event()

    async def run(self):
        log("mail runs")
        while not self.ending.is_set():
            with self.cache() as cache:
                name = cache.use()
                await asyncio.sleep(0.4)
                assert cache.use() == name
                log(f"sent by {name}")

    def stop(self):
        self.ending.set()


def memory():
    return Cache("memory")


def disk():
    return Cache("disk")


def bad():
    raise OSError("no route to host")


@hookimpl
def oneiric_candidates():
    cache = Key.of("adapter", "stock")
    yield Candidate(cache, "memory", memory)
    yield Candidate(cache, "disk", disk, priority=-1)
    yield Candidate(cache, "bad", bad, priority=-2)
    yield Candidate(Key.of("service", "mail"), "smtp", Mail, needs=[Need(cache, name="cache", on_change="handle")])


@hookimpl
async def oneiric_started(host):
    async with host.use("adapter", "stock"):
        pass
    if LOG.with_name("thread").exists():
        threading.Thread(target=hold, args=[host], daemon=True).start()


def hold(host):
    with host.lease("adapter", "stock") as cache:
        log("thread works")
        while LOG.with_name("keep").exists():
            time.sleep(0.05)
        time.sleep(1.5)
        cache.use()
        log("thread finished")
"""
SETTINGS = """
[app]
name = "shop"
plugins = ["shop"]
state_dir = "state"
"""


class Running:
    """A process of ``oneiric orchestrate``."""

    def __init__(self, folder, process):
        self.folder, self.process = folder, process

    def log(self):
        path = self.folder.path / "log"
        return path.read_text().splitlines() if path.exists() else []

    def until(self, line, seconds=30):
        """Wait for a line of the log."""
        end = time.monotonic() + seconds
        while line not in self.log():
            assert time.monotonic() < end, f"{line!r} is not in {self.log()}"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)

    def end(self, number=signal.SIGTERM, seconds=30):
        """Tell it to end; its exit code and what it said."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err


@pytest.fixture
def shop(folder):
    folder.write("shop.py", SHOP)
    folder.write("oneiric.toml", SETTINGS)
    return folder


@pytest.fixture
def orchestrated(shop):
    """``orchestrated(*words)``: a process that keeps the shop going; killed at the end."""
    begun = []

    def orchestrated(*words, **environment):
        process = shop.start("orchestrate", *words, **environment)
        begun.append(process)
        running = Running(shop, process)
        running.until("mail runs")
        return running

    yield orchestrated
    for process in begun:
        if process.poll() is None:
            process.kill()
        with contextlib.suppress(ValueError):
            process.communicate()


def history(shop, *words):
    """What has happened, oldest first."""
    return json.loads(shop.spawn("history", "--json", "-n", 1000, *words).out)["events"][::-1]


def test_sigterm_lets_what_is_under_way_finish(shop, orchestrated):
    """A piece of work of the service and a lease in a thread: both end well, then the cache is closed; exit 0."""
    shop.write("thread", "")
    running = orchestrated()
    running.until("thread works")
    running.until("sent by memory")

    code, out, err = running.end()

    log = running.log()
    assert (code, out) == (0, ""), err
    assert "thread finished" in log
    assert log[-1] == "closed memory"
    assert log.count("closed memory") == 1
    assert "Traceback" not in err
    assert [event["kind"] for event in history(shop)][-1] == "stop"


def test_a_drain_names_who_lost_it(shop, orchestrated):
    """When the time to finish is over: in what the command says, and in the history."""
    shop.write("thread", "")
    shop.write("keep", "")
    running = orchestrated(ONEIRIC__LIFECYCLE__DRAIN_TIMEOUT="0.6")
    running.until("thread works")
    drained = shop.spawn("drain", "adapter", "stock")
    (told,) = history(shop, "--kind", "drained", "--key", "adapter:stock")
    (shop.path / "keep").unlink()

    assert (drained.code, drained.err) == (0, "")
    assert "adapter:stock was closed under thread " in drained.out.splitlines()[1]
    assert told["outcome"] == "forced"
    assert told["reason"].startswith("closed under thread ")


def test_ctrl_c_is_the_same(shop, orchestrated):
    """Exit 0: it was told to end, and did."""
    running = orchestrated()
    code, _, err = running.end(signal.SIGINT)

    assert code == 0, err
    assert running.log()[-1] == "closed memory"


def test_a_second_signal_does_not_wait(shop, orchestrated):
    """Whoever says it twice is in a hurry; what did not end is named."""
    shop.write("thread", "")
    running = orchestrated()
    running.until("thread works")
    began = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    code, _, err = running.end()

    assert time.monotonic() - began < 20
    assert code != 0 or "thread finished" in running.log(), err


def test_after_kill_9_nothing_is_claimed(shop, orchestrated):
    """It is not counted as living at once; the next start says that it was lost, and runs."""
    running = orchestrated()
    before = json.loads(shop.spawn("status", "--json").out)
    running.process.kill()
    running.process.wait()
    after = json.loads(shop.spawn("status", "--json").out)
    (shop.path / "log").unlink()

    again = orchestrated()
    events = history(shop)
    code, _, _ = again.end()

    assert len(before["nodes"]) == 1
    assert [node["living"] for node in after["nodes"]] == [False]
    assert [event["kind"] for event in events].count("lost") == 1
    assert code == 0


def test_a_swap_from_another_process(shop, orchestrated):
    """It is made there, and back when it has been; a bad one exits 4, and the old one serves."""
    running = orchestrated()
    done = shop.spawn("swap", "adapter", "stock", "disk", "--json", ONEIRIC_ACTOR="ann")
    running.until("sent by disk")
    refused = shop.spawn("swap", "adapter", "stock", "bad", ONEIRIC_ACTOR="bob")
    lines = len(running.log())
    time.sleep(1)
    told = [(e["kind"], e["actor"], e["outcome"], e["new"]) for e in history(shop) if e["key"] == "stock"]

    assert done.code == 0, done.err
    assert refused.code == 4, refused.out
    assert "no route to host" in refused.err
    assert "Traceback" not in refused.err
    assert set(running.log()[lines:]) == {"sent by disk"}
    assert ("swap", "ann", "swapped", "disk") in told
    assert any(kind == "fail" and actor == "bob" for kind, actor, _, _ in told)


def test_a_pause_refuses_within_a_second(shop, orchestrated):
    """And a resume lets in again; both with who and why in history."""
    running = orchestrated()
    paused = shop.spawn("pause", "adapter", "stock", "--note", "moving", ONEIRIC_ACTOR="ann")
    time.sleep(1)
    during = running.log().count("sent by memory")
    time.sleep(1)
    after = running.log().count("sent by memory")
    resumed = shop.spawn("resume", "adapter", "stock", ONEIRIC_ACTOR="bob")
    told = [(e["kind"], e["actor"], e["reason"]) for e in history(shop)]

    assert (paused.code, resumed.code) == (0, 0), paused.err + resumed.err
    assert after == during
    assert ("pause", "ann", "moving") in told
    assert ("resume", "bob", "") in told


@pytest.mark.parametrize("way", ["rename", "symlink", "in place", "half-written"])
def test_an_edit_is_one_applied_revision(shop, orchestrated, way):
    """However the file is written; one that is written in two halves is not read between them."""
    path = shop.path / "oneiric.toml"
    if way == "symlink":
        (shop.path / "one").mkdir()
        (shop.path / "two").mkdir()
        path.rename(shop.path / "one/oneiric.toml")
        (shop.path / "data").symlink_to("one")
        path.symlink_to("data/oneiric.toml")
    running = orchestrated(ONEIRIC__ORCHESTRATE__POLL="0.1")
    text = dedent(SETTINGS) + '[adapters.selections]\nstock = "disk"\n'
    if way == "rename":
        (shop.path / "new").write_text(text)
        (shop.path / "new").rename(path)
    elif way == "symlink":
        (shop.path / "two/oneiric.toml").write_text(text)
        (shop.path / "link").symlink_to("two")
        (shop.path / "link").rename(shop.path / "data")
    elif way == "in place":
        path.write_text(text)
    else:
        with path.open("w") as file:
            file.write(text[:-8])
            file.flush()
            time.sleep(0.15)
            file.write(text[-8:])
    running.until("sent by disk")
    time.sleep(1)
    applied = [event["outcome"] for event in history(shop) if event["kind"] == "settings"]

    assert applied == ["applied"]


def test_what_is_invalid_keeps_the_last_good(shop, orchestrated):
    """It is said, the parts go on, and the next good file is taken."""
    path = shop.path / "oneiric.toml"
    running = orchestrated(ONEIRIC__ORCHESTRATE__POLL="0.1")
    running.until("sent by memory")
    shop.write("good.toml", SETTINGS)
    path.write_text(dedent(SETTINGS) + "[adapters.selections\n")
    end = time.monotonic() + 20
    while not (refused := [e for e in history(shop, "-c", "good.toml") if e["kind"] == "settings"]):
        assert time.monotonic() < end
    while "oneiric.toml:6" not in (status := shop.spawn("status", "-c", "good.toml")).out:
        assert time.monotonic() < end, status.out
    health = shop.spawn("health", "--ready", "-c", "good.toml")
    path.write_text(dedent(SETTINGS) + '[adapters.selections]\nstock = "disk"\n')
    running.until("sent by disk")

    assert refused[0]["outcome"] == "refused"
    assert health.code == 0, health.out  # stale settings are no reason to take the work elsewhere


def test_an_application_is_reached_just_so(shop):
    """``async with orchestrate(runtime)`` in a program of one's own is a node like any other."""
    shop.write(
        "app.py",
        """
        import asyncio
        from oneiric import assemble, orchestrate

        async def main():
            async with orchestrate(assemble("oneiric.toml"), node="app") as orchestrator:
                async with orchestrator.runtime.use("adapter", "stock"):
                    pass
                print("up", flush=True)
                while orchestrator.runtime.bound("adapter", "stock").candidate.provider != "disk":
                    await asyncio.sleep(0.02)
                print("disk", flush=True)
                await asyncio.sleep(0.5)

        asyncio.run(main())
        """,
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "app.py"],
        cwd=shop.path,
        env=shop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "up\n", process.communicate()
    done = shop.spawn("swap", "adapter", "stock", "disk", "--json")
    out, err = process.communicate(timeout=30)

    assert done.code == 0, done.err
    assert (process.returncode, out, err) == (0, "disk\n", "")
    assert (shop.path / "log").read_text().splitlines()[-1] == "closed disk"


def test_a_one_shot_command_honours_what_operators_want(shop):
    """What is pinned is pinned there too, though nothing runs."""
    pinned = shop.spawn("swap", "adapter", "stock", "disk")
    shop.write(
        "tasks.py",
        """
        from oneiric_hookspecs import Candidate, Key, Need, TaskSpec, hookimpl

        class Say:
            def __init__(self, cache):
                self.cache = cache

            async def run(self, payload, context):
                return self.cache.use()

        @hookimpl
        def oneiric_candidates():
            yield Candidate(Key.of("task", "say"), "it", Say, needs=[Need(Key.of("adapter", "stock"), name="cache")])
        """,
    )
    ran = shop.spawn("-p", "tasks", "task", "run", "say", "--json")

    assert pinned.code == 0, pinned.err
    assert ran.json["result"] == "disk", ran.err


STUBBORN = """
import asyncio
import pathlib
from oneiric_hookspecs import Candidate, Key, hookimpl

LOG = pathlib.Path(__file__).with_name("log")


class Mail:
    async def run(self):
        LOG.write_text("mail runs\\n")
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass


@hookimpl
def oneiric_candidates():
    yield Candidate(Key.of("service", "mail"), "smtp", Mail)
"""


def test_what_will_not_end_does_not_keep_the_process(shop, orchestrated):
    """A service that swallows its cancellation: it is named when the time is over, and the exit code is 8."""
    shop.write("shop.py", STUBBORN)
    running = orchestrated(ONEIRIC__LIFECYCLE__SHUTDOWN_TIMEOUT="1", ONEIRIC__LIFECYCLE__CANCEL_GRACE="0.2")
    code, _, err = running.end(seconds=15)

    assert code == 8, err
    assert "did not end in time: <service:mail#1 smtp" in err
    assert "Traceback" not in err
    assert "never retrieved" not in err
    assert "destroyed" not in err


def test_a_damaged_wish_is_one_wish(shop, orchestrated):
    """Somebody has edited the store: all words go on, each says so, and unpin takes it back, also beside no process."""
    shop.spawn("pin", "adapter", "stock", "disk")
    with contextlib.closing(sqlite3.connect(shop.path / "state/state.db", isolation_level=None)) as db:
        db.execute("UPDATE entries SET value = '{disk' WHERE key = 'desired/pins/adapter:stock'")
    running = orchestrated()
    paused = shop.spawn("pause", "service", "mail")
    looked = [shop.spawn(word) for word in ("status", "activity", "plan")]
    unpinned = shop.spawn("unpin", "adapter", "stock")
    code, _, err = running.end()

    assert (paused.code, unpinned.code, code) == (0, 0, 0), (paused.err, unpinned.err, err)
    assert [each.code for each in looked] == [0, 0, 0], [each.err for each in looked]
    for each in looked:
        assert "the value of desired/pins/adapter:stock is damaged" in each.err
        assert "oneiric unpin adapter stock" in each.err
    assert "Traceback" not in err
    assert "is damaged" not in shop.spawn("explain", "adapter", "stock").err
