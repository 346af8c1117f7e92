"""One run of somebody's command, with some plugins off: how it ended, whatever it did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple

import click

#: Seconds between asking a process to end and making it.
GRACE = 2.0
#: Lines of what a command said that are worth repeating.
TAIL = 5


class Run(NamedTuple):
    """How a command ended.

    Args:
        exit: Its exit status, 128 and more for a signal, as a shell has it; None if it took too long.
        seconds: How long it took.
        said: The last lines that it wrote; none where they were shown.
    """

    exit: int | None
    seconds: float
    said: tuple[str, ...]

    def __str__(self) -> str:
        return "timed out" if self.exit is None else f"exit {self.exit}"


def run(command: Sequence[str], environment: Mapping[str, str], timeout: float | None, *, show: bool) -> Run:
    """Run *command* in a process group of its own, of which nothing is left at the end.

    Args:
        command: The program and its arguments.
        environment: All of it.
        timeout: Seconds after which it is killed; None waits.
        show: Whether what it writes goes to stderr.
    Raises:
        click.UsageError: There is no such program, or it cannot be run.
    """
    # A file, since a pipe that a grandchild keeps open would never end.
    with tempfile.TemporaryFile() as file:
        sink: IO[Any] = sys.stderr if show else file
        begun = time.perf_counter()
        try:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise click.UsageError(f"cannot run {command[0]}: {error.strerror}") from None
        except ValueError as error:  # a zero byte
            raise click.UsageError(f"cannot run {command[0]!r}: {error}") from None
        try:
            code: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
        seconds = time.perf_counter() - begun
        return Run(None if code is None else code if code >= 0 else 128 - code, seconds, _last_lines(file))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process, if it lives, and then whatever is left of its group."""
    try:
        if process.poll() is None:
            _kill(process, signal.SIGTERM)
            process.wait(GRACE)
    except subprocess.TimeoutExpired:
        pass  # it has heard it, and what follows nobody survives
    finally:
        _kill(process, signal.SIGKILL)
        process.wait()


def _kill(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # nobody is left; on macOS, only one that has ended


def _last_lines(file: IO[bytes]) -> tuple[str, ...]:
    file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
    lines = [line.rstrip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return tuple(lines[-TAIL:])
