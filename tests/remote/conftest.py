"""A project with one stream: ``project.publisher`` publishes, ``project.synced()`` syncs, ``project.oneiric(...)`` is typed."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from oneiric import assemble
from oneiric.cli import main

sys.path.append(str(Path(__file__).parent / "support"))

from stream_publisher import Publisher, entry

THING = entry("adapter", "thing", "a", "stream_kit:Part")


class Project:
    """A folder with settings, keys, a state directory, and a publisher's folder.

    Attributes:
        folder: Where.
        publisher: Whose stream it syncs.
        now: What all clocks say, in seconds since 1970.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = float(int(time.time()))
        self.publisher = Publisher(folder / "srv", now=lambda: self.now)
        (folder / "keys.json").write_bytes(self.publisher.anchor)
        self.runtimes = []
        self.settings()

    def settings(
        self, more: str = "", *, url: str | None = None, head: str = "", factories='["stream_kit"]'
    ) -> None:
        """Write ``oneiric.toml``: *more* into the stream's table, *head* before it."""
        url = url or f"file://{self.folder}/srv"
        (self.folder / "oneiric.toml").write_text(
            f'{head}\n[remote.prod]\nurl = "{url}"\nkeyring = "keys.json"\nfactories = {factories}\n{more}\n'
        )

    def runtime(self, **more):
        """A runtime of those settings; its streams have the project's clock."""
        runtime = assemble(self.folder / "oneiric.toml", environment=False, **more)
        self.runtimes.append(runtime)
        runtime.remote._wall = lambda: self.now
        for stream in runtime.remote._streams.values():
            stream.wall = lambda: self.now
        return runtime

    def synced(self, runtime=None, **options):
        """The report of one sync, of a runtime that lives as long, or of *runtime*, which is not started by it."""
        if runtime is not None:
            return runtime.remote.stream("prod").sync(**options)

        async def once():
            async with self.runtime() as started:
                [report] = await started.remote.sync("prod", **options)
                return report

        return asyncio.run(once())

    def oneiric(self, *words: str):
        """A command, in this process."""
        return CliRunner().invoke(main, [*words], catch_exceptions=False)

    def json(self, *words: str):
        """The object it gives."""
        return json.loads(self.oneiric(*words, "--json").stdout)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Iterator[Project]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONEIRIC_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Project(tmp_path)
    yield made
    for runtime in made.runtimes:
        runtime.remote.close()
