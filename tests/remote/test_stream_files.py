"""What is kept of a stream: whole after whatever happens, and never below what was seen."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest
from oneiric_hookspecs import FileRef, Release, RemoteError

from oneiric.remote.disk import Disk
from oneiric.remote.files import StreamFiles
from oneiric.remote.kept import Accepted, Kept, Verdict

TYPE = "application/vnd.oneiric.entries.v1+jsonl"


def release(version, sha256=None):
    sha256 = sha256 or f"{version:064x}"
    return Release(
        "prod", 1, version, 100 * version, 100 * version + 50, FileRef(sha256, 1, f"manifests/{sha256}", TYPE)
    )


def accepted(version, **more):
    return Accepted(release(version), etag=f'"{version}"', applied_at=5.0, signers=("key-2",), **more)


def seen(version):
    """What a sync that accepts *version* does."""
    new = accepted(version)
    return lambda kept: attrs.evolve(
        kept.raised(new.release.place, new.sha256).accept(new), clock_floor=new.release.issued
    )


class Fails(Disk):
    """A disk on which something happens before or after the step of that number."""

    def __init__(self, at=None, when="before", what=None):
        self.at, self.when, self.what, self.steps = at, when, what, []

    def do(self, step, call, *args, **kwargs):
        self.steps.append(step)
        mine = len(self.steps) == self.at
        if mine and self.when == "before":
            raise self.what
        result = call(*args, **kwargs)
        if mine and self.when == "after":
            raise self.what
        return result


def files(tmp_path, disk=None):
    return StreamFiles(tmp_path / "remote" / "prod", disk=disk)


def test_what_is_written_is_read(tmp_path):
    """Every field comes back as it was, in another process too, as nothing but the file is asked."""
    kept = Kept(
        floor=(2, 7),
        floor_sha256="a" * 64,
        active=accepted(
            7,
            pulled={"head.json": "b" * 64, "keyrings/2.json": None},
            artifacts=("c" * 64,),
            retained=("{}",),
        ),
        previous=accepted(6),
        clock_floor=700,
        verdict=Verdict(release(8), "scope", 4, "it is outside", "policy", '"8"'),
        failures=3,
        next_attempt=12.5,
        probed_at=3.0,
    )
    assert files(tmp_path).update(lambda _: kept) == kept
    assert files(tmp_path).load() == kept


def test_nothing_is_made_before_something_is_kept(tmp_path):
    """Asking what is kept leaves no trace."""
    assert files(tmp_path).load() == Kept()
    assert list(tmp_path.iterdir()) == []


def test_it_is_for_this_user_alone(tmp_path):
    """Folders are 0700 and files 0600."""
    there = files(tmp_path)
    there.update(seen(1))
    there.put(b"body")
    there.keep.save("1.json", b"x")
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.lstat().st_mode) for path in tmp_path.rglob("*")
    }
    assert {mode for name, mode in modes.items() if (tmp_path / name).is_dir()} == {0o700}
    assert {mode for name, mode in modes.items() if not (tmp_path / name).is_dir()} == {0o600}


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o722])
def test_a_folder_to_which_others_may_write_is_refused(tmp_path, mode):
    """Whoever may write there would decide what is accepted."""
    there = files(tmp_path)
    there.update(seen(1))
    there.folder.chmod(mode)
    for call in (there.load, lambda: there.update(seen(2)), lambda: there.put(b"x")):
        with pytest.raises(RemoteError, match="others may write") as caught:
            call()
        assert caught.value.code == "io"
    assert "chmod go-w" in str(caught.value)


def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    """The owner is compared with who runs this."""
    there = files(tmp_path)
    there.update(seen(1))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(RemoteError, match="belongs to the user"):
        there.load()


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path):
    """Nothing is read or written where a link leads."""
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "remote").mkdir(mode=0o700)
    (tmp_path / "remote" / "prod").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RemoteError, match="no directory"):
        files(tmp_path).update(seen(1))
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("what", ["link", "fifo", "folder", "long"])
def test_only_regular_files_are_read(tmp_path, what):
    """A link, a pipe or a folder in the place of what is kept counts as damage, and nobody waits for it."""
    there = files(tmp_path)
    name = there.put(b"body")
    there.update(seen(1))
    for path in (there.folder / "state.json", there.folder / "blobs" / name):
        data = path.read_bytes()
        path.unlink()
        if what == "link":
            (tmp_path / "data").write_bytes(data)
            path.symlink_to(tmp_path / "data")
        elif what == "fifo":
            os.mkfifo(path)
        elif what == "folder":
            path.mkdir()
        else:
            path.write_bytes(data + b"x")
    found = there.load()
    assert (found.active, found.floor, bool(found.damaged), there.blob(name)) == (None, (1, 1), True, None)


DAMAGE = {
    "empty": lambda data: b"",
    "torn": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "another form": lambda data: data.replace(b"stream/1", b"stream/2"),
    "a field more": lambda data: data.replace(b'"floor":', b'"more": 1, "floor":'),
    "true as a number": lambda data: data.replace(b'"failures": 0', b'"failures": true'),
    "a code nobody knows": lambda data: data.replace(b'"scope"', b'"scopes"'),
    "a list": lambda data: b"[]",
    "not a digest": lambda data: data.replace(b"0" * 60, b"z" * 60),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_stops_nothing_and_lowers_nothing(tmp_path, name):
    """Of a damaged state.json nothing is in force, and the floor is what it was; the next commit mends it."""
    there = files(tmp_path)
    there.update(seen(7))
    there.update(lambda kept: attrs.evolve(kept, verdict=Verdict(release(8), "scope")))
    state = there.folder / "state.json"
    data = state.read_bytes()
    damaged = DAMAGE[name](data)
    assert damaged != data
    state.write_bytes(damaged)
    found = there.load()
    assert (found.active, found.floor, found.floor_sha256) == (None, (1, 7), f"{7:064x}")
    assert str(state) in found.damaged
    there.update(lambda kept: kept)
    assert (there.load().damaged, there.load().floor) == ("", (1, 7))


def test_the_floor_outlives_the_file(tmp_path):
    """Who takes state.json away takes away what is in force, and not what was seen; nor does a stranger's file count."""
    there = files(tmp_path)
    there.update(seen(7))
    (there.folder / "state.json").unlink()
    for name in ("9.9.x", "x", ".new-1", "1.8." + "A" * 64):
        (there.folder / "floors" / name).touch()
    assert (there.load().floor, there.load().active) == ((1, 7), None)


