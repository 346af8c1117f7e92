"""An environment of its own, in which distributions are installed as users do."""

import json
import os
import subprocess
import sys

import attrs
import pytest


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


def clean():
    """The variables of this process without those that change what Python, or Oneiric, finds."""
    strange = ("ONEIRIC", "PYTHON", "PYTEST", "COVERAGE", "FORCE_COLOR")
    return {name: value for name, value in os.environ.items() if not name.startswith(strange)}


class Environment:
    """A virtual environment, empty at first.

    Args:
        path: Where it is made.
        uv: What makes it; None for venv and pip.
        offline: Looks for the reason why nothing can be installed.
    """

    def __init__(self, path, uv, offline):
        self.bin = path / "bin"
        self.uv, self.offline = uv, offline
        self._do(
            [uv, "venv", "-q", "-p", sys.executable, path] if uv else [sys.executable, "-m", "venv", path]
        )

    def install(self, *words):
        """Install, in one command; without a package index there is nothing to be tested."""
        self._do([*self._pip("install"), "-q", *words])

    def uninstall(self, name):
        """Remove a distribution."""
        self._do([*self._pip("uninstall"), "-q", *([] if self.uv else ["-y"]), name])

    def run(self, folder, command, *words):
        """Run a command that is installed there, in *folder*."""
        done = subprocess.run(
            [self.bin / command, *map(str, words)],
            cwd=folder,
            env=clean() | {"COLUMNS": "100", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def _pip(self, word):
        python = self.bin / "python"
        return [self.uv, "pip", word, "-p", python] if self.uv else [python, "-m", "pip", word]

    def _do(self, command):
        done = subprocess.run(
            list(map(str, command)), env=clean(), capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode and (reason := self.offline(done.stderr)):
            pytest.skip(reason)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def environment(tmp_path_factory, uv, offline, checkout):
    """An environment with the two distributions of this tree, installed by path in one command."""
    made = Environment(tmp_path_factory.mktemp("environment") / "venv", uv, offline)
    made.install(checkout / "hookspecs", f"{checkout}[testing]")
    return made
