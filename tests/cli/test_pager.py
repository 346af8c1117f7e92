"""Long answers on a terminal go through a pager; anywhere else nothing comes in between."""

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios

import pytest

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once


@pytest.fixture
def terminal(folder):
    """Run a command on a terminal of so many lines; gives what it showed."""

    def run(*words, lines=10, **environment):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 100, 0, 0))
        unset = {
            name: value
            for name, value in folder.environment.items()
            if name not in {"LESS", "PAGER", "LINES"}
        }
        process = subprocess.Popen(
            folder.command(*words),
            env=unset | {"TERM": "xterm", "NO_COLOR": "1"} | environment,
            cwd=folder.path,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(ours, 65536):
                said += part
        os.close(ours)
        return process.wait(30), said.decode().replace("\r\n", "\n")

    return run


@pytest.fixture
def pager(folder):
    """A program that says that it paged, and what LESS was."""
    script = folder.write("pager", '#!/bin/sh\necho "paged $LESS"\ncat\n')
    script.chmod(0o755)
    return str(script)


def test_a_long_answer_is_paged(terminal, pager):
    """The pager gets the whole text, and less would leave it on the screen."""
    code, said = terminal("hooks", PAGER=pager)

    first, *rest = said.splitlines()
    assert (code, first) == (0, "paged FRX")
    assert rest[0].split()[:2] == ["HOOK", "FORM"]
    assert len(rest) > 10


@pytest.mark.parametrize(
    "words", [["explain", "adapter", "cache"], ["plugins"], ["plugins", "--hooks"], ["list"]]
)
def test_what_may_be_long_is_paged(terminal, pager, words):
    """Whatever lists things."""
    assert terminal(*words, lines=2, PAGER=pager)[1].startswith("paged ")


def test_own_options_of_less_are_kept(terminal, pager):
    """Who has set LESS has set it."""
    assert terminal("hooks", PAGER=pager, LESS="-M")[1].startswith("paged -M\n")


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["hooks", "--no-pager"], {}),
        (["--no-pager", "hooks"], {}),
        (["hooks", "--json"], {"lines": 1}),
        (["hooks"], {"PAGER": "cat"}),
        (["hooks"], {"PAGER": ""}),
        (["hooks"], {"PAGER": "less 'of"}),
        (["hooks"], {"PAGER": "no-such-pager"}),
        (["hooks", "swapped"], {"lines": 100}),
    ],
)
def test_nothing_comes_in_between(terminal, pager, words, environment):
    """On request, for JSON, where the text fits, and where there is no such pager."""
    code, said = terminal(*words, **{"PAGER": pager} | environment)

    assert (code, "paged" in said) == (0, False)
    assert "oneiric_" in said


def test_what_is_no_terminal_is_not_paged(folder, pager):
    """A pipe gets the text."""
    assert folder.spawn("hooks", PAGER=pager, LINES="5").out.startswith("HOOK ")


def test_pager_that_is_left_early(terminal):
    """Whoever has seen enough has not made an error."""
    code, said = terminal("hooks", PAGER="head -n 2")

    assert (code, len(said.splitlines())) == (0, 2)
