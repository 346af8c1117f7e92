"""The store of an application: from a settings file to ``runtime.state``."""

import asyncio
import logging

import attrs
import pytest
from oneiric_hookspecs import (
    Candidate,
    Key,
    OneiricError,
    PluginError,
    Retention,
    RuntimeClosing,
    SettingsError,
    StateError,
    StateStore,
    Store,
    Stored,
    WrongThread,
    hookimpl,
)

from oneiric import assemble
from oneiric.plugins.stores.memory import MemoryStore
from oneiric.settings import load
from oneiric.settings.places import state_folder


@pytest.fixture
def application(tmp_path, monkeypatch):
    """``application(toml)``: a runtime of a settings file whose state is beside it."""
    monkeypatch.chdir(tmp_path)
    for name in ("ONEIRIC_CONFIG", "ONEIRIC_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)

    def application(text="", plugins=(), state_dir=True):
        head = '[app]\nstate_dir = "state"\n' if state_dir else ""
        (tmp_path / "oneiric.toml").write_text(head + text)
        return assemble(tmp_path / "oneiric.toml", plugins=plugins, environment=False)

    return application


class Kept:
    """Stores that say what is done with them."""

    def __init__(self, opening=None, closing=None):
        self.said, self.opening, self.closing = [], opening, closing
        kept = self

        class Plugin:
            @hookimpl
            def oneiric_stores(self):
                return [Store("kept", kept.open, "for tests")]

            @hookimpl
            async def oneiric_stopping(self, host):
                kept.said.append("stopping")
                if kept.said[0] != "stopping":
                    await host.state.put("last", "word")

        self.plugin = Plugin

    async def open(self, rest, folder, keep):
        self.said.append(f"open {rest} {folder.name} {keep.records} {keep.seconds:g}")
        if self.opening is not None:
            await self.opening()
        kept = self

        class Told(MemoryStore):
            async def close(self):
                kept.said.append(f"close {await self.get('last') is not None}")
                if kept.closing is not None:
                    await kept.closing()
                await super().close()

        return Told("", keep)


# --- opening and closing -------------------------------------------------------------------------------------------


def test_who_never_asks_opens_nothing(application, tmp_path):
    """A runtime without state leaves nothing behind, not even after ``runtime.state`` was looked at."""
    kept = Kept()

    async def main():
        async with application('[state]\nurl = "kept:"\n', [kept.plugin]) as runtime:
            return isinstance(runtime.state, StateStore), runtime.state.is_open

    assert asyncio.run(main()) == (True, False)
    assert (kept.said, [each.name for each in tmp_path.iterdir()]) == (["stopping"], ["oneiric.toml"])


def test_store_is_there_again(application, tmp_path):
    """By default in a file in the state directory; what was put is there for the next runtime."""

    async def main():
        async with application() as runtime:
            revision = await runtime.state.put("a", {"b": 1})
            await runtime.state.append("log", 1)
        files = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file())
        async with application() as runtime:
            return files, revision, await runtime.state.get("a"), await runtime.state.read("log")

    files, revision, stored, records = asyncio.run(main())
    assert files == ["oneiric.toml", "state/state.db"]
    assert stored == Stored({"b": 1}, revision)
    assert [each.value for each in records] == [1]


def test_two_runtimes_share_a_store(application):
    """Two in one process, as two processes would: what one says the other hears."""

    async def main():
        async with application() as one, application() as other:
            hints = other.state.changes("a/")
            waiting = asyncio.ensure_future(anext(hints))
            await asyncio.sleep(0.1)
            await one.state.put("a/b", 1)
            async with asyncio.timeout(10):
                return await waiting, (await other.state.get("a/b")).value

    assert asyncio.run(main()) == ("a/b", 1)


def test_store_is_opened_once_and_closed_last(application):
    """Everybody who asks waits for one opening; parts and plugins can write until the end."""
    gate = {}

    async def opening():
        await gate["open"].wait()

    kept = Kept(opening)

    async def main():
        gate["open"] = asyncio.Event()
        text = '[state]\nurl = "kept:here"\nhistory_records = 5\nhistory_days = 2\n'
        async with application(text, [kept.plugin]) as runtime:
            waiting = [asyncio.ensure_future(runtime.state.put(f"k/{n}", n)) for n in range(10)]
            await asyncio.sleep(0)
            waiting[0].cancel()  # who asked first goes away
            await asyncio.sleep(0)
            gate["open"].set()
            await asyncio.gather(*waiting[1:])
            return len(await runtime.state.scan("k/"))

    assert asyncio.run(main()) == 9
    assert kept.said == ["open here state 5 172800", "stopping", "close True"]


