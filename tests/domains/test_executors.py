"""Executors: what every one promises, and how an application comes to its own."""

import asyncio
import importlib.util
import logging
from pathlib import Path

import pytest
from oneiric_hookspecs import (
    Candidate,
    Executor,
    Graph,
    Key,
    Node,
    RunError,
    RuntimeClosing,
    StateError,
    hookimpl,
)

from oneiric import assemble
from oneiric.testing.executors import ExecutorConformance

DRAWER = Path(__file__).with_name("drawer.py")


def drawer():
    """The plugin, as a module of its own."""
    spec = importlib.util.spec_from_file_location("drawer", DRAWER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def local(folder, **settings):
    """An application whose runs are kept in *folder*, or nowhere."""
    tables = {"executors.local": settings}
    return assemble({"app": {"state_dir": str(folder)}, "plugins": {"settings": tables}}, environment=False)


class TestLocal(ExecutorConformance):
    """With a journal."""

    name = "local"

    def application(self, folder):
        return local(folder)


class TestLocalWithoutJournal(ExecutorConformance):
    """With nothing written down."""

    name = "local"

    def application(self, folder):
        return local(folder, journal=False)


class TestLocalWithLittleRoom(ExecutorConformance):
    """With few runs at once; nobody waits for ever."""

    name = "local"

    def application(self, folder):
        return local(folder, journal=False, concurrency=2)


class TestDrawer(ExecutorConformance):
    """Somebody else's, of a few lines."""

    name = "drawer"

    def application(self, folder):
        return assemble({"app": {"state_dir": str(folder)}}, plugins=[drawer()], environment=False)


# --- which one -----------------------------------------------------------------------------------------------------


class Started:
    """Enough of an executor to be started and closed."""

    def __init__(self, close=None):
        self.closed, self._close = 0, close

    async def close(self):
        self.closed += 1
        if self._close is not None:
            await self._close()

    async def submit(self, job, body): ...
    async def wait(self, run): ...
    async def get(self, run): ...
    async def runs(self, **which): ...
    async def steps(self, run): ...
    async def cancel(self, run): ...
    async def resume(self, run, job, body): ...


def bringing(name, start, plugin="kit"):
    """A plugin that declares an executor."""

    @hookimpl
    def oneiric_executors(self):
        yield Executor(name, set(), start)

    return type(plugin, (), {"oneiric_executors": oneiric_executors})()


def runtime_of(*plugins):
    return assemble({"lifecycle": {"shutdown_timeout": 8.0}}, plugins=plugins, environment=False)


def test_an_executor_is_chosen_by_a_settings_file(tmp_path, monkeypatch):
    """The task domain runs what it is given by the one that is named there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "drawer_kit.py").write_text(DRAWER.read_text())
    (tmp_path / "oneiric.toml").write_text(
        '[app]\nplugins = ["drawer_kit"]\n[plugins.settings."domains.task"]\nexecutor = "drawer"\n'
    )

    class Task:
        async def run(self, payload, context):
            return context.run

    async def scenario():
        async with assemble("oneiric.toml", environment=False) as runtime:
            runtime.register(Candidate(Key("task", "reindex"), "mine", Task))
            with pytest.raises(RunError, match="the drawer cannot keys"):
                await runtime.domain("task").run("reindex", key="k")
            return await runtime.call("task", "reindex")

    assert asyncio.run(scenario()) == "drawer-1"


def test_workflows_are_run_by_the_executor_of_their_settings(tmp_path, monkeypatch):
    """Neither domain knows who runs what: the same graph gives the same by another one, and what that cannot do is
    refused when it is asked for.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "drawer_kit.py").write_text(DRAWER.read_text())
    (tmp_path / "oneiric.toml").write_text(
        '[app]\nplugins = ["drawer_kit"]\n[plugins.settings."domains.workflow"]\nexecutor = "drawer"\n'
    )

    class Task:
        async def run(self, payload, context):
            return [context.run, context.node, dict(context.results)]

    graph = Graph((Node("a", "say"), Node("b", "say", after=("a",))))

    async def scenario():
        async with assemble("oneiric.toml", environment=False) as runtime:
            runtime.register(Candidate(Key("task", "say"), "mine", Task))
            runtime.register(Candidate.ready(Key("workflow", "both"), "mine", graph))
            workflows = runtime.domain("workflow")
            with pytest.raises(RunError, match="the drawer cannot keys"):
                await workflows.run("both", key="k")
            return await workflows.run("both"), [run.id for run in await workflows.runs()]

    result, runs = asyncio.run(scenario())
    assert result == {"b": ["drawer-1", "b", {"a": ["drawer-1", "a", {}]}]}
    assert runs == ["drawer-1"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("locla", "did you mean local?"), ("zzz", "there are: kits, local")],
    ids=["near", "far"],
)
def test_a_name_that_nobody_brings_is_told_with_what_is_near(name, hint, run):
    """When it is first asked for."""

    async def scenario():
        async with runtime_of(bringing("kits", lambda host, folder: Started())) as runtime:
            with pytest.raises(RunError) as caught:
                await runtime.executor(name)
            return str(caught.value)

    assert run(scenario()) == f"no plugin brings an executor {name!r}\n  {hint}"


