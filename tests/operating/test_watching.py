"""Settings files that change are taken once they rest, as a whole or not at all, however they were changed."""

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

import attrs
import pytest
from oneiric_hookspecs import Candidate, Key, SettingsError, hookimpl

from oneiric import assemble, orchestrate
from oneiric.orchestrator.watching import PATIENCE, Watching
from oneiric.state import History

SHELF, LAMP = Key.of("adapter", "shelf"), Key.of("adapter", "lamp")
EPOCH = 1_800_000_000.0


@attrs.frozen
class ShelfSettings:
    size: int = 1


@attrs.frozen
class Thing:
    """What is bound."""

    provider: str
    size: int


class Shop:
    """Declares two shelves and a lamp."""

    @hookimpl
    def oneiric_candidates(self):
        for key, provider in ((SHELF, "oak"), (SHELF, "steel"), (LAMP, "oil")):
            yield Candidate(
                key,
                provider,
                factory=lambda settings, provider=provider: Thing(provider, settings.size),
                settings_class=ShelfSettings,
            )


def text(provider="oak", size=1, more=""):
    """The content of a settings file."""
    return (
        "[app]\nname = 'shop'\n[state]\nurl = 'memory:'\n[orchestrate]\npoll = 2.0\n"
        f"[adapters.selections]\nshelf = '{provider}'\n[adapters.settings.shelf.{provider}]\nsize = {size}\n{more}"
    )


@attrs.define
class Watched:
    """A runtime whose settings are watched, and what was told about them."""

    runtime: object
    watching: Watching
    told: list
    task: asyncio.Task

    async def after(self, seconds=3.0):
        """What was told, some time later: as outcomes."""
        await asyncio.sleep(seconds)
        return [each.outcome for each in self.told]

    @property
    def shelf(self):
        """What is bound, as its provider and its size."""
        with self.runtime.lease("adapter", "shelf") as thing:
            return thing.provider, thing.size

    @property
    def error(self):
        return self.watching.status.error


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "oneiric.toml"
    path.write_text(text())
    return path


