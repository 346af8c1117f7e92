"""Starting: imports, commands, and finding what is installed.  Measured in processes of their own."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import peers
from harness import Pace, Sample, race, repeat
from lines import Line, Row, Skip, above, ratio

_HEAVY = ("httpx", "cryptography", "cattrs", "opentelemetry")
_CLICK = """
import click
@click.group()
def main(): "A program."
@main.command()
def list(): "Print a line."; click.echo("nothing")
main()
"""


@functools.cache
def bytecode() -> str:
    """A folder for bytecode, which goes with this process."""
    folder = tempfile.mkdtemp(prefix="oneiric-bench-bytecode-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def process(
    code: str, *arguments: str, environment: dict[str, str] | None = None, cwd: str | None = None
) -> Sample:
    """A sample that runs ``python -c code arguments``, and requires that it goes well."""
    command = [sys.executable, "-c", code, *arguments]
    # Bytecode is cached, as that of installed packages is, even where the surroundings forbid it in the source tree.
    variables = {
        **os.environ,
        "PYTHONPYCACHEPREFIX": bytecode(),
        "PYTHONDONTWRITEBYTECODE": "",
        **(environment or {}),
    }

    def run(number: int) -> float:
        began = _spent()
        for _ in range(number):
            subprocess.run(command, env=variables, cwd=cwd, stdout=subprocess.DEVNULL, check=True)
        return _spent() - began

    return run


def _spent() -> float:
    """CPU seconds of the processes that have ended: they wait for nothing but their turn."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def imports(pace: Pace) -> Iterator[Line]:
    """CPU seconds above those of ``python -c pass``, in new processes; and how many of httpx, cryptography, cattrs and
    opentelemetry are loaded.
    """
    once = pace.fewer(5 if pace.short else 15)  # a process a sample
    contenders = {
        "plain": process("pass"),
        "ours": process("import oneiric"),
        "from": process("from oneiric import assemble"),
        "assembled": process("from oneiric import assemble; assemble({})"),
    }
    others, absent = peers.asked(
        {name: functools.partial(_importing, name) for name in ("pluggy", "zope.interface")}
    )
    times = race(contenders | others, once)
    mine = {name: each for name, each in times.items() if name not in ("from", "assembled")}
    yield peers.without(above("import oneiric", mine, 0.015), absent)
    yield above("from oneiric import assemble", {"plain": times["plain"], "ours": times["from"]}, 0.090)
    yield above("and assemble({})", {"plain": times["plain"], "ours": times["assembled"]}, None)
    code = f"from oneiric import assemble; import sys; print(*(name for name in {_HEAVY} if name in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    yield Line("heavy libraries loaded", len(loaded), "", 0, exact=True)


def _importing(name: str) -> Sample:
    importlib.import_module(name)
    return process(f"import {name}")


# --- commands --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def installed(distributions: int, kits: int) -> Iterator[Path]:
    """A folder that looks as if *distributions* had been installed there, *kits* of them kits of Oneiric."""
    with tempfile.TemporaryDirectory(prefix="oneiric-bench-") as name:
        folder = Path(name)
        for number in range(distributions):
            info = folder / f"bench_kit{number}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: bench-kit{number}\nVersion: 1.0\n")
            if number < kits:
                (info / "entry_points.txt").write_text(f"[oneiric]\nkit{number} = bench_kit{number}\n")
                (folder / f"bench_kit{number}.py").write_text(_KIT.format(number=number))
            else:
                (info / "entry_points.txt").write_text(
                    f"[console_scripts]\nkit{number} = bench_kit{number}:main\n"
                )
        yield folder


_KIT = """
from oneiric_hookspecs import Candidate, Key, hookimpl

@hookimpl
def oneiric_candidates():
    yield Candidate(Key.of("adapter", "bench{number}"), "kit{number}", "bench_kit{number}:make")
"""


def commands(pace: Pace) -> Iterator[Line]:
    """``oneiric --help`` and ``oneiric list`` with 20 kits installed, in new processes; CPU seconds.  Plain: a program
    of one click group and one command that prints a line.
    """
    if importlib.util.find_spec("oneiric.cli") is None:
        raise Skip("there is no oneiric.cli")
    once = pace.fewer(5 if pace.short else 15)
    with installed(20, 20) as folder:
        paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
        around = {"PYTHONPATH": paths, "HOME": str(folder)}
        code = "from oneiric.cli import main; main()"
        times = race(
            {
                "plain": process(_CLICK, "--help", environment=around, cwd=str(folder)),
                "help": process(code, "--help", environment=around, cwd=str(folder)),
                "list": process(code, "list", environment=around, cwd=str(folder)),
            },
            once,
        )
    yield ratio("oneiric --help", {"plain": times["plain"], "ours": times["help"]}, 2.0)
    yield ratio("oneiric list", {"plain": times["plain"], "ours": times["list"]}, 4.0)


# --- entry points ----------------------------------------------------------------------------------------------------


def entry_points(pace: Pace) -> Iterator[Line]:
    """The kits among 200 distributions are found, with their names and versions; nothing of them is imported.  Plain:
    ``importlib.metadata.entry_points``.
    """
    from oneiric.installed import installed as find

    with installed(200, 20) as folder:
        others, absent = peers.asked({"stevedore": lambda: peers.stevedore_scan("oneiric", str(folder))})
        contenders = {
            "plain": repeat('find(group="oneiric")', find=metadata.entry_points),
            "ours": repeat('find("oneiric")', find=find),
        }
        with only(folder):
            assert len(find("oneiric")) == len(metadata.entry_points(group="oneiric")) == 20
            times = race(contenders | others, pace)
    yield peers.without(ratio("20 kits among 200 distributions", times, 1.2), absent)


@contextlib.contextmanager
def only(folder: Path) -> Iterator[None]:
    """With *folder* for all that is installed."""
    before = sys.path[:]
    standard = [path for path in before if "site-packages" not in path]
    sys.path[:] = [str(folder), *(path for path in standard if not list(Path(path).glob("*.*-info")))]
    try:
        yield
    finally:
        sys.path[:] = before


ROWS = (Row("import", imports), Row("commands", commands), Row("entry-points", entry_points))
