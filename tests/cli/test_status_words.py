"""``oneiric status`` and ``oneiric health``: beside processes that keep going, beside none, and beside what one left."""

import asyncio
import json
import threading
import time

import pytest

from oneiric import assemble, orchestrate

PLUGIN = """
    class Part:
        def health(self):
            return True

    class Ill:
        def health(self):
            return {"status": "degraded", "reason": "low on paper"}

    def bad():
        raise OSError("no route to printer.example")
"""
CANDIDATES = (
    'Candidate(Key("adapter", "stock"), "old", Part)',
    'Candidate(Key("adapter", "stock"), "new", Part, priority=-1)',
    'Candidate(Key("adapter", "paper"), "tray", Ill)',
    'Candidate(Key("adapter", "printer"), "laser", bad)',
)
TOML = """
    [app]
    name = "shop"
    plugins = ["shop"]
    state_dir = "state"

    [health.groups.front]
    include = ["adapter:stock"]

    [orchestrate]
    start = START
    watch = false
"""


class Kept(threading.Thread):
    """A process that keeps going, in a thread."""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.named, self.ready, self.over, self.error = name, threading.Event(), threading.Event(), None

    def __enter__(self):
        self.start()
        assert self.ready.wait(30)
        assert self.error is None, self.error
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(30)
        assert self.error is None, self.error

    def run(self):
        try:
            asyncio.run(self.keep())
        except BaseException as error:
            self.error = error
            self.ready.set()
            raise

    async def keep(self):
        async with orchestrate(assemble("oneiric.toml"), node=self.named) as orchestrator:
            self.orchestrator = orchestrator
            self.loop = asyncio.get_running_loop()
            async with asyncio.timeout(20):
                while len(await orchestrator.member.observed.of(self.named)) < len(self.wanted(orchestrator)):
                    await asyncio.sleep(0.02)
            await orchestrator._sum_up()
            self.ready.set()
            while not self.over.is_set():
                await asyncio.sleep(0.02)

    @staticmethod
    def wanted(orchestrator):
        return orchestrator.runtime.settings.orchestrate.start

    def do(self, work):
        """Await *work* there, and have what came of it written down."""

        async def both():
            await work
            await orchestrator.recorder.turn()
            await orchestrator._sum_up()

        orchestrator = self.orchestrator
        return asyncio.run_coroutine_threadsafe(both(), self.loop).result(20)


@pytest.fixture
def shop(folder, monkeypatch):
    """A project; ``shop.starting(keys...)`` says what a process starts."""
    monkeypatch.syspath_prepend(folder.path)
    folder.plugin("shop", *CANDIDATES, before=PLUGIN)

    def starting(*keys):
        folder.write("oneiric.toml", TOML.replace("START", json.dumps(list(keys))))
        return folder

    folder.starting = starting
    starting("adapter:stock")
    return folder


def parts(told):
    return {(each["node"], each["key"]): each for each in told["parts"]}


# --- status --------------------------------------------------------------------------------------------------------


def test_nothing_runs(shop):
    """It is said, and that is an answer."""
    ended = shop.run("status")

    assert (ended.code, ended.out) == (
        0,
        "no process of this application runs; it is kept going by: oneiric orchestrate\n",
    )
    assert shop.run("status", "--json").json["running"] is False


def test_status_of_a_process(shop):
    """What serves, and how well; in a table for people, and as documented for programs."""
    shop.starting("adapter:stock", "adapter:paper")
    with Kept("one") as one:
        one.do(one.orchestrator.runtime.swap("adapter", "stock", "new"))
        people, told = shop.run("status"), shop.run("status", "--json").json

    lines = people.out.splitlines()
    assert lines[0].startswith("one: process ")
    assert lines[0].endswith("degraded: adapter:paper is degraded: low on paper")
    assert lines[2].split() == [
        "DOMAIN",
        "KEY",
        "STATE",
        "PROVIDER",
        "SINCE",
        "HEALTH",
        "P95",
        "SWAPS",
        "PINNED",
    ]
    assert lines[4].split()[:4] == ["adapter", "stock", "ready", "new"]
    assert "adapter:paper: low on paper" in lines
    assert (told["running"], told["pins"]) == (True, {"adapter:stock": "new"})
    assert parts(told)["one", "stock"]["provider"] == "new"
    assert parts(told)["one", "stock"]["measured"]["outcomes"] == {"activated": 1, "swapped": 1}


def test_status_is_as_documented(shop, documented):
    """With a process, with parts that fail, and with none."""
    shop.starting("adapter:stock", "adapter:printer")
    with Kept("one"):
        told = shop.run("status", "--json").json
        well = shop.run("health", "--json").json

    documented(told, "status")
    documented(well, "health")
    documented(shop.run("status", "--json").json, "status")
    documented(shop.run("health", "--json").json, "health")


@pytest.mark.parametrize("columns", ["80", "100", "40"])
def test_it_fits(shop, monkeypatch, columns):
    """No line is wider than the terminal, whatever a part says."""
    monkeypatch.setenv("COLUMNS", columns)
    shop.starting("adapter:stock", "adapter:paper", "adapter:printer")
    with Kept("a-machine-with-a-long-name-4711-af3e"), Kept("another-machine-4712-af3f"):
        ended = shop.run("status")

    assert max(map(len, ended.out.splitlines())) <= int(columns)
    assert "no route to" in ended.out


