"""Stores of both kinds, processes that use one, and times that a test sets."""

import contextlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from oneiric.plugins._state import Clocks
from oneiric.plugins.stores.memory import MemoryStore
from oneiric.plugins.stores.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]


class Times:
    """What a store's clocks say."""

    def __init__(self):
        self.wall, self.monotonic, self.boot = 1_700_000_000.0, 500.0, "this start"

    @property
    def clocks(self):
        return Clocks(lambda: self.wall, lambda: self.monotonic, lambda: self.boot)


@pytest.fixture
def times():
    return Times()


@pytest.fixture(params=["sqlite", "memory"])
def opened(request, tmp_path):
    """A store of either kind, opened at one place as often as is asked for, and closed at the end of a block."""

    @contextlib.asynccontextmanager
    async def opened(keep=None, **more):
        if request.param == "sqlite":
            store = await SqliteStore.open(tmp_path / "state.db", keep, look_every=0.05, **more)
        else:
            store = MemoryStore(f"test-{abs(hash(tmp_path))}", keep, **more)
        try:
            yield store
        finally:
            await store.close()

    return opened


@pytest.fixture
def environment():
    """That of a process that has the tree, and nothing of the user's."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("ONEIRIC")}
    return keep | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "hookspecs")])}


@pytest.fixture
def process(tmp_path, environment):
    """``process(body)``: a process that runs the body of a coroutine, with ``PATH`` of a store and its class at hand."""
    started = []

    def process(body, *words):
        script = (
            "import asyncio, os, sys, time\n"
            "from pathlib import Path\n"
            "from oneiric_hookspecs import Conflict, StateError\n"
            "from oneiric.plugins.stores.sqlite import SqliteStore\n"
            f"PATH = Path({str(tmp_path / 'state.db')!r})\n"
            "async def main():\n" + textwrap.indent(textwrap.dedent(body), "    ") + "\nasyncio.run(main())\n"
        )
        started.append(
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", script, *map(str, words)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield process
    for each in started:
        if each.poll() is None:
            each.kill()
        each.communicate()