def test_no_change_lowers_the_floor(tmp_path):
    """A process that knew less, and says so, changes everything but the floor and the clock."""
    there = files(tmp_path)
    there.update(seen(7))
    after = there.update(lambda _: Kept(failures=1))
    assert (after.floor, after.floor_sha256, after.clock_floor, after.failures) == (
        (1, 7),
        f"{7:064x}",
        700,
        1,
    )
    assert there.load() == after


def test_what_does_not_change_is_not_written(tmp_path):
    """The same again costs a look."""
    disk = Fails()
    there = files(tmp_path, disk)
    there.update(seen(1))
    disk.steps.clear()
    there.update(lambda kept: kept)
    assert not {"write", "fsync", "replace", "fsync-folder"} & set(disk.steps)


def test_the_body_comes_before_what_names_it(tmp_path):
    """What state.json refers to is on the disk before it; it is renamed only when its bytes are there."""
    disk = Fails()
    there = files(tmp_path, disk)
    there.put(b"body")
    there.update(seen(1))
    steps = [step for step in disk.steps if step not in ("mkdir", "read", "list")]
    whole = ["open", "write", "fsync", "replace", "fsync-folder"]
    # The body; the floor, which is a name and has no bytes; what names both.
    assert steps == [*whole, "open", "fsync", "replace", "fsync-folder", *whole]


def commit(there, version, older=3600):
    name = there.put(f"body {version}".encode())
    new = attrs.evolve(accepted(version), pulled={"head.json": name})
    there.update(lambda kept: kept.raised(new.release.place, new.sha256).accept(new))
    there.sweep(older=older)


def steps_of_a_commit(tmp_path):
    disk = Fails()
    there = files(tmp_path / "count")
    commit(there, 1, 0)
    there.disk = disk
    commit(there, 2, 0)
    return len(disk.steps)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "what", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")], ids=["dies", "full"]
)
def test_whatever_happens_at_any_step_it_is_old_or_new(tmp_path, when, what):
    """A commit that dies, or finds the disk full, before or after any of its steps leaves the old or the new state, whole,
    with the blobs it names; and the next commit goes through.
    """
    count = steps_of_a_commit(tmp_path)
    assert count > 15
    outcomes = set()
    for at in range(1, count + 1):
        there = files(tmp_path / f"{at}")
        commit(there, 1)
        before = there.load()
        failing = files(tmp_path / f"{at}", Fails(at, when, what))
        try:
            commit(failing, 2, 0)
        except KeyboardInterrupt:
            assert isinstance(what, KeyboardInterrupt)
        except RemoteError as error:
            assert (error.code, "make room" in str(error)) == ("io", True)
        found = there.load()
        assert found.damaged == ""
        assert found.active in (before.active, attrs.evolve(accepted(2), pulled=found.active.pulled))
        assert found.floor in ((1, 1), (1, 2))
        assert found.floor >= found.active.release.place
        assert all(there.blob(name) is not None for name in found.active.pulled.values())
        outcomes.add(found.active.release.version)
        commit(there, 3, 0)
        assert there.load().active.release.version == 3
        assert list(there.folder.rglob(".new-*")) == []
    assert outcomes == {1, 2}