@pytest.fixture(autouse=True)
def _clock_alone(monkeypatch):
    """Nothing but the clock makes it look: events come in real time."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)


@pytest.fixture
def watched(clock):
    """A block in which a runtime is watched; and it is seen to go on until it is cancelled."""

    @contextlib.asynccontextmanager
    async def watched(source, *, before=lambda runtime: None, told=None, **more):
        async with assemble(source, plugins=[Shop()], **more) as runtime:
            async with runtime.use("adapter", "shelf"):
                pass
            heard = []
            before(runtime)
            watching = Watching(runtime, told or heard.append, wall=lambda: EPOCH + clock.time())
            task = asyncio.create_task(watching.run())
            yield Watched(runtime, watching, heard, task)
            assert not task.done()
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()

    return watched


# --- ways to edit ------------------------------------------------------------------------------------------------------


def in_place(file, content):
    file.write_text(content)


def renamed(file, content):
    new = file.with_name("new")
    new.write_text(content)
    new.replace(file)


def by_backup(file, content):
    """The old one is moved away first, so that for a moment there is none."""
    file.replace(file.with_name("backup"))
    file.write_text(content)


def same_size_and_time(file, content):
    """As tools that copy the times do."""
    times = file.stat()
    file.write_text(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("edit", [in_place, renamed, by_backup, same_size_and_time])
def test_an_edit_is_taken_once(run, file, watched, edit):
    """However it was made: one revision, one report, and what is bound is as the file says."""

    async def main():
        async with watched(file) as it:
            await it.after()
            begun = it.watching.status
            edit(file, text(size=2))
            outcomes = await it.after(20.0)
            return begun, outcomes, it.told[0].reports, it.shelf, it.watching.status

    begun, outcomes, reports, shelf, status = run(main)
    assert (outcomes, shelf) == (["applied"], ("oak", 2))
    assert [(each.key, each.outcome) for each in reports] == [(SHELF, "swapped")]
    assert (begun.files, begun.applied_at, begun.since) == ((str(file),), None, EPOCH)
    assert status.revision != begun.revision
    assert (status.stale_since, status.error, status.restart) == (None, "", ())
    assert EPOCH + 3.0 < status.applied_at < EPOCH + 6.0


def test_a_link_that_leads_elsewhere_is_an_edit(run, tmp_path, watched):
    """The folder above the file is a link of a link, and that is swapped, as platforms do that mount settings."""
    for name, content in (("one", text()), ("two", text("steel", 7))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "oneiric.toml").write_text(content)
    (tmp_path / "..data").symlink_to("one")
    file = tmp_path / "oneiric.toml"
    file.symlink_to("..data/oneiric.toml")

    async def main():
        async with watched(file) as it:
            await it.after()
            (tmp_path / "..new").symlink_to("two")
            (tmp_path / "..new").replace(tmp_path / "..data")
            shutil.rmtree(tmp_path / "one")
            return await it.after(20.0), it.shelf

    assert run(main) == (["applied"], ("steel", 7))


def test_an_edit_before_the_first_look_is_seen(run, file, watched):
    """What is in force is what was read then, not what the file holds by now."""

    async def main():
        async with watched(file, before=lambda _: file.write_text(text(size=3))) as it:
            return await it.after(), it.shelf

    assert run(main) == (["applied"], ("oak", 3))


def test_a_file_in_the_making_is_left_alone(run, file, watched):
    """As long as it grows at every look it is not read; nothing is told of the pieces."""
    content = text(size=44, more="[adapters.settings.lamp.oil]\nsize = 5\n")

    async def main():
        async with watched(file) as it:
            await it.after()
            for end in range(1, len(content), 9):
                file.write_text(content[:end])
                await asyncio.sleep(0.15)
            file.write_text(content)
            return await it.after(), it.shelf

    assert run(main) == (["applied"], ("oak", 44))


def test_pieces_that_come_slower_do_no_harm(run, file, watched):
    """What rests half-written is refused where it is not valid, and the last good ones stay; then all of it counts."""
    content = text("steel", 44)

    async def main():
        async with watched(file) as it:
            await it.after()
            file.write_text(content[: content.index("'steel'") + 3])
            outcomes, shelf, error = await it.after(5.0), it.shelf, it.error
            file.write_text(content)
            return outcomes, shelf, error, await it.after(5.0), it.shelf, it.error

    outcomes, shelf, error, later, after, none = run(main)
    assert (outcomes, shelf) == (["refused"], ("oak", 1))
    assert error.startswith(f"{file}:8: is not TOML: ")
    assert (later, after, none) == (["refused", "applied"], ("steel", 44), "")


def test_what_never_rests_is_taken_by_its_content(run, file, watched):
    """Some file systems show another file at every look; that does not keep an edit from being seen."""

    async def main():
        async with watched(file) as it:
            await it.after()

            async def restless():
                for n in range(10_000):
                    os.utime(file, ns=(n, n))
                    await asyncio.sleep(0.1)

            task = asyncio.create_task(restless())
            quiet = await it.after(60.0)
            renamed(file, text(size=9))
            outcomes = await it.after(60.0)
            task.cancel()
            await asyncio.wait({task})
            return quiet, outcomes, it.shelf

    assert run(main) == ([], ["applied"], ("oak", 9))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_same_content_is_no_edit(run, file, watched, mark):
    """Touched, copied over itself, saved with the mark of UTF-8: nothing is applied, and nothing told."""
    content = file.read_bytes()

    async def main():
        async with watched(file) as it:
            await it.after()
            before = it.watching.status
            for edit in (
                os.utime,
                lambda path: renamed(path, text()),
                lambda path: path.write_bytes(mark + content),
            ):
                edit(file)
                await it.after(5.0)
            return it.told, it.watching.status == before

    assert run(main) == ([], True)


def test_of_many_edits_the_last_counts(run, file, watched):
    """Two hundred in two seconds: the last is in force, and few were."""

    async def main():
        async with watched(file) as it:
            await it.after()
            for size in range(2, 202):
                (in_place if size % 2 else renamed)(file, text(size=size))
                await asyncio.sleep(0.01)
            return await it.after(10.0), it.shelf

    assert run(main) == (["applied"], ("oak", 201))


def test_what_changes_while_it_is_read_is_read_again(run, file, watched):
    """What is applied is what the revision says, and not half of this and half of that."""

    async def main():
        async with watched(file) as it:
            works, late = it.runtime.in_thread, [text("steel", 3)]

            async def in_thread(call, *, name):
                if late and getattr(call, "__name__", "") == "_examine":
                    file.write_text(late.pop())
                return await works(call, name=name)

            await it.after()
            it.runtime.in_thread = in_thread
            file.write_text(text(size=2))
            outcomes, shelf, revision = await it.after(10.0), it.shelf, it.told[0].revision
            os.utime(file)
            await it.after(10.0)
            return outcomes, shelf, it.watching.status.revision == revision, len(it.told)

    assert run(main) == (["applied"], ("steel", 3), True, 1)


# --- what is wrong -----------------------------------------------------------------------------------------------------


def test_invalid_settings_change_nothing(run, file, watched, caplog):
    """All that is wrong is in the status; the last good ones stay; the next good ones are taken, in their turn."""

    async def main():
        async with watched(file) as it:
            await it.after()
            file.write_text(text("steel", "'big'", "[resolver]\non_missing = 'sing'\n"))
            outcomes = await it.after(20.0)
            stale, shelf, settings = it.watching.status, it.shelf, it.runtime.settings.resolver.on_missing
            problems = it.told[0].problems
            os.utime(file)
            await it.after(20.0)
            touched = len(it.told), it.watching.status.stale_since
            file.write_text(text("steel", 2))
            return (
                outcomes,
                stale,
                shelf,
                settings,
                problems,
                touched,
                await it.after(5.0),
                it.shelf,
                it.watching.status,
            )

    with caplog.at_level(logging.WARNING, "oneiric.orchestrator"):
        outcomes, stale, shelf, settings, problems, touched, later, after, fresh = run(main)
    assert (outcomes, shelf, settings) == (["refused"], ("oak", 1), "error")
    assert [line.partition(": expected")[0] for line in problems.splitlines()] == [
        f"{file}:10: adapters.settings.shelf.steel.size",
        f"{file}:12: resolver.on_missing",
    ]
    assert stale.error == problems.replace("\n", "; ")
    assert touched == (1, stale.stale_since)
    assert EPOCH + 3.0 < stale.stale_since < EPOCH + 6.0
    assert (later, after) == (["refused", "applied"], ("steel", 2))
    assert (fresh.stale_since, fresh.error) == (None, "")
    assert len(caplog.records) == 1


def test_back_to_what_is_in_force(run, file, watched):
    """Nothing is stale any more, and nothing is applied."""

    async def main():
        async with watched(file) as it:
            await it.after()
            file.write_text("nonsense")
            await it.after(5.0)
            stale = it.watching.status.stale_since
            file.write_text(text())
            return await it.after(5.0), stale is None, it.watching.status.stale_since

    assert run(main) == (["refused"], False, None)


def test_a_file_that_is_gone_changes_nothing(run, file, watched):
    """It is stale while there is none, and comes back with whatever it holds then."""

    async def main():
        async with watched(file) as it:
            await it.after()
            file.unlink()
            outcomes, error, shelf = await it.after(20.0), it.error, it.shelf
            file.write_text(text(size=6))
            return outcomes, error, shelf, await it.after(5.0), it.shelf, it.error

    outcomes, error, shelf, later, after, none = run(main)
    assert (outcomes, error, shelf) == (["refused"], f"{file}: there is no such file", ("oak", 1))
    assert (later, after, none) == (["refused", "applied"], ("oak", 6), "")


@contextlib.contextmanager
def denied(file):
    """A block in which this user may not read *file*."""
    if os.geteuid() == 0:  # who may read anything, and becomes somebody else for that long
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        file.chmod(0)
        try:
            yield
        finally:
            file.chmod(0o600)


@pytest.fixture
def seen_by_all():
    """A file in a folder that everybody may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "oneiric.toml")
        path.write_text(text())
        path.chmod(0o600)
        yield path


