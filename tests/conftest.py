"""Fixtures for every test: time that passes at once, and no kit that happens to be installed."""

import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from oneiric.testing import VirtualClock, run_virtual


@pytest.fixture
def clock() -> VirtualClock:
    """The time of this test: ``clock.time()``, ``clock.advance(seconds)``; the loop of ``run`` keeps it too."""
    return VirtualClock()


@pytest.fixture
def run(clock: VirtualClock) -> Callable:
    """``run(main())``, or ``run(main)``: as asyncio.run, in virtual time, leaving no task and no error behind.

    Keywords are those of ``oneiric.testing.run_virtual``.
    """
    before = frozenset(threading.enumerate())  # threads that a test starts before it runs are waited for too

    def run(main, **more):
        return run_virtual(main, **{"clock": clock, "ignore": before} | more)

    return run


@pytest.fixture(scope="session")
def unplugged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that hides installed kits from whoever has it first on ``sys.path``, or in ``PYTHONPATH``.

    It holds a distribution without entry points for each that has some of ours: of two distributions of one name the
    first counts.  Their modules can still be imported.
    """
    folder = tmp_path_factory.mktemp("unplugged")
    for found in metadata.distributions():
        groups = {entry.group.partition(".")[0] for entry in found.entry_points}
        if "oneiric" in groups and found.name != "oneiric":
            about = folder / f"{found.name.replace('-', '_')}-{found.version}.dist-info" / "METADATA"
            about.parent.mkdir(exist_ok=True)
            about.write_text(f"Metadata-Version: 2.1\nName: {found.name}\nVersion: {found.version}\n")
    return folder


@pytest.fixture(scope="module", autouse=True)
def no_installed_kits(unplugged: Path) -> Iterator[None]:
    """What is installed beside the suite is plugged in nowhere: not in this process, nor in those it starts."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(unplugged), before]))
    sys.path.insert(0, str(unplugged))
    yield
    if str(unplugged) in sys.path:
        sys.path.remove(str(unplugged))
    if before is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is installed from this tree: building in the tree itself would leave things in it."""
    root, copy = Path(__file__).parents[1], tmp_path_factory.mktemp("checkout")
    litter = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
    packages = [each.parent.name for each in root.glob("*/__init__.py")]
    for name in (*packages, "hookspecs", "contrib"):
        shutil.copytree(root / name, copy / name, ignore=litter)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, copy)
    return copy


@pytest.fixture(scope="session")
def uv() -> str | None:
    """The command ``uv``, which does what ``venv`` and ``pip`` do, in a second; None where it is not at hand."""
    return shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@pytest.fixture(scope="session")
def offline() -> Callable[[str], str | None]:
    """Whether an installer says that it reaches no package index, and how."""
    words = "failed to fetch|error sending request|dns error|name resolution|NewConnectionError|network is unreachable"
    pattern = re.compile(words, re.IGNORECASE)

    def look(text: str) -> str | None:
        found = pattern.search(text)
        return None if found is None else f"no package index: {found[0]}"

    return look
