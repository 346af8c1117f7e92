"""The publisher of the demo's stream: keys, a folder, and the commands ``oneiric manifest ...`` in this process."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from oneiric_hookspecs import OneiricError

from oneiric.cli import kits
from oneiric.cli.context import Context

T = TypeVar("T")
STREAM = "shop"


class _Asked(Context):
    """The context of a command whose answer is kept, and not written."""

    def __init__(self, host: Any) -> None:
        super().__init__(["--json"])
        self._host = host
        self.answer: dict[str, Any] = {}

    def show(
        self, value: Any, schema: str, human: Callable[[Any], str] | None = None, *, page: bool = False
    ) -> None:
        self.answer = dict(value)

    @contextlib.asynccontextmanager
    async def host(self, *, brief: bool = True) -> AsyncIterator[Any]:
        yield self._host


class Publisher:
    """Makes keys and the first keyring of a stream, and then releases.

    Args:
        folder: Where: ``keys``, ``stream`` (what is being made) and ``public`` (what is served).

    Attributes:
        host: Who checks entries as a reader does; to be set before the first release.
        commands: How many commands were run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.commands = folder, 0
        self.host: Any = None
        self._working, self._closed = threading.Lock(), False
        self.stream, self.public = folder / "stream", folder / "public"
        self.public.mkdir(parents=True)
        self.signer = "release-a"
        for name in ("root", self.signer):
            self.key(name)
        self.run(
            "keyring", "init", STREAM, "--root", self._pub("root"), "--release", self._pub(self.signer),
            "--out", self.keyring(1),
        )  # fmt: skip
        self.run("keyring", "sign", self.keyring(1), "--key", self._private("root"))

    def keyring(self, number: int) -> Path:
        """Where a keyring of the stream is."""
        return self.stream / "keyrings" / f"{number}.json"

    def key(self, name: str) -> None:
        """Make a key."""
        self.run("keygen", self._private(name), "--id", name)

    def rotate(self, name: str) -> None:
        """Let the release key *name* sign from now on, instead of the one before; the root vouches for that."""
        self.key(name)
        self.run(
            "keyring", "rotate", self.keyring(1), "--add-release", self._pub(name), "--remove", self.signer,
            "--out", self.keyring(2),
        )  # fmt: skip
        self.run("keyring", "sign", self.keyring(2), "--key", self._private("root"))
        self.signer = name

    def release(self, entries: Sequence[Mapping[str, Any]], *signing: str) -> dict[str, Any]:
        """Build the next release and sign it, not published yet.

        Args:
            entries: What is in it.
            signing: Further words for ``oneiric manifest sign``.
        """
        source = self.folder / "entries.json"
        source.write_text(json.dumps({"entries": list(entries)}), "utf-8")
        self.run("build", source, "--out", self.stream)
        return self.run("sign", self.stream, "--key", self._private(self.signer), *signing)

    def publish(self) -> None:
        """Verify the release as a reader does, and copy it to where it is served."""
        self.run("publish", self.stream, self.public)

    def intrude(self) -> None:
        """Put the release where it is served although no publisher would: nothing is verified."""
        shutil.copytree(self.stream / "manifests", self.public / "manifests", dirs_exist_ok=True)
        shutil.copy(self.stream / "head.json", self.public / "head.json")

    def work(self, work: Callable[[], T]) -> T:
        """Do something in a thread; after ``close`` nothing is done any more.  Raises: OneiricError."""
        with self._working:
            if self._closed:
                raise OneiricError("the publisher has gone home")
            return work()

    def close(self) -> None:
        """Wait for what is being done, so that nobody writes into a folder that is removed."""
        with self._working:
            self._closed = True

    def run(self, *words: str | Path) -> dict[str, Any]:
        """``oneiric manifest WORDS``; gives its answer.  Raises: OneiricError."""
        context = _Asked(self.host)
        kits.load("manifest").main(
            args=[str(word) for word in words],
            prog_name="oneiric manifest",
            obj=context,
            standalone_mode=False,
        )
        self.commands += 1
        return context.answer

    def _private(self, name: str) -> Path:
        return self.folder / "keys" / name

    def _pub(self, name: str) -> Path:
        return self.folder / "keys" / f"{name}.pub"