def test_opening_that_fails_is_tried_again(application):
    """All who waited get the error; the next one to ask opens it."""
    times = []

    async def opening():
        times.append(1)
        await asyncio.sleep(0)
        if len(times) == 1:
            raise StateError("the disk is asleep")
        if len(times) == 2:
            raise ZeroDivisionError("a bug")

    kept = Kept(opening)

    async def main():
        async with application('[state]\nurl = "kept:secret"\n', [kept.plugin]) as runtime:
            first = await asyncio.gather(*(runtime.state.get("a") for _ in range(3)), return_exceptions=True)
            second = await asyncio.gather(runtime.state.get("a"), return_exceptions=True)
            return first, second, await runtime.state.get("a")

    first, second, third = asyncio.run(main())
    assert [str(each) for each in first] == ["the disk is asleep"] * 3
    assert len({id(each) for each in first}) == 3
    assert (
        str(second[0])
        .splitlines()[0]
        .endswith("oneiric.toml:4: the store 'kept' of plugin Plugin did not open: ZeroDivisionError: a bug")
    )
    assert (third, len(times)) == (None, 3)


def test_runtime_that_does_not_run_has_no_state(application):
    """Before it is entered, after it is closed, and from other threads: each has its own error."""

    async def main():
        runtime = application()
        said = []
        for _ in range(2):
            try:
                await runtime.state.get("a")
            except RuntimeClosing as error:
                said.append(str(error).splitlines()[0])
            if runtime.status().state == "new":
                async with runtime:
                    try:
                        await asyncio.to_thread(asyncio.run, runtime.state.get("a"))
                    except WrongThread as error:
                        said.append(str(error).splitlines()[0])
        return said

    assert asyncio.run(main()) == [
        "state: the runtime is new, not running",
        "runtime.state belongs on the loop on which the runtime was entered",
        "state: the runtime is closed, not running",
    ]


def test_state_in_virtual_time(application, run):
    """The store's thread is waited for, and who waits for hints does not keep time from passing."""

    async def main():
        async with application() as runtime:
            await runtime.state.beat("node", 1, 10.0)
            hints = runtime.state.changes("a/")
            waiting = asyncio.ensure_future(anext(hints))
            await asyncio.sleep(5.0)
            await runtime.state.put("a/b", 1)
            found = await waiting
            await hints.aclose()
            return found, asyncio.get_running_loop().time() < 10

    assert run(main) == ("a/b", True)


def test_scripts_have_state_too(application):
    """Through ``runtime.blocking``."""
    with application().blocking as runtime:
        runtime.run(runtime.runtime.state.put("a", 1))
        assert runtime.run(runtime.runtime.state.get("a")).value == 1


@pytest.mark.parametrize("fault", ["raises", "hangs"])
def test_store_that_does_not_close(application, fault, caplog):
    """It keeps nobody else from closing: a warning, or a line of the report."""

    async def closing():
        if fault == "raises":
            raise StateError("it will not")
        await asyncio.sleep(1000)

    kept = Kept(closing=closing)

    async def main():
        text = '[lifecycle]\nshutdown_timeout = 0.1\n[state]\nurl = "kept:"\n'
        runtime = application(text, [kept.plugin])
        async with runtime:
            await runtime.state.get("a")
        return (await runtime.close()).left

    with caplog.at_level(logging.WARNING, "oneiric"):
        left = asyncio.run(main())
    said = [record.getMessage() for record in caplog.records]
    assert (left, said) == (
        ((), ["the state store did not close well: it will not"])
        if fault == "raises"
        else (("the state store",), [])
    )


def test_parts_use_the_state(application):
    """A plugin gets it by its host: a part keeps a count across runtimes."""

    class Counting:
        def __init__(self, context):
            self.host = context.host

        @hookimpl
        def oneiric_candidates(self):
            host = self.host

            @attrs.define
            class Counter:
                async def count(self):
                    found = await host.state.get("counter")
                    value = 1 if found is None else found.value + 1
                    await host.state.put("counter", value)
                    return value

            return [Candidate(Key.of("adapter", "counter"), "kept", Counter)]

    async def main():
        found = []
        for _ in range(3):
            async with (
                application(plugins=[Counting]) as runtime,
                runtime.use("adapter", "counter") as counter,
            ):
                found.append(await counter.count())
        return found

    assert asyncio.run(main()) == [1, 2, 3]


