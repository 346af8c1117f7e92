"""``adapter:storage`` ``local`` keeps the promises of the category, and its own."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from oneiric_hookspecs import Key

from oneiric.plugins import _tree
from oneiric.plugins.storage import local
from oneiric.plugins.storage.local import LocalStorage, Settings
from oneiric.testing.adapters import StorageConformance


def storage_threads():
    return [each for each in threading.enumerate() if each.name == "oneiric-storage"]


def descriptors(folder):
    """How many files and folders in *folder* are open; other threads of this process may open what they like."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed between the two
            found += str(each.readlink()).startswith(str(folder))
    return found


class TestLocal(StorageConformance):
    """The category."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path
        yield
        assert (storage_threads(), descriptors(tmp_path)) == ([], 0)
        assert [str(each) for each in tmp_path.rglob(f"{_tree.PARTIAL}/*")] == []

    async def open(self, place, **settings):
        return await LocalStorage.open(Settings(root=str(self.folder / place), sync=False, **settings))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def stored(run, root):
    """``stored(body, **settings)``: run ``body(storage)``, then nothing is left."""

    def stored(body, **settings):
        async def main():
            storage = await local.create(settings=Settings(**{"root": str(root), "sync": False} | settings))
            try:
                return await body(storage)
            finally:
                await storage.aclose()

        result = run(main)
        assert (storage_threads(), descriptors(root.parent)) == ([], 0)
        return result

    return stored


def test_a_file_is_where_its_name_says(stored, root):
    """People find it there; it is its owner's only; and what people put there is found."""
    root.mkdir()
    (root / "theirs").write_bytes(b"theirs")

    async def body(storage):
        await storage.put("a/b", b"x")
        return await storage.get("theirs"), list(await storage.list())

    assert stored(body, sync=True) == (b"theirs", ["a/b", "theirs"])
    assert (root / "a" / "b").read_bytes() == b"x"
    assert [oct(each.stat().st_mode & 0o777) for each in (root / "a", root / "a" / "b")] == ["0o700", "0o600"]


def test_an_empty_folder_goes(stored, root):
    """Deleting the last file of a folder removes it, and those above that are empty then; not the root."""

    async def body(storage):
        await storage.put("a/b/c", b"x")
        await storage.put("a/d", b"x")
        await storage.delete("a/b/c")
        before = sorted(each.name for each in (root / "a").iterdir())
        await storage.delete("a/d")
        return before, (root / "a").exists(), root.exists()

    assert stored(body) == (["d"], False, True)


def test_the_folder_of_what_is_in_the_making(stored):
    """T1, T5: it has no names."""

    async def body(storage):
        with pytest.raises(ValueError, match=r"\.oneiric-partial is where files in the making are"):
            await storage.put(".oneiric-partial/a", b"x")
        await storage.put("a", b"x")
        await storage.put("b/.oneiric-partial/a", b"x")
        return list(await storage.list())

    assert stored(body) == ["a", "b/.oneiric-partial/a"]


