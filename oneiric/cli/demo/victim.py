"""A process that runs the demo's workflow, and is killed in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Self

from oneiric_hookspecs import OneiricError

from .project import done

_PATIENCE = 30.0


class Victim:
    """``oneiric workflow run order``, of the project's settings; gone when the block ends, however that is.

    Args:
        folder: The project's.
        key: Of the run.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder, self._key = folder, key
        self._process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    async def __aenter__(self) -> Self:
        words = ["workflow", "run", "order", "--input", '{"item": "tea"}', "--key", self._key]
        # Neither a setting of the user's environment nor a module in the working directory is of this project.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEIRIC")}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "oneiric",
            "--config",
            str(self._folder / "oneiric.toml"),
            *words,
            cwd=self._folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kill()

    async def killed_at(self, node: str) -> None:
        """Kill it when it works on *node*.

        Raises:
            OneiricError: It ended before that by itself, or did not come so far in time.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                # Another process writes the file, and tells nobody.
                while node not in done(self._folder) and self._process.returncode is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        begun = node in done(self._folder)
        await self._kill()
        if not begun:
            said = (
                (await self._process.stderr.read()).decode(errors="replace") if self._process.stderr else ""
            )
            raise OneiricError(f"the process of the workflow did not come to {node}: {said[:300]}")

    async def _kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