def test_what_nobody_refers_to_is_swept(tmp_path):
    """The release in force and the one before keep their blobs; those of older ones go, and so does unfinished work."""
    there = files(tmp_path)
    for version in (1, 2, 3):
        commit(there, version, 0)
    (there.folder / "blobs" / ".new-1-x").touch()
    (there.folder / ".new-1-x").touch()
    there.sweep()
    assert (there.folder / ".new-1-x").exists()  # somebody may be writing it
    there.sweep(older=0)
    kept = there.load()
    names = {path.name for path in (there.folder / "blobs").iterdir()}
    assert names == {*kept.active.pulled.values(), *kept.previous.pulled.values()}
    assert not (there.folder / ".new-1-x").exists()


def test_nothing_is_swept_while_nobody_knows_what_is_needed(tmp_path):
    """With a damaged state.json every blob stays."""
    there = files(tmp_path)
    name = there.put(b"body")
    there.update(seen(1))
    (there.folder / "state.json").write_bytes(b"{")
    there.sweep(older=0)
    assert there.blob(name) == b"body"


def test_a_blob_is_hashed_when_it_is_read(tmp_path):
    """A damaged one is not there, and is written anew when it comes again."""
    there = files(tmp_path)
    name = there.put(b"body")
    (there.folder / "blobs" / name).write_bytes(b"bodY")
    assert there.blob(name) is None
    assert (there.put(b"body"), there.blob(name)) == (name, b"body")
    assert [there.blob(other) for other in ("../state.json", "", "a" * 64)] == [None] * 3


def test_the_verifier_keeps_files_of_its_own(tmp_path):
    """They are saved whole under plain names, listed, and outlive a damaged state."""
    there = files(tmp_path)
    assert (there.keep.load("1.json"), there.keep.names()) == (None, [])
    there.keep.save("2.json", b"two")
    there.keep.save("1.json", b"one")
    there.keep.save("1.json", b"other")
    os.mkfifo(there.folder / "keep" / "3.json")
    assert there.keep.load("3.json") is None
    (there.folder / "keep" / "3.json").unlink()
    assert (there.keep.names(), there.keep.load("1.json")) == (["1.json", "2.json"], b"other")
    for name in ("../x", "a/b", "", ".hidden", "a\0b"):
        with pytest.raises(RemoteError, match="not the name"):
            there.keep.save(name, b"x")


WRITER = """
import sys
import attrs
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_stream_files import commit, files
there = files(Path({folder!r}))
version = there.load().active.release.version if there.load().active else 0
print("begins", flush=True)
for number in range(version + 1, version + {most}):
    commit(there, number)
    print(number, flush=True)
"""


def writer(tmp_path, most):
    code = WRITER.format(tests=str(Path(__file__).parent), folder=str(tmp_path), most=most)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.once
def test_killed_25_times_it_is_whole(tmp_path):
    """After kill -9 at any moment the newest state that was told, or the one in the making, is there with its blobs."""
    told = 0
    for number in range(25):
        process = writer(tmp_path, 1000)
        assert process.stdout.readline() == "begins\n"
        deadline = time.monotonic() + 0.004 * number
        while time.monotonic() < deadline:
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate(timeout=30)
        told = max([told, *(int(line) for line in out.split("\n")[:-1] if line.isdigit())])
        kept = files(tmp_path).load()
        version = kept.active.release.version if kept.active is not None else 0
        assert (kept.damaged, version in (told, told + 1)) == ("", True)
        if kept.active is not None:
            assert kept.floor >= kept.active.release.place
            assert all(files(tmp_path).blob(name) for name in kept.active.pulled.values())
        told = version


@pytest.mark.once
def test_four_processes_never_fail_and_never_lower_the_floor(tmp_path):
    """They commit to one folder at once: nobody errs, the floor only rises, and the end is the highest."""
    processes = [writer(tmp_path, most) for most in (40, 60, 80, 100)]
    floors = []
    while any(process.poll() is None for process in processes):
        floors.append(files(tmp_path).load().floor or (0, 0))
    outcomes = [process.communicate(timeout=30) for process in processes]
    assert [(process.returncode, err) for process, (_, err) in zip(processes, outcomes, strict=True)] == [
        (0, "")
    ] * 4
    assert floors == sorted(floors)
    highest = max(int(out.split()[-1]) for out, _ in outcomes)
    assert files(tmp_path).load().floor == (1, highest)