@pytest.fixture
def trap(root, tmp_path):
    """A root with links to what is outside, and inside."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "secret").write_bytes(b"secret")
    root.mkdir()
    (root / "real").write_bytes(b"real")
    (root / "file").symlink_to(outside / "secret")
    (root / "inside").symlink_to("real")
    (root / "nowhere").symlink_to("nothing")
    (root / "folder").symlink_to(outside)
    return outside


def test_links_are_not_followed(stored, root, trap):
    """T2: neither to files nor to folders; neither to read, nor to write, list or delete."""

    async def body(storage):
        seen = []
        for name in ("file", "inside", "nowhere", "folder", "folder/secret", "folder/deep/x"):
            for call in (storage.get, storage.size):
                with pytest.raises(FileNotFoundError):
                    await call(name)
            seen.append((await storage.exists(name), await storage.delete(name)))
        with pytest.raises(
            NotADirectoryError, match="a name above this one is a file, or a link: 'folder/new'"
        ):
            await storage.put("folder/new", b"x")
        listed = list(await storage.list())
        await storage.put("file", b"mine")
        return set(seen), listed, await storage.get("file")

    assert stored(body) == ({(False, False)}, ["real"], b"mine")
    assert sorted(each.name for each in trap.iterdir()) == ["deep", "secret"]
    assert ((trap / "secret").read_bytes(), (root / "inside").is_symlink()) == (b"secret", True)


def test_a_folder_that_becomes_a_link(stored, root, trap, monkeypatch):
    """T2: one that is exchanged between two looks is not followed either."""
    (root / "a").mkdir()
    really = os.open

    def exchanged(path, flags, mode=0o777, *, dir_fd=None):
        if path == "a" and not (root / "a").is_symlink():
            (root / "a").rmdir()
            (root / "a").symlink_to(trap)
        return really(path, flags, mode, dir_fd=dir_fd)

    async def body(storage):
        monkeypatch.setattr(os, "open", exchanged)
        with pytest.raises(NotADirectoryError):
            await storage.put("a/secret", b"x")
        with pytest.raises(FileNotFoundError):
            await storage.get("a/secret")

    stored(body)
    assert (trap / "secret").read_bytes() == b"secret"


def test_a_file_that_becomes_a_link(stored, root, trap, monkeypatch):
    """T2, T3: between looking at it and opening it, too."""
    really = os.stat

    def exchanged(path, **more):
        status = really(path, **more)
        if path == "real":
            (root / "real").unlink()
            (root / "real").symlink_to(trap / "secret")
        return status

    async def body(storage):
        monkeypatch.setattr(os, "stat", exchanged)
        with pytest.raises(FileNotFoundError):
            await storage.get("real")

    stored(body)


def test_pipes_sockets_and_folders_are_not_there(stored, root, monkeypatch):
    """T3: none is opened, so nobody waits for the other end."""
    root.mkdir()
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()
    monkeypatch.chdir(root)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")

        async def body(storage):
            for name in ("pipe", "socket", "folder"):
                with pytest.raises(FileNotFoundError):
                    await storage.get(name)
                assert not await storage.delete(name)
            with pytest.raises(IsADirectoryError, match="there are names below this one: 'folder'"):
                await storage.put("folder", b"x")
            return list(await storage.list())

        assert stored(body) == []


def test_names_below_a_file(stored):
    """They are refused when written, and not there when read."""

    async def body(storage):
        await storage.put("a", b"x")
        with pytest.raises(NotADirectoryError):
            await storage.put("a/b", b"x")
        return await storage.exists("a/b"), list(await storage.list())

    assert stored(body) == (False, ["a"])


def test_what_is_too_large(stored, root):
    """It is refused, in pieces as well, with what was there still there; nor is it read into memory."""

    async def pieces():
        for _ in range(3):
            yield b"x" * 300_000

    async def body(storage):
        await storage.put("a", b"x" * 500_000)
        seen = []
        (root / "b").write_bytes(b"x" * 500_001)
        for call in (storage.put("a", b"x" * 500_001), storage.write("a", pieces()), storage.get("b")):
            with pytest.raises(
                OSError, match="it is larger than the 500000 bytes that one may have"
            ) as caught:
                await call
            seen.append(caught.value.errno)
        return seen, await storage.size("a")

    assert stored(body, max_object_bytes=500_000) == ([27] * 3, 500_000)


def test_a_disk_that_is_full(stored, root, monkeypatch):
    """What was there stays, nothing is left over, and it works again when there is room."""
    really = os.write

    def full(fd, data):
        if len(data) > 10:
            return really(fd, data[:10])
        raise OSError(28, "No space left on device")

    async def body(storage):
        await storage.put("a", b"old")
        with monkeypatch.context() as patch:
            patch.setattr(local.os, "write", full)
            with pytest.raises(OSError, match="No space left"):
                await storage.put("a", b"x" * 20)
        left = list((root / _tree.PARTIAL).iterdir())
        kept = await storage.get("a")
        await storage.put("a", b"new")
        return left, kept, await storage.get("a")

    assert stored(body) == ([], b"old", b"new")


def test_who_has_gone_does_not_overtake(stored, monkeypatch):
    """What a caller that was cancelled had begun is done before what is asked for later, however slow it is."""
    entered, go_on = threading.Event(), threading.Event()
    really = os.write

    def slow(fd, data):
        if data == b"early":
            entered.set()
            go_on.wait(10)
        return really(fd, data)

    async def body(storage):
        monkeypatch.setattr(os, "write", slow)
        early = asyncio.ensure_future(storage.put("a", b"early"))
        while not entered.is_set():
            await asyncio.sleep(0)
        early.cancel()
        late = [asyncio.ensure_future(storage.put("a", b"late %d" % number)) for number in range(8)]
        beside = asyncio.ensure_future(storage.list())
        await beside
        done = [each.done() for each in late]
        go_on.set()
        await asyncio.gather(*late)
        return early.cancelled(), any(done), await storage.get("a")

    assert stored(body, threads=8) == (True, False, b"late 7")


WRITER = """
    import asyncio, sys
    from oneiric.plugins.storage.local import Settings, create

    async def main(root):
        storage = await create(settings=Settings(root=root, sync=False))

        async def pieces():
            yield b"x" * 1_000_000
            print("begun", flush=True)
            await asyncio.sleep(60)

        await storage.put("whole", b"y" * 100_000)
        await storage.write("broken", pieces())

    asyncio.run(main(sys.argv[1]))