def test_of_two_of_one_name_neither_is_chosen(run):
    """Both plugins are named."""
    plugins = [bringing("kits", lambda host, folder: Started(), name) for name in ("one", "other")]

    async def scenario():
        async with runtime_of(*plugins) as runtime:
            with pytest.raises(RunError) as caught:
                await runtime.executor("kits")
            return str(caught.value)

    assert run(scenario()) == (
        "several plugins bring an executor 'kits': one, other\n"
        "  switch all but one of them off: [plugins] off"
    )


def test_it_is_started_once_with_the_state_directory(run, tmp_path):
    """However many ask at once, and whoever of them goes away; it is closed with the runtime, once."""
    asked, started = [], Started()

    async def start(host, folder):
        asked.append((host, folder))
        await asyncio.sleep(5)
        return started

    async def scenario():
        runtime = assemble(
            {"app": {"state_dir": str(tmp_path)}}, plugins=[bringing("kits", start)], environment=False
        )
        async with runtime:
            waiting = [asyncio.ensure_future(runtime.executor("kits")) for _ in range(4)]
            await asyncio.sleep(1)
            waiting[0].cancel()
            came = await asyncio.gather(*waiting[1:], runtime.executor("kits"))
            again = await runtime.executor("kits")
            assert asked == [(runtime, tmp_path)]
        return {id(each) for each in (*came, again)} == {id(started)}, started.closed

    assert run(scenario()) == (True, 1)


@pytest.mark.parametrize("error", [OSError("no paper"), StateError("it is damaged")], ids=["any", "ours"])
def test_a_start_that_fails_is_told_to_all_and_tried_again(error, run):
    """Each who waits gets an error of his own."""
    count = 0

    async def start(host, folder):
        nonlocal count
        count += 1
        await asyncio.sleep(1)
        if count == 1:
            raise error
        return Started()

    async def scenario():
        async with runtime_of(bringing("kits", start)) as runtime:
            came = await asyncio.gather(*(runtime.executor("kits") for _ in range(3)), return_exceptions=True)
            return came, await runtime.executor("kits")

    came, started = run(scenario())
    said = {
        OSError: "the executor 'kits' of plugin kit did not start: OSError: no paper",
        StateError: "it is damaged",
    }
    assert [str(each) for each in came] == [said[type(error)]] * 3
    assert (len({id(each) for each in came}), type(started), count) == (3, Started, 2)


def test_what_is_started_has_to_be_an_executor(run):
    """The error names the plugin, and what it gave."""

    async def scenario():
        async with runtime_of(bringing("kits", lambda host, folder: 5)) as runtime:
            with pytest.raises(RunError) as caught:
                await runtime.executor("kits")
            return str(caught.value)

    said = "plugin kit starts an executor 'kits' that is none: int\n  see oneiric_hookspecs.Executing"
    assert run(scenario()) == said


def test_one_that_hangs_at_the_end_is_told_and_left(run):
    """The runtime closes in its time all the same, and so do the others."""
    good = Started()

    async def hang():
        await asyncio.sleep(1000)

    plugins = [
        bringing("good", lambda host, folder: good, "one"),
        bringing("bad", lambda host, folder: Started(hang), "other"),
    ]

    async def scenario():
        runtime = runtime_of(*plugins)
        async with runtime:
            await asyncio.gather(runtime.executor("good"), runtime.executor("bad"))
        return (await runtime.close()).left

    assert (run(scenario()), good.closed) == (("the executor bad",), 1)


def test_one_that_raises_at_the_end_is_told(run, caplog):
    """Nobody is there any more to get the error."""

    async def fail():
        raise OSError("no paper")

    async def scenario():
        runtime = runtime_of(bringing("kits", lambda host, folder: Started(fail)))
        async with runtime:
            await runtime.executor("kits")
        return (await runtime.close()).left

    with caplog.at_level(logging.WARNING):
        assert run(scenario()) == ()
    assert [each.message for each in caplog.records] == ["the executor kits did not close well: no paper"]


def test_one_that_is_being_started_at_the_end_is_closed(run):
    """Who waits for it is told."""
    started = Started()

    async def start(host, folder):
        await asyncio.sleep(1)
        return started

    async def scenario():
        runtime = runtime_of(bringing("kits", start))
        async with runtime:
            waiting = asyncio.ensure_future(runtime.executor("kits"))
            await asyncio.sleep(0)
        with pytest.raises(RunError, match="the executor 'kits' is closed"):
            await waiting
        return started.closed

    assert run(scenario()) == 1


def test_executors_belong_to_a_runtime_that_runs(run):
    """Before and after there are none."""

    async def scenario():
        runtime = runtime_of()
        with pytest.raises(RuntimeClosing):
            await runtime.executor("local")
        async with runtime:
            pass
        with pytest.raises(RuntimeClosing):
            await runtime.executor("local")

    run(scenario())
