"""The command line, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from .result import Result


class CommandLine:
    """Runs ``oneiric`` in this process, in the working directory of the test.

    Attributes:
        path: That directory.
    """

    def __init__(self, path: Any) -> None:
        self.path = Path(path)

    def write(self, name: str, text: str) -> Path:
        """Write a file there; the indentation that all lines share is taken away."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def __call__(
        self, *words: object, input: str | None = None, env: Mapping[str, str] | None = None
    ) -> Result:
        """Run ``oneiric`` with *words*.

        Args:
            words: The command line.
            input: What it may read from stdin.
            env: Variables that are set meanwhile.
        Raises:
            Exception: Whatever a command raises that is not its own way to end.
        """
        from click.testing import CliRunner

        from oneiric.cli import main

        runner = CliRunner(env={"COLUMNS": "100", **(env or {})})
        done = runner.invoke(main, [str(word) for word in words], input=input)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Result(done.exit_code, done.stdout, done.stderr)
