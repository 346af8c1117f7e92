"""Syncs that are cut off, or meet others: each leaves the old or the new, and nobody goes back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from oneiric_hookspecs import hookimpl
from stream_publisher import entry

A = entry("adapter", "thing", "a", "stream_kit:Part")
B = entry("adapter", "other", "b", "stream_kit:plain")
SUPPORT = Path(__file__).parent / "support"


def test_s9_the_floor_rises_though_a_file_is_not_there_yet(project):
    """Head and body were verified: nobody is led back, whatever keeps the artifact away."""
    runtime = project.runtime()
    project.publisher.publish(A)
    project.synced(runtime)
    old = (project.publisher.folder / "head.json").read_bytes()
    file = project.publisher.artifact(b"data")
    there = project.publisher.folder / file["path"]
    there.rename(there.with_name("aside"))
    project.publisher.publish(A, entry("adapter", "file", "f", "stream_kit:from_file", artifact=file))
    new = (project.publisher.folder / "head.json").read_bytes()

    missing = project.synced(runtime)
    floor = runtime.remote.stream("prod").kept.floor
    project.publisher.write("head.json", old)
    back = project.synced(runtime)
    project.publisher.write("head.json", new)
    there.with_name("aside").rename(there)
    after = project.synced(runtime)

    assert (missing.outcome, missing.version, floor) == ("unreachable", 1, (1, 2))
    assert (back.code, back.version) == ("stale-mirror", 1)
    assert (after.outcome, after.version) == ("applied", 2)


def test_s5_a_newer_one_that_another_process_took_meanwhile_stays(project):
    """Whoever commits later with something older takes it back; the next sync brings both to the newest."""
    other = project.runtime()

    class Slow:
        @hookimpl
        def oneiric_check_manifest(self, manifest):
            if manifest.version == 1:
                project.publisher.publish(A, B)
                assert project.synced(other).version == 2

    project.publisher.publish(A)
    runtime = project.runtime(plugins=[Slow()])

    late = project.synced(runtime)
    keys = runtime.keys("adapter")
    kept = project.runtime().remote.status()[0].version
    again = project.synced(runtime)
    after = runtime.keys("adapter")

    assert (late.outcome, late.code, "thing" in keys, kept) == ("rejected", "rollback", False, 2)
    assert (again.outcome, again.version) == ("applied", 2)
    assert {"thing", "other"} <= set(after)


def test_what_is_not_for_this_process_conflicts_with_nobody(project):
    """It is not registered: neither does it stand beside another, nor does it mind who does."""
    elsewhere = {"platforms": ["plan9"]}
    project.publisher.publish(
        entry("adapter", "thing", "a", "stream_kit:plain", **elsewhere),
        entry("adapter", "thing", "b", "stream_kit:plain", conflicts=["a"]),
        entry("adapter", "thing", "c", "stream_kit:plain", conflicts=["b"], **elsewhere),
    )

    report = project.synced()

    assert (report.outcome, report.added) == ("applied", (("adapter", "thing", "b", ""),))


# --- processes ------------------------------------------------------------------------------------------------------

CHILD = """
import json, os, random, signal, sys, time
sys.path.append(sys.argv[1])
from oneiric import assemble
import oneiric.plugins.pinned.pull, cryptography.hazmat.primitives.asymmetric.ed25519, filelock, httpx
from stream_publisher import Publisher, entry

def entries(version):
    return [entry("adapter", f"key-{n}", "a", "stream_kit:plain", version=f"{version}.0") for n in range(20)]

def sync(times, runtime=None):
    runtime = runtime or assemble("oneiric.toml", environment=False)
    return [runtime.remote.stream("prod").sync() for _ in range(times)]

mode, publisher = sys.argv[2], Publisher(__import__("pathlib").Path("srv"))
open("keys.json", "wb").write(publisher.anchor)

def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print(json.dumps(["error", repr(error)]), flush=True)
        os._exit(0)
    return pid

if mode == "kill":
    def for_ever():
        runtime = assemble("oneiric.toml", environment=False)
        print("ready", file=sys.stderr, flush=True)
        while True:
            publisher.publish(*entries(publisher.version + 1))
            sync(1, runtime)
    # How long it takes here and now to publish and to sync; each is killed within a few of these.
    runtime, began = assemble("oneiric.toml", environment=False), time.monotonic()
    for _ in range(3):
        publisher.publish(*entries(publisher.version + 1))
        sync(1, runtime)
    took = (time.monotonic() - began) / 3
    runtime.remote.close()
    draw = random.Random(int(sys.argv[3]))
    for number in range(25):
        ready, told = os.pipe()
        def work():
            os.dup2(told, 2)
            for_ever()
        pid = child(work)
        os.read(ready, 5)
        time.sleep(draw.random() * 4 * took)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready), os.close(told)
        release = json.loads(__import__("base64").b64decode(json.load(open("srv/head.json"))["payload"]))
        publisher.version = release["version"]
        runtime = assemble("oneiric.toml", environment=False)
        status = runtime.remote.status()[0]
        versions = {r.candidate.version for k in runtime.keys("adapter") if k.startswith("key-")
                    for r in runtime.snapshot.records(runtime.resolve("adapter", k).key)}
        print(json.dumps([release["version"], status.version, sorted(versions), status.floor, status.failures]), flush=True)
        runtime.remote.close()
else:
    publisher.publish(*entries(1))
    def reader():
        seen, runtime = [], assemble("oneiric.toml", environment=False)
        for report in (sync(1, runtime)[0] for _ in range(30)):
            seen.append([report.outcome, report.code, report.version])
        os.write(1, (json.dumps(seen) + chr(10)).encode())  # in one piece, beside those of the others
    pids = [child(reader) for _ in range(4)]
    for version in range(2, 12):
        publisher.publish(*entries(version))
        time.sleep(0.02)
    for pid in pids:
        os.waitpid(pid, 0)
    [last] = sync(1)
    print(json.dumps([last.outcome, last.version]), flush=True)
"""


def told(project, *words):
    """What the processes print, line by line."""
    environment = {**os.environ, "PYTHONPATH": f"{SUPPORT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(SUPPORT), *words],
        cwd=project.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.once
def test_t34_a_process_that_is_killed_25_times_as_it_syncs(project):
    """The next start has one release whole, none older than the start before had, and knows of nothing torn."""
    lines = told(project, "kill", "7")

    assert len(lines) == 25
    newest = 0
    for published, version, versions, floor, failures in lines:
        assert version is None or version <= published
        assert version is None or versions == [f"{version}.0"]
        assert (version or 0) >= newest
        assert floor is None or floor[1] >= (version or 0)
        assert failures == 0
        newest = version or newest
    assert newest > 10


@pytest.mark.once
def test_t36_four_processes_follow_one_stream_in_one_folder(project):
    """None fails, none goes back, and all of them end with the newest."""
    *readers, last = told(project, "share")

    assert len(readers) == 4
    for seen in readers:
        assert {(outcome, code) for outcome, code, _ in seen} <= {
            ("applied", None),
            ("unchanged", None),
            ("rejected", "stale-mirror"),
            ("rejected", "rollback"),
        }
        versions = [version for _, _, version in seen if version is not None]
        assert versions == sorted(versions)
    assert last in (["unchanged", 11], ["applied", 11])