"""


def test_killed_in_the_middle(stored, root):
    """T4, T5: after kill -9 what was whole is there, nothing else is seen, and the next to open it tidies up.

    What a living process has in the making is left alone.
    """

    async def body(storage):
        words = [sys.executable, "-c", textwrap.dedent(WRITER), str(root)]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"begun\n"
            before = len(list((root / _tree.PARTIAL).iterdir()))
            await (await local.create(settings=Settings(root=str(root)))).aclose()
            beside = len(list((root / _tree.PARTIAL).iterdir()))
            process.kill()
        await (await local.create(settings=Settings(root=str(root)))).aclose()
        return before, beside, len(list((root / _tree.PARTIAL).iterdir())), list(await storage.list())

    assert stored(body) == (1, 1, 0, ["whole"])


def test_cancelled_while_opening(run, root):
    """An opening that is given up at any step leaves neither threads nor open files."""

    async def main():
        for steps in range(100):
            opening = asyncio.ensure_future(local.create(settings=Settings(root=str(root))))
            for _ in range(steps):
                await asyncio.sleep(0)
            if opening.done():
                await opening.result().aclose()
                break
            opening.cancel()
            ended = await asyncio.gather(opening, return_exceptions=True)
            if not isinstance(ended[0], asyncio.CancelledError):
                await ended[0].aclose()
        for thread in storage_threads():
            await asyncio.to_thread(thread.join, 10)

    run(main)
    assert (storage_threads(), descriptors(root.parent)) == ([], 0)


def test_a_temporary_one(stored):
    """Without a root it is in a temporary folder, which goes with it."""

    async def body(storage):
        await storage.put("a", b"x")
        return Path((await storage.health()).details["folder"])

    folder = stored(body, root=None)
    assert (folder.name.startswith("oneiric-storage-"), folder.exists()) == (True, False)


def test_health(stored, root):
    """It is well while its folder is there; when that is gone, or another one, it says so."""

    async def body(storage):
        seen = [await storage.health()]
        root.rename(root.with_name("moved"))
        seen.append(await storage.health())
        root.mkdir()
        return [*seen, await storage.health()]

    well, gone, another = stored(body)
    assert (well.status, well.reason, set(well.details)) == ("ok", "", {"folder", "free_bytes"})
    assert (gone.status, gone.reason) == ("failed", f"the folder {root}: no such file or directory")
    assert (another.status, another.reason) == (
        "failed",
        f"the folder {root} is another one than it was; reload the storage",
    )


def test_a_root_that_is_a_file(stored, root):
    """It cannot be opened, and nothing is left."""
    root.write_text("")

    async def body(storage):
        pass

    with pytest.raises(NotADirectoryError, match=f"name a folder: '{root}'"):
        stored(body)
    assert storage_threads() == []


def test_a_thread_that_hangs(run, clock, root):
    """The loop turns, other names are served, and closing is bounded."""
    hung = threading.Event()

    async def main():
        storage = await local.create(settings=Settings(root=str(root), threads=2))
        hanging = asyncio.ensure_future(storage._workers[0].run(hung.wait))
        names = iter(f"n{number}" for number in range(50))
        await storage.put(next(name for name in names if storage._worker(name) is storage._workers[1]), b"x")
        began = clock.time()
        with pytest.raises(TimeoutError, match="the storage does not close: its files do not answer"):
            await storage.aclose()
        took = clock.time() - began
        with pytest.raises(RuntimeError, match="the storage is closed"):
            await hanging
        return took, storage_threads()

    took, threads = run(main)
    hung.set()
    for thread in threads:
        thread.join(10)
    assert (took, len(threads)) == (5.0, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"root": ""}, "root is the name of a folder, found ''"),
        ({"root": "a\0"}, "root is the name of a folder"),
        ({"max_object_bytes": 0}, "max_object_bytes is a whole number, at least 1, found 0"),
        ({"threads": 0}, "threads is a whole number, at least 1, found 0"),
        ({"threads": 65}, "'threads' must be <= 64: 65"),
    ],
    ids=str,
)
def test_settings_are_checked(settings, message):
    """What cannot be meant is refused when it is read."""
    with pytest.raises(ValueError, match=message):
        Settings(**settings)


def test_by_hand(run):
    """One that was made by hand says how it is made."""

    async def main():
        storage = LocalStorage(Settings())
        with pytest.raises(RuntimeError, match="make it by LocalStorage"):
            await storage.get("a")
        await storage.aclose()

    run(main)


def test_it_is_declared():
    """The built-in provider of ``adapter:storage``."""
    (candidate,) = local.oneiric_candidates()
    assert (candidate.key, candidate.provider) == (Key.of("adapter", "storage"), "local")