def test_several_processes_stand_beside_each_other(shop):
    """Each with its own; what all of them say is said once."""
    shop.starting("adapter:printer")
    with Kept("one"), Kept("two"):
        ended, told = shop.run("status"), shop.run("status", "--json").json

    assert sorted(parts(told)) == [("one", "printer"), ("two", "printer")]
    assert ended.out.split("\n\n")[-1].count("no route to printer.example\n") == 1
    assert told["domains"]["adapter"]["failed"] == 2


def test_what_is_known_last_is_no_more_than_that(shop):
    """A process that was killed leaves what it had written: it is shown as that, and nothing is said to run."""

    async def leave():
        runtime = assemble("oneiric.toml")
        async with runtime, orchestrate(runtime, node="gone") as orchestrator:
            await runtime.swap("adapter", "stock", "new")
            await orchestrator.recorder.turn()
            table = dict(await runtime.state.scan("observed/gone/"))
            await orchestrator.stop()
            orchestrator.member.leave = orchestrator.recorder.last = _nothing
            return {name: each.value for name, each in table.items()}

    async def _nothing(*_):
        return None

    left = asyncio.run(leave())
    assert list(left) == ["observed/gone/adapter:stock"]
    ended = shop.run("status")

    assert ended.out.splitlines()[:4] == [
        "no process of this application runs; it is kept going by: oneiric orchestrate",
        "pinned, from the next start on: adapter:stock to new",
        "",
        "known last, and maybe not so any more:",
    ]
    assert ended.out.splitlines()[5].endswith("s ago")
    assert shop.run("health").code == 6


def test_only_one_part_or_one_domain(shop):
    """By its key, in one word or two; a part that nobody has is none."""
    shop.starting("adapter:stock", "adapter:paper")
    with Kept("one"):
        found = [
            sorted(parts(shop.run("status", "--json", *words).json))
            for words in (
                ["--key", "stock"],
                ["--key", "adapter:stock"],
                ["--domain", "adapters", "--key", "stock"],
            )
        ]
        wrong = [shop.run("status", *words).code for words in (["--key", "stok"], ["--domain", "adaptr"])]
        both = shop.run("status", "--domain", "service", "--key", "adapter:stock")

    assert found == [[("one", "stock")]] * 3
    assert (wrong, both.code) == ([3, 3], 2)


@pytest.mark.once
def test_watch_says_what_changes_and_ends_by_an_interrupt(shop):
    """One object in a line, whenever it is another one; Ctrl-C leaves no traceback."""
    with Kept("one") as one:
        watching = shop.start("status", "--watch", "--json")
        first = json.loads(watching.stdout.readline())
        one.do(one.orchestrator.runtime.swap("adapter", "stock", "new"))
        while parts(found := json.loads(watching.stdout.readline()))["one", "stock"]["provider"] != "new":
            pass
        watching.send_signal(2)
        _, err = watching.communicate(timeout=20)

    assert (first["schema"], found["schema"]) == ("oneiric/status/1", "oneiric/status/1")
    assert watching.returncode == 130
    assert "Traceback" not in err


# --- health --------------------------------------------------------------------------------------------------------


def test_health_where_nothing_runs(shop):
    """Not ready; and it is said why."""
    ended = shop.run("health")

    assert (ended.code, ended.out) == (6, "not ready: no process of this application runs\n")


@pytest.mark.parametrize(
    ("start", "words", "code", "line"),
    [
        ("adapter:stock", [], 0, "ok"),
        ("adapter:stock", ["--ready"], 0, "ok"),
        ("adapter:stock", ["--probe"], 0, "ok"),
        ("adapter:paper", [], 0, "degraded: adapter:paper is degraded: low on paper"),
        ("adapter:printer", ["--live"], 0, "ok"),
        ("adapter:printer", ["--group", "front"], 0, "ok"),
        ("adapter:printer", [], 6, "not ready: adapter:printer"),
        ("adapter:printer", ["--probe"], 6, "not well: adapter:printer"),
        ("adapter:printer", ["--group", "all"], 6, "not well: adapter:printer"),
        ("adapter:stock", ["--group", "frnt"], 3, ""),
        ("adapter:stock", ["--live", "--group", "all"], 2, ""),
    ],
)
def test_exit_code_is_the_answer(shop, start, words, code, line):
    """And the line says why, in a few words."""
    shop.starting(start)
    with Kept("one"):
        ended = shop.run("health", *words)

    assert ended.code == code
    assert ended.out.startswith(line)
    assert ended.out.count("\n") <= 1


def test_one_of_two_that_is_not_ready_is_named(shop):
    """The application is as its worst process."""
    shop.starting("adapter:stock")
    with Kept("one"):
        shop.starting("adapter:printer")
        with Kept("two"):
            ended = shop.run("health", "--json")

    assert (ended.code, ended.json["status"]) == (6, "failed")
    assert [each["status"] for each in ended.json["nodes"]] == ["ok", "failed"]
    assert all(each.startswith("two: ") for each in ended.json["reasons"])


def test_process_that_has_not_said_anything_is_not_ready(shop):
    """It lives, and nothing else is known of it."""

    async def live():
        from oneiric.plugins.stores.sqlite import SqliteStore
        from oneiric.state import Node, Observed, this_process
        from oneiric.state.nodes import said

        store = await SqliteStore.open(shop.path / "state" / "state.db")
        host, pid, birth = this_process()
        await Observed(store, "new").beat(said(Node(host, pid, birth, time.time(), "shop")), 60)
        await store.close()

    (shop.path / "state").mkdir()
    asyncio.run(live())
    ended = shop.run("health")

    assert (ended.code, ended.out) == (6, "not ready: it has not said yet how it is\n")
    assert "has not said yet how it is" in shop.run("status").out