def test_a_file_that_may_not_be_read_changes_nothing(run, seen_by_all, watched):
    """As soon as it may be read again, it is: although nothing about the file has changed."""
    file = seen_by_all

    async def main():
        async with watched(file) as it:
            await it.after()
            file.write_text(text(size=6))
            with denied(file):
                outcomes, error, shelf = await it.after(20.0), it.error, it.shelf
            return outcomes, error, shelf, await it.after(5.0), it.shelf, it.error

    outcomes, error, shelf, later, after, none = run(main)
    assert (outcomes, error, shelf) == (["refused"], f"{file}: may not be read by this user", ("oak", 1))
    assert (later, after, none) == (["refused", "applied"], ("oak", 6), "")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[a]\n[a]\n", b"x = " + b"[" * 5000, bytes(3000)])
def test_whatever_is_in_the_file_it_goes_on(run, file, watched, content):
    """Refused with a reason, whatever it is."""

    async def main():
        async with watched(file) as it:
            await it.after()
            file.write_bytes(content)
            outcomes, error = await it.after(5.0), it.error
            file.write_text(text(size=5))
            return outcomes, error.startswith(str(file)), await it.after(5.0), it.shelf

    assert run(main) == (["refused"], True, ["refused", "applied"], ("oak", 5))


def test_settings_that_become_valid_by_a_plugin_are_taken(run, file, watched):
    """What was refused is tried again when something else is registered, and told once all the same."""

    class Garden:
        @hookimpl
        def oneiric_candidates(self):
            yield Candidate(
                Key.of("adapter", "tree"),
                "elm",
                factory=lambda settings: settings,
                settings_class=ShelfSettings,
            )

    async def main():
        async with watched(file) as it:
            await it.after()
            file.write_text(text(size=8, more="[adapters.settings.tree.elm]\n"))
            refused = await it.after(20.0)
            it.runtime.plug(Shop(), "another")
            still = await it.after(20.0)
            it.runtime.plug(Garden(), "garden")
            return refused, still, await it.after(5.0), it.shelf

    garden = run(main)
    assert garden == (["refused"], ["refused"], ["refused", "applied"], ("oak", 8))


# --- what fails beside it ----------------------------------------------------------------------------------------------


def test_who_is_told_may_fail(run, file, watched, caplog):
    """It is in force nevertheless, and watching goes on."""

    def fails(applied):
        raise KeyError(applied.outcome)

    async def main():
        async with watched(file, told=fails) as it:
            await it.after()
            file.write_text(text(size=2))
            await it.after()
            file.write_text(text(size=3))
            await it.after()
            return it.shelf

    assert run(main) == ("oak", 3)
    assert [each.exc_info[0] for each in caplog.records if each.levelno == logging.ERROR] == [
        KeyError,
        KeyError,
    ]


def test_applying_may_fail(run, file, watched, caplog):
    """Whatever it raises, or a cancellation of nobody's: told once, tried again less and less often, until it works."""

    async def main():
        async with watched(file) as it:
            works, tries, loop = it.runtime.apply, [], asyncio.get_running_loop()

            async def apply(settings):
                tries.append(loop.time())
                raise asyncio.CancelledError if len(tries) == 1 else RuntimeError("the store is locked")

            it.runtime.apply = apply
            await it.after()
            file.write_text(text(size=2))
            outcomes, error = await it.after(300.0), it.error
            it.runtime.apply = works
            later = await it.after(61.0)
            return tries, outcomes, error, later, it.shelf, it.error

    tries, outcomes, error, later, shelf, none = run(main)
    assert (outcomes, error) == (["refused", "refused"], "RuntimeError: the store is locked")
    assert (later, shelf, none) == (["refused", "refused", "applied"], ("oak", 2), "")
    assert 6 < len(tries) < 14
    assert max(b - a for a, b in itertools.pairwise(tries)) < 65


def test_a_part_that_does_not_come_up_is_reported(run, file, watched):
    """The settings are in force; that part serves what it served, and the report says why."""

    class Broken:
        @hookimpl
        def oneiric_candidates(self):
            yield Candidate(SHELF, "glass", factory=lambda: 1 / 0)

    async def main():
        async with watched(file, before=lambda runtime: runtime.plug(Broken(), "broken")) as it:
            await it.after()
            file.write_text(text("oak").replace("shelf = 'oak'", "shelf = 'glass'"))
            return (
                await it.after(10.0),
                [type(each).__name__ for each in it.told[0].reports],
                it.shelf,
                it.error,
            )

    assert run(main) == (["applied"], ["FactoryError"], ("oak", 1), "")


def test_files_that_do_not_answer_are_given_up_for_a_while(run, file, watched):
    """A look that hangs is told, and it goes on when they answer."""

    async def main():
        async with watched(file) as it:
            works, hanging, never = it.runtime.in_thread, [], asyncio.Event()

            async def hangs(call, *, name):
                hanging.append(call)
                await never.wait()

            await it.after()
            it.runtime.in_thread = hangs
            outcomes, error = await it.after(PATIENCE + 300.0), it.error
            it.runtime.in_thread = works
            file.write_text(text(size=2))
            return outcomes, error, len(hanging), await it.after(90.0), it.shelf, it.error

    outcomes, error, hanging, later, shelf, none = run(main)
    assert (outcomes, hanging < 12) == (["refused"], True)  # each may keep a thread
    assert error == "TimeoutError: the files of the settings do not answer within 10 s"
    assert (later, shelf, none) == (["refused", "applied"], ("oak", 2), "")


# --- what counts, and when ---------------------------------------------------------------------------------------------


def test_what_counts_at_the_start_is_said(run, file, watched, caplog):
    """It stays as it was, all else is in force; and put back, it is not said any more."""

    async def main():
        async with watched(file) as it:
            await it.after()
            other = text("steel", 2, "[plugins]\noff = ['storage.local']\n[plugins.settings]\n")
            file.write_text(
                other.replace("'memory:'", "'memory:x'").replace("poll = 2.0", "poll = 1.0\nrescan = 3.0")
            )
            await it.after()
            said, state, poll = it.watching.status.restart, it.runtime.settings.state.url, it.runtime.settings
            shelf = it.shelf
            file.write_text(text("steel", 3))
            await it.after()
            return (
                said,
                state,
                (poll.orchestrate.poll, poll.orchestrate.rescan),
                shelf,
                it.watching.status,
                it.told,
            )

    said, state, orchestrate, shelf, status, told = run(main)
    assert said == ("[plugins] off", "[state] url", "[orchestrate] rescan")
    assert (state, orchestrate, shelf) == ("memory:", (1.0, 2.0), ("steel", 2))
    assert (status.restart, [each.restart for each in told]) == ((), [said, ()])
    assert [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING] == [
        "settings count after a restart only: [plugins] off, [state] url, [orchestrate] rescan"
    ]


def test_how_often_it_looks_is_a_setting_too(run, file, watched):
    """It counts from the next look on."""
    slow = text().replace("poll = 2.0", "poll = 100.0")

    async def main():
        async with watched(file) as it:
            await it.after()
            file.write_text(slow)
            first = await it.after()
            file.write_text(slow.replace("size = 1", "size = 2"))
            return first, await it.after(90.0), await it.after(20.0)

    assert run(main) == (["applied"], ["applied"], ["applied", "applied"])


def test_environment_profile_and_options_stay(run, tmp_path, watched, monkeypatch):
    """Those of the start lie over what the file says now."""
    file = tmp_path / "oneiric.toml"
    profiled = "[profile.test.adapters.settings.shelf.oak]\nsize = 70\n"
    file.write_text(text(more=profiled))
    monkeypatch.setenv("ONEIRIC__ADAPTERS__SELECTIONS__SHELF", "oak")

    async def main():
        async with watched(file, profile="test") as it:
            await it.after()
            monkeypatch.setenv("ONEIRIC__ADAPTERS__SELECTIONS__SHELF", "steel")
            file.write_text(text("steel", 5, profiled.replace("70", "71")))
            return await it.after(), it.shelf, it.runtime.settings.profile

    assert run(main) == (["applied"], ("oak", 71), "test")


def test_several_files_are_one(run, tmp_path, watched):
    """An edit of any of them is one; together they are valid or not."""
    base, own = tmp_path / "base.toml", tmp_path / "own.toml"
    base.write_text(text())
    own.write_text("[adapters.settings.shelf.oak]\nsize = 2\n")

    async def main():
        async with watched([base, own]) as it:
            await it.after()
            own.write_text("[adapters.settings.shelf.oak]\nsize = 3\n")
            await it.after()
            own.unlink()
            return await it.after(), it.shelf, it.error, it.watching.status.files

    assert run(main) == (
        ["applied", "refused"],
        ("oak", 3),
        f"{own}: there is no such file",
        (str(base), str(own)),
    )


def test_settings_of_no_file_are_not_watched(run, watched):
    """Nothing is looked at, and nothing is wrong."""

    async def main():
        async with watched({"state": {"url": "memory:"}}) as it:
            looked = await it.watching.look()
            return await it.after(100.0), looked.files, looked.error

    assert run(main) == ([], (), "")


# --- looking now -------------------------------------------------------------------------------------------------------


def test_looking_now_does_not_wait_for_the_clock(run, file, watched):
    """It returns when what it found is in force; what was refused is tried again, and what is in force left alone."""
    file.write_text(text().replace("poll = 2.0", "poll = 1000.0"))

    async def main():
        async with watched(file) as it:
            await it.after()
            began = asyncio.get_running_loop().time()
            same = await it.watching.look()
            file.write_text(text(size=4))
            status = await it.watching.look()
            took = asyncio.get_running_loop().time() - began
            return same.applied_at, [each.outcome for each in it.told], it.shelf, status.error, took

    applied_at, outcomes, shelf, error, took = run(main)
    assert (applied_at, outcomes, shelf, error) == (None, ["applied"], ("oak", 4), "")
    assert took == pytest.approx(0.4)


def test_many_who_look_at_once_apply_once(run, file, watched):
    """One after the other, and all but the first find nothing to do."""

    async def main():
        async with watched(file) as it:
            await it.after()
            file.write_text(text(size=4))
            await asyncio.gather(*(it.watching.look() for _ in range(20)))
            return await it.after(), it.shelf

    assert run(main) == (["applied"], ("oak", 4))


def test_settings_are_as_loaded_again(run, file, watched):
    """What is in force after an edit is what a process that starts then would have."""

    async def main():
        async with watched(file) as it:
            await it.after()
            file.write_text(text("steel", 5))
            await it.after()
            with assembled(file) as other:
                return it.runtime.settings == other.settings, it.runtime.settings.where(
                    "adapters", "selections"
                )

    @contextlib.contextmanager
    def assembled(source):
        yield assemble(source, plugins=[Shop()])

    assert run(main) == (True, f"{file}:7")


def test_planning_an_invalid_file_says_the_same(run, file, watched):
    """The problems that are told are those that any command would raise."""

    async def main():
        async with watched(file) as it:
            await it.after()
            file.write_text(text(size="true"))
            await it.after()
            with pytest.raises(SettingsError) as refused:
                it.runtime.plan(file)
            return it.told[0].problems == str(refused.value)

    assert run(main)


def test_the_path_of_a_folder_is_told(run, tmp_path, watched):
    """A folder in the file's place is wrong like anything else."""
    file = Path(tmp_path / "oneiric.toml")
    file.write_text(text())

    async def main():
        async with watched(file) as it:
            await it.after()
            file.unlink()
            file.mkdir()
            return await it.after(5.0), it.error

    outcomes, error = run(main)
    assert (outcomes, error.startswith(f"{file}: is a directory")) == (["refused"], True)


def test_since_when_settings_are_stale_is_the_first_slip(run, file, watched):
    """Another slip after it makes them no younger."""

    async def main():
        async with watched(file) as it:
            await it.after()
            file.write_text(text("steel", "'big'"))
            await it.after(20.0)
            first = it.watching.status
            file.write_text(text("steel", "'small'"))
            outcomes = await it.after(20.0)
            second = it.watching.status
            return outcomes, first.error != second.error, first.stale_since == second.stale_since

    assert run(main) == (["refused", "refused"], True, True)


def test_what_a_node_says_of_its_settings(run, file, clock):
    """While they are stale it is degraded, with the reason; the history has each that was taken, or not."""

    async def main():
        runtime = assemble(file, plugins=[Shop()], environment=False)
        async with orchestrate(runtime, wall=lambda: EPOCH + clock.time()) as orchestrator:
            found = []
            for content in (text("steel", "'big'"), text("steel", 2)):
                file.write_text(content)
                await asyncio.sleep(20.0)
                summary = orchestrator.ready()
                reasons = [each.partition(" are stale")[0] for each in summary.reasons]
                found.append((summary.status, reasons))
            told = [each.event for each in await History(runtime.state).read()]
            return found, [(each.outcome, each.cause) for each in told if each.kind == "settings"]

    slip = "runtime:settings is degraded: settings"
    assert run(main) == (
        [("degraded", [slip]), ("ok", [])],
        [("refused", "file"), ("applied", "file")],
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_a_pipe_is_not_waited_for(run, file, watched):
    """Nor is a device read to its end: it is refused like a folder, no thread is lost, and the next good file is taken."""

    async def main():
        async with watched(file) as here:
            file.unlink()
            os.mkfifo(file)
            await here.after(3 * PATIENCE)
            error, threads = here.error, here.runtime.status().threads
            file.unlink()
            file.write_text(text("steel", 3))
            await here.after()
            return error, threads, here.shelf

    error, threads, shelf = run(main)
    assert "is no file, but a pipe or a device" in error
    assert (threads, shelf) == ((), ("steel", 3))