# --- choosing ------------------------------------------------------------------------------------------------------


async def asked(runtime):
    async with runtime:
        try:
            return await runtime.state.get("a")
        except OneiricError as error:
            return error


def test_unknown_store_is_told_with_its_place(application, tmp_path):
    """Where it stands, and the nearest there is."""
    error = asyncio.run(asked(application('[state]\nurl = "sqlte:x"\n')))
    assert isinstance(error, SettingsError)
    assert (
        str(error)
        == f"{tmp_path}/oneiric.toml:4: state.url: no plugin brings a store 'sqlte' (did you mean sqlite:?)"
    )


def test_two_stores_of_one_scheme(application, tmp_path):
    """Neither is chosen, and both plugins are named; who chooses another store is not concerned."""

    class One:
        @hookimpl
        def oneiric_stores(self):
            return [Store("memory", lambda rest, folder, keep: MemoryStore(rest, keep))]

    error = asyncio.run(asked(application('[state]\nurl = "memory:"\n', [One])))
    assert str(error) == (
        f"{tmp_path}/oneiric.toml:4: state.url: several plugins bring a store 'memory': One, stores.memory "
        "(switch all but one of them off: [plugins] off)"
    )
    off = '[state]\nurl = "memory:"\n[plugins]\noff = ["stores.memory"]\n'
    assert asyncio.run(asked(application(off, [One]))) is None
    assert asyncio.run(asked(application("", [One]))) is None


def test_store_that_is_none(application):
    """What is opened must have every method of a store."""

    class Wrong:
        @hookimpl
        def oneiric_stores(self):
            return [Store("wrong", lambda rest, folder, keep: {"a": 1})]

    error = asyncio.run(asked(application('[state]\nurl = "wrong:"\n', [Wrong])))
    assert str(error).splitlines() == [
        "plugin Wrong opens a store 'wrong' that is none: dict",
        "  see oneiric_hookspecs.StateStore",
    ]


@pytest.mark.parametrize("field", ["open", "check"])
def test_store_that_cannot_be_called(field):
    """Said when it is declared."""
    with pytest.raises(PluginError, match=f"store x: {field} is called, found 1"):
        Store("x", **{"open": lambda rest, folder, keep: None} | {field: 1})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('url = "sqlite"', "expected the scheme of a store and a colon, as in \"sqlite:\", found 'sqlite'"),
        ('url = "SQL:x"', "'SQL' is not a scheme of a store"),
        ("url = 1", "expected a text, found 1"),
        ("history_days = 0", "expected a finite number of days above 0, found 0"),
        ("history_days = inf", "expected a finite number of days above 0, found inf"),
        ("history_records = 0", "expected a whole number, 1 or more, found 0"),
        ("history = 1", "unknown key"),
    ],
)
def test_settings_of_the_state_are_checked(application, value, said):
    """With file and line, before anything is opened."""
    with pytest.raises(SettingsError) as refused:
        application(f"[state]\n{value}\n")
    (problem,) = refused.value.problems
    assert said in str(problem)
    assert "oneiric.toml:4: state." in str(problem)


def test_settings_by_the_environment(application, monkeypatch, tmp_path):
    """``ONEIRIC__STATE__URL`` and ``ONEIRIC_STATE_DIR`` win over the file."""
    monkeypatch.setenv("ONEIRIC__STATE__URL", "sqlite:other.db")
    monkeypatch.setenv("ONEIRIC_STATE_DIR", str(tmp_path / "elsewhere"))

    async def main():
        async with application() as runtime:
            await runtime.state.put("a", 1)

    asyncio.run(main())
    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.db")] == ["elsewhere/other.db"]


def test_projects_have_states_of_their_own(tmp_path, monkeypatch):
    """Two folders of settings, one name: two places, both below the user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ONEIRIC_STATE_DIR", raising=False)
    folders = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "oneiric.toml").write_text('[app]\nname = "shop"\n')
        folders.append(state_folder(load(tmp_path / name / "oneiric.toml", environ={})))
    assert len(set(folders)) == 2
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("wrong", [{"records": 0}, {"seconds": 0}])
def test_retention_keeps_something(wrong):
    """At least one record, for some time."""
    with pytest.raises(ValueError, match="must be"):
        Retention(**wrong)
