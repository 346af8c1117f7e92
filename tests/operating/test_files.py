"""The files for scrapers: whole, seldom, each process its own, whatever the disk does."""

import asyncio
import errno
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from oneiric_hookspecs import Key

from oneiric.orchestrator.files import Files
from oneiric.remote.disk import Disk
from oneiric.state import this_process

A = Key.of("adapter", "a")


class Counting(Disk):
    """A disk that remembers what was put where, and may be full."""

    def __init__(self):
        self.written, self.error = [], None

    def write(self, path, data):
        if self.error is not None:
            raise self.error
        super().write(path, data)
        self.written.append(path.name)


@pytest.fixture
def files(keeping, run, tmp_path, monkeypatch):
    """Run ``story(node, disk)`` beside what writes the files of a process into ``tmp_path``."""

    def go(story, name="node"):
        async def main():
            disk = Counting()
            async with keeping({"app": {"state_dir": str(tmp_path)}}, name=name) as node:
                for provider in ("a", "b"):
                    node.world.add(A, provider)
                task = node.runtime.spawn(Files(node.orchestrator, disk).run(), name="files")
                try:
                    return await story(node, disk)
                finally:
                    task.cancel()

        return run(main())

    return go


def read(folder, name="runtime_health.json"):
    return json.loads((folder / name).read_text())


async def for_a_while(seconds):
    """Seconds of the loop, in which threads come back."""
    await asyncio.sleep(seconds)
    await asyncio.sleep(0.1)


def test_files_are_what_is_documented(files, tmp_path, documented):
    """Both of them; and one line for each part."""

    async def story(node, _):
        await node.world.swap(A, "a")
        await for_a_while(11)

    files(story)

    documented(read(tmp_path), "runtime-health-file")
    documented(read(tmp_path, "lifecycle_status.json"), "lifecycle-status-file")
    text = (tmp_path / "lifecycle_status.json").read_text()
    assert [json.loads(line)["bound"]["provider"] for line in text.splitlines() if '"adapter:a"' in line] == [
        "a"
    ]


def test_they_are_written_when_something_has_changed(files, tmp_path):
    """At most once in five seconds, however much happens; and what is there at the end is what is so."""

    async def story(node, disk):
        await for_a_while(1)
        for number in range(60):
            await node.world.swap(A, "ab"[number % 2])
            await asyncio.sleep(0.5)
        await for_a_while(6)
        return disk.written.count("lifecycle_status.json")

    assert files(story) <= 9
    row = read(tmp_path, "lifecycle_status.json")["slots"][0]
    assert (row["bound"]["provider"], row["swaps"]) == ("b", 59)


def test_standing_still_costs_a_file_a_minute(files, tmp_path):
    """Nothing has changed: they are written so that one sees that the process lives, and no more often."""

    async def story(node, disk):
        await for_a_while(120)
        before = len(disk.written)
        await for_a_while(600)
        return len(disk.written) - before, node.orchestrator

    assert files(story)[0] == pytest.approx(20, abs=2)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_full_disk_ends_nothing_and_is_said_once(files, tmp_path, caplog, number):
    """For as long as it is so; and they are written again when there is room."""
    caplog.set_level(logging.INFO, "oneiric.orchestrator")

    async def story(node, disk):
        await for_a_while(6)
        disk.error = OSError(number, os.strerror(number))
        for number_ in range(5):
            await node.world.swap(A, "ab"[number_ % 2])
            await for_a_while(60)
        disk.error = None
        before = len(disk.written)
        await for_a_while(61)
        return len(disk.written) - before

    assert files(story) >= 2
    said = [each.getMessage() for each in caplog.records if "status files" in each.getMessage()]
    assert len(said) == 2
    assert os.strerror(number) in said[0]
    assert said[1] == "the status files are written again"


def test_something_else_in_the_place_of_a_file_is_said(files, tmp_path, caplog):
    """A directory; whatever can be replaced is."""
    (tmp_path / "runtime_health.json").mkdir()

    files(lambda node, disk: for_a_while(6))

    assert sum("status files are not written" in each.getMessage() for each in caplog.records) == 1
    assert [each.name for each in tmp_path.glob(".new-*")] == []


def test_pipe_in_the_place_of_a_file_is_not_read(files, tmp_path):
    """Nobody writes into it, and a reader would wait for ever."""
    os.mkfifo(tmp_path / "runtime_health.json")

    files(lambda node, disk: for_a_while(6))

    assert read(tmp_path)["node"] == "node"


def _left(folder, name, *, node, pid, host=None, written):
    here, _, _ = this_process()
    head = {"schema": "x", "node": node, "pid": pid, "host": host or here, "birth": "", "written": written}
    (folder / name).write_text(json.dumps(head)[:-1] + ',\n"more": 1}\n')


BEGIN = 1_800_000_000.0


def test_another_living_process_keeps_the_plain_names(files, tmp_path):
    """None overwrites another's; and when it ends, the plain names are free."""
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        for name in ("runtime_health.json", "lifecycle_status.json"):
            _left(tmp_path, name, node="first", pid=other.pid, written=BEGIN)

        async def story(node, disk):
            await for_a_while(6)
            names = sorted(each.name for each in tmp_path.glob("*.json"))
            other.communicate(b"\n")
            await for_a_while(61)
            return names

        names = files(story, name="second")
    finally:
        other.kill()
        other.wait()

    assert names == [
        "lifecycle_status.json",
        "lifecycle_status.second.json",
        "runtime_health.json",
        "runtime_health.second.json",
    ]
    assert sorted(each.name for each in tmp_path.glob("*.json")) == [
        "lifecycle_status.json",
        "runtime_health.json",
    ]
    assert read(tmp_path)["node"] == "second"


@pytest.mark.parametrize(
    "left",
    [
        {"pid": 2**22 + 1, "written": BEGIN},
        {"pid": os.getpid(), "host": "elsewhere", "written": BEGIN - 1000},
        {"pid": -1, "written": BEGIN - 1000},
        {"pid": os.getpid(), "written": "yesterday"},
    ],
)
def test_what_a_process_left_that_is_gone_is_taken_over(files, tmp_path, left):
    """By its number on this machine, by its time from another one; and what nobody understands, too."""
    _left(tmp_path, "runtime_health.json", node="gone", **left)
    _left(tmp_path, "runtime_health.gone.json", node="gone", **left)

    files(lambda node, disk: for_a_while(6))

    assert read(tmp_path)["node"] == "node"
    assert [each.name for each in tmp_path.glob("runtime_health*")] == ["runtime_health.json"]


def test_file_of_another_machine_that_writes_is_left_alone(files, tmp_path):
    """Nobody can look at its process; its time is young."""
    _left(tmp_path, "runtime_health.json", node="there", pid=1, host="elsewhere", written=BEGIN)

    files(lambda node, disk: for_a_while(6))

    assert read(tmp_path)["node"] == "there"
    assert read(tmp_path, "runtime_health.node.json")["node"] == "node"


def test_reader_never_sees_half_a_file(files, tmp_path):
    """It is written beside, and renamed: whoever reads has the one before, or this one."""
    seen = []

    async def story(node, disk):
        real = os.replace

        def looking(source, target):
            if str(target).endswith("lifecycle_status.json") and Path(target).exists():
                seen.append(json.loads(Path(target).read_text())["slots"])
                assert json.loads(Path(source).read_text())["slots"]
            real(source, target)

        disk.do = lambda step, call, *args, **more: (looking if step == "replace" else call)(*args, **more)
        for provider in "ababab":
            await node.world.swap(A, provider)
            await for_a_while(6)

    files(story)

    assert len(seen) >= 4
