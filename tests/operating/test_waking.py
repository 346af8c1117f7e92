"""Events of files only make a look come earlier: without them, and when they fail, all else is the same."""

import asyncio
import logging
import threading

import pytest

from oneiric.watch import Fingerprint, Waker, content, fingerprint
from oneiric.watch.waking import AGAIN, folders_of


def test_a_wait_ends_with_its_time(run, tmp_path):
    """Where nothing happens, and where it is shorter than what any wait takes."""

    async def main():
        loop, took = asyncio.get_running_loop(), []
        waker = Waker([tmp_path / "x"], events=lambda folders, end: iter(()))
        async with waker:
            for seconds in (2.0, 0.05):
                began = loop.time()
                await waker.wait(seconds)
                took.append(loop.time() - began)
        return took

    assert run(main) == pytest.approx([2.0, 0.05])


def test_an_event_cuts_a_wait_short(tmp_path):
    """Not below the least time: a folder may be busy with other files."""
    happens = threading.Event()

    def events(folders, end):
        while not end.is_set():
            if happens.wait(0.01):
                yield folders

    async def main():
        loop, took = asyncio.get_running_loop(), []
        async with Waker([tmp_path / "x"], least=0.05, events=events) as waker:
            happens.set()
            for _ in range(3):
                began = loop.time()
                await waker.wait(60.0)
                took.append(loop.time() - began)
            return took, waker.by

    took, by = asyncio.run(main())
    assert (min(took) >= 0.045, max(took) < 10.0, by) == (True, True, "watchfiles")
    assert [each.name for each in threading.enumerate() if each.name == "oneiric-watch-files"] == []


def test_events_that_fail_are_said_once(run, tmp_path, caplog, monkeypatch):
    """As where the system has no more watches to give: the clock goes on, and it is tried again later."""
    monkeypatch.setattr("oneiric.watch.waking.AGAIN", 0.001)
    tries, twice = [], threading.Event()

    def events(folders, end):
        tries.append(folders)
        if len(tries) > 2:
            twice.set()
        raise OSError(28, "No space left on device")

    async def main():
        async with Waker([tmp_path / "x"], least=0.001, events=events) as waker:
            await waker.wait(100.0)
            await asyncio.to_thread(twice.wait, 30)
            return asyncio.get_running_loop().time(), waker.by

    with caplog.at_level(logging.DEBUG, "oneiric.watch"):
        assert run(main) == (100.0, "poll")
    assert (AGAIN, tries[0]) == (60.0, [str(tmp_path)])
    assert [each.getMessage() for each in caplog.records] == [
        "events of files do not work, so changes are seen at the next look only: "
        "OSError: [Errno 28] No space left on device"
    ]


def test_the_installed_package_wakes(tmp_path):
    """A rename over the file, and a link that leads elsewhere in another folder, are seen long before the clock."""
    pytest.importorskip("watchfiles")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    links = tmp_path / "links"
    links.mkdir()
    (links / "data").symlink_to(tmp_path / "one")
    file = links / "x"
    file.symlink_to("data/x")

    def swap():
        (links / "new").symlink_to(tmp_path / "two")
        (links / "new").replace(links / "data")

    def rename():
        (tmp_path / "two" / "new").write_text("three")
        (tmp_path / "two" / "new").replace(tmp_path / "two" / "x")

    async def main():
        async with asyncio.timeout(30), Waker([file], least=0.05) as waker:

            async def woken_by(edit):
                # Again and again: the system may be slow to begin, and what came before that is seen by nobody.
                waiting = asyncio.create_task(waker.wait(3600.0))
                while not waiting.done():
                    edit()
                    await asyncio.wait({waiting}, timeout=0.5)

            await woken_by(lambda: (links / "other").write_text(""))
            swap()
            await woken_by(lambda: (links / "other").write_text(""))
            await asyncio.sleep(0.5)
            rename()
            await woken_by(lambda: (tmp_path / "two" / "other").write_text(""))
            return file.read_text()

    assert asyncio.run(main()) == "three"


def test_folders_that_matter(tmp_path):
    """Those of the file and of every link on the way to it; of what is not there, those that are."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").write_text("")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "data").symlink_to("../real")
    (tmp_path / "a" / "x").symlink_to("data/x")
    (tmp_path / "a" / "round").symlink_to("round")
    names = ["a/x", "gone/y", "a/round"]
    found = [folders_of([tmp_path / name]) for name in names]
    assert [[each.removeprefix(f"{tmp_path}/") for each in some] for some in found] == [
        ["a", "a/data", "real"],
        [],
        ["a"],
    ]


def test_what_cannot_be_seen_has_a_fingerprint(tmp_path):
    """And what cannot be read has a content: they differ from those of an empty file, and of one another."""
    (tmp_path / "empty").write_text("")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "folder").mkdir()
    paths = [tmp_path / name for name in ("empty", "gone", "round", "empty/x", "folder", "a\0b")]
    looks = [fingerprint(path) for path in paths]
    assert [each.trouble for each in looks] == ["", "ENOENT", "ELOOP", "ENOTDIR", "", "ValueError"]
    assert len({each._replace(resolved="") for each in looks}) == len(paths)
    contents = [content([path]) for path in paths]
    assert len({each.digest for each in contents}) == len(paths)
    assert [each.readable for each in contents] == [True, False, False, False, False, False]
    assert isinstance(looks[0], Fingerprint)


def test_files_are_apart(tmp_path):
    """What moves from one file to the next is another content."""
    one, two = tmp_path / "one", tmp_path / "two"
    found = set()
    for first, second in (("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", "")):
        one.write_text(first)
        two.write_text(second)
        found.add(content([one, two]).digest)
    assert len(found) == 4
