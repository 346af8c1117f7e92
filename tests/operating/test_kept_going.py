"""``oneiric orchestrate`` as a service manager runs it: told when it is up, its settings edited, ended in two ways."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]

SETTINGS = """\
[app]
name = "slow"
plugins = ["slow"]
state_dir = "state"
[lifecycle]
shutdown_timeout = 60.0
drain_timeout = 50.0
close_timeout = 50.0
[orchestrate]
poll = 3600.0
[services.settings.slow.slow]
size = 1
"""
PLUGIN = """\
import asyncio
import attrs
from oneiric_hookspecs import Candidate, Key, hookimpl

@attrs.frozen
class Settings:
    size: int = 1

class Slow:
    def __init__(self, settings):
        self.settings = settings

    async def run(self):
        print("size", self.settings.size, flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            print("stopping", flush=True)
            await asyncio.sleep(0 if self.settings.size < 3 else 40)

@hookimpl
def oneiric_candidates():
    yield Candidate(Key("service", "slow"), "slow", factory=Slow, settings_class=Settings)
"""


@pytest.fixture
def started(tmp_path):
    """A process that keeps going, and what listens to what it tells its manager."""
    (tmp_path / "oneiric.toml").write_text(SETTINGS)
    (tmp_path / "slow.py").write_text(textwrap.dedent(PLUGIN))
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"{folder}/notify")
        channel.settimeout(60)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ONEIRIC")} | {
            "NOTIFY_SOCKET": f"{folder}/notify",
            "PYTHONPATH": os.pathsep.join(
                [os.environ.get("PYTHONPATH", ""), str(ROOT), str(ROOT / "hookspecs")]
            ),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "oneiric", "orchestrate"],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert channel.recv(4096).startswith(b"READY=1")
            assert process.stdout.readline() == "size 1\n"
            yield process, channel
        finally:
            process.kill()
            process.communicate()


def edit(folder, size):
    (folder / "new").write_text(SETTINGS.replace("size = 1", f"size = {size}"))
    (folder / "new").replace(folder / "oneiric.toml")


def test_settings_are_read_again_and_it_ends(started, tmp_path):
    """SIGHUP: told from its begin to its end, and the service runs with what was edited.  SIGTERM: it ends with 0."""
    process, channel = started
    edit(tmp_path, 2)
    process.send_signal(signal.SIGHUP)
    heard = [channel.recv(4096).decode().splitlines()[0] for _ in range(2)]
    said = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGTERM)
    heard.append(channel.recv(4096).decode())
    out, err = process.communicate(timeout=60)
    assert heard == ["RELOADING=1", "READY=1", "STOPPING=1"]
    assert sorted([*said, *out.splitlines(keepends=True)]) == ["size 2\n", "stopping\n", "stopping\n"]
    assert (process.returncode, "Traceback" in err) == (0, False)


@pytest.mark.parametrize(("second", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_hurries(started, tmp_path, second, code):
    """A service that takes forty seconds to stop is not waited for any longer."""
    process, channel = started
    edit(tmp_path, 3)
    process.send_signal(signal.SIGHUP)
    while process.stdout.readline() != "size 3\n":
        pass
    while not channel.recv(4096).startswith(b"READY=1"):
        pass
    process.send_signal(signal.SIGTERM)
    assert channel.recv(4096) == b"STOPPING=1"
    while process.stdout.readline() != "stopping\n":
        pass
    process.send_signal(second)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in err) == (code, False)
