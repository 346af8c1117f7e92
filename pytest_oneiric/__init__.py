"""Fixtures for those who test what runs in Oneiric; pytest loads them wherever Oneiric is installed.

Nothing but pytest is imported here: every run of every project that has Oneiric installed pays for what is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .clock import Clock
    from .command import CommandLine
    from .project import ProjectFolder
    from .runtimes import Runtimes

__all__ = ["oneiric_cli", "oneiric_clock", "oneiric_project", "oneiric_runtime"]


@pytest.fixture
def oneiric_runtime(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtimes]:
    """Make runtimes: ``oneiric_runtime(settings=None, plugins=())`` is ``assemble`` without what is installed.

    In an async test enter it, ``async with oneiric_runtime(plugins=[kit]) as runtime``; in any other one use it by
    ``with oneiric_runtime(plugins=[kit]).blocking as runtime``.  At the end of the test each has to be closed, with
    nothing left and every close gone well.
    """
    from .isolation import without_settings
    from .runtimes import Runtimes

    without_settings(monkeypatch, tmp_path)
    runtimes = Runtimes()
    yield runtimes
    runtimes.check()


@pytest.fixture
def oneiric_cli(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """Run commands in this process: ``oneiric_cli("list", "--json").json``.

    In an empty working directory (``oneiric_cli.write("oneiric.toml", ...)``), with a state directory of its own and no
    variable of Oneiric's.  Modules that are imported from there are forgotten afterwards.
    """
    from .command import CommandLine
    from .isolation import forgotten, without_settings

    without_settings(monkeypatch, tmp_path)
    monkeypatch.chdir(str(tmp_path))
    with forgotten(tmp_path):
        yield CommandLine(tmp_path)


@pytest.fixture
def oneiric_clock() -> Clock:
    """Virtual time: ``oneiric_clock.run(main())`` runs a coroutine on a loop whose sleeps take no time.

    ``oneiric_clock.time()`` says how late it is, ``oneiric_clock.advance(30)`` lets time pass.
    """
    from .clock import Clock

    return Clock()


@pytest.fixture
def oneiric_project(tmp_path: object) -> ProjectFolder:
    """A project in a folder of its own, with kits that are installed for it alone.

    ``oneiric_project.write(name, text)``, ``.kit(name, source)``, ``.install(folder)``; and in processes of their own
    ``.oneiric("list")``, ``.python("-c", code)``, ``.pytest()``.
    """
    from .project import ProjectFolder

    return ProjectFolder(tmp_path)
