"""A folder to work in, and ``oneiric`` run there: in a process of its own, or in this one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import attrs
import pytest
from click.testing import CliRunner

from oneiric.cli import main

ROOT = Path(__file__).parents[2]


@attrs.frozen
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one object on stdout."""
        return json.loads(self.out)

    @property
    def error(self):
        """The error object, the last line on stderr."""
        return json.loads(self.err.splitlines()[-1])


class Folder:
    """The working directory of a test."""

    def __init__(self, path, unplugged):
        self.path = path
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("ONEIRIC") and name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}
        } | {
            "PYTHONPATH": os.pathsep.join([str(unplugged), str(ROOT), str(ROOT / "hookspecs")]),
            "PYTHONUNBUFFERED": "",
            "XDG_CACHE_HOME": str(path / ".cache"),
        }

    def write(self, name, text):
        """A file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    def plugin(self, name, *candidates, before=""):
        """A module that declares these candidates, each the source of an expression."""
        lines = "\n".join(f"    yield {each}" for each in candidates) or "    return ()"
        return self.write(
            f"{name}.py",
            "import attrs\nfrom oneiric_hookspecs import Candidate, Key, Need, hookimpl\n\n"
            f"async def create():\n    return object()\n\n{dedent(before)}\n"
            f"@hookimpl\ndef oneiric_candidates():\n{lines}\n",
        )

    def distribution(self, name, *, version="1.0", **groups):
        """An installed distribution's metadata: entry points by group."""
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        folder = f"{name.replace('-', '_')}-{version}.dist-info"
        self.write(f"site/{folder}/METADATA", metadata)
        text = "".join(
            f"[{group.replace('_', '.')}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
            for group, entries in groups.items()
        )
        self.write(f"site/{folder}/entry_points.txt", text)
        self.environment["PYTHONPATH"] += os.pathsep + str(self.path / "site")

    def command(self, *words):
        """The command line of a process."""
        return [sys.executable, "-P", "-m", "oneiric", *map(str, words)]

    def spawn(self, *words, **environment):
        """Run it in a process of its own."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.path,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *words, **environment):
        """Start it in a process of its own, which can be interrupted even where these tests cannot."""
        again = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
        return subprocess.Popen(
            [sys.executable, "-c", again, *self.command(*words)],
            cwd=self.path,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words, **environment):
        """Run it in this process."""
        done = CliRunner().invoke(main, list(map(str, words)), env=environment)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ended(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def folder(tmp_path, monkeypatch, unplugged):
    """An empty working directory; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ONEIRIC")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    path, modules = list(sys.path), set(sys.modules)
    yield Folder(tmp_path, unplugged)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture(scope="module")
def new_folder(tmp_path_factory, unplugged):
    """``new_folder(name)``: a folder for several tests, for processes of their own."""
    return lambda name: Folder(tmp_path_factory.mktemp(name), unplugged)
