"""What ``oneiric new`` writes is well at once: its tests, its types, its style; here, and where nothing else is."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

#: Many processes, and nothing in them that differs from Python to Python.
pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
#: As long as a name may be: no line gets too long by it.
LONG = "object-store-of-the-firm"
PLUGINS = {
    "object-store-of-the-fir1": ["--key", LONG],
    "object-store-of-the-fir2": ["--key", "cache"],
    "object-store-of-the-fir3": ["--domain", "service", "--key", LONG],
    "coffee": ["--domain", "actions", "--key", "coffee.brew"],
    "tea": ["--domain", "task"],
    "object-store-of-the-fir4": ["--domain", "event", "--key", "tea.is-ready"],
    "object-store-of-the-fir5": ["--domain", "workflows", "--key", LONG],
}


def tool(name, *words, cwd, path=()):
    """Run a tool of this environment in *cwd*; it sees this tree, and the folders of *path*."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    find = os.pathsep.join(map(str, [*path, ROOT, ROOT / "hookspecs"]))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ONEIRIC", "PYTEST"))}
    mine = {
        "PATH": tools,
        "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], find]),
        "MYPYPATH": find,
        "COLUMNS": "120",
    }
    done = subprocess.run(
        [name, *map(str, words)],
        cwd=cwd,
        env=kept | mine,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder for each plugin, and the application."""
    folder = tmp_path_factory.mktemp("new")
    for name, words in PLUGINS.items():
        assert tool("oneiric", "new", "plugin", name, *words, cwd=folder)[0] == 0
    assert tool("oneiric", "new", "app", LONG, cwd=folder)[0] == 0
    return folder


def test_plugins_pass_their_own_tests(written):
    """For every domain: four lines of conformance, and tests of what it does."""
    folders = [written / f"oneiric-{name}" for name in PLUGINS]

    code, said = tool(
        "pytest",
        *("-q", "-W", "error", "--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *folders,
        cwd=written,
        path=folders,
    )

    assert code == 0, said


def test_an_application_passes_its_own_tests(written):
    """Its parts are swapped in one; it runs; and what it declares is listed."""
    folder = written / LONG
    tested = tool("pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", cwd=folder)

    assert tested[0] == 0, tested[1]
    assert tool("python", "main.py", "Ada", cwd=folder) == (0, "hello Ada, 1\n")
    listed = tool("oneiric", "list", "--domain", "service", cwd=folder)[1].splitlines()
    assert listed[1].split()[:3] == ["service", "greeter", LONG]


def test_a_plugin_keeps_the_rules_for_kits(tmp_path):
    """Written into ``contrib``, it is a kit like the others."""
    rules = runpy.run_path(str(ROOT / "tests" / "test_repository.py"))["RULES"]
    assert tool("oneiric", "new", "plugin", "green-tea", "--path", "green-tea", cwd=tmp_path)[0] == 0

    assert [(rule.__name__, found) for rule in rules if (found := rule(tmp_path / "green-tea"))] == []


def test_style(written):
    """Formatted, and without a finding: plugins by the rules that they bring, the application by those of ruff."""
    pytest.importorskip("ruff")

    assert tool("ruff", "check", "--no-cache", cwd=written) == (0, "All checks passed!\n")
    code, said = tool("ruff", "format", "--check", "--no-cache", cwd=written)
    assert (code, "would be reformatted" in said) == (0, False), said


def test_types(written, tmp_path):
    """``mypy --strict`` has nothing to say, of the tests neither."""
    pytest.importorskip("mypy")
    for folder in sorted(written.iterdir()):
        quiet = ("--follow-imports=silent", "--cache-dir", tmp_path)  # about this folder alone
        code, said = tool("mypy", "--strict", *quiet, ".", cwd=folder, path=[folder])
        assert (code, said.startswith("Success")) == (0, True), f"{folder.name}\n{said}"


def test_it_stands_on_its_own_feet(environment, tmp_path):
    """Where nothing but what it requires is installed, its tests pass, and it is on."""
    written = environment.run(tmp_path, "oneiric", "new", "plugin", "tea", "--key", "cache")
    environment.install("-e", f"{tmp_path / 'oneiric-tea'}[test]")
    tested = environment.run(tmp_path / "oneiric-tea", "pytest", "-q", "-p", "no:cacheprovider")
    required = environment.run(tmp_path, "oneiric", "plugins", "--require", "tea")
    explained = environment.run(tmp_path, "oneiric", "explain", "adapter", "cache", "--json")

    assert written.code == 0, written.err
    assert tested.code == 0, tested.out + tested.err
    assert (required.code, explained.json["winner"]) == (0, "tea"), required.err
