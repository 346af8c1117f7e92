"""What the documentation shows is run, in the order in which a reader would.

Each page has a folder of its own.  A block with a title (``toml title="oneiric.toml"``) is written to that file;
other ``python`` blocks are run; in a ``console`` block the lines after ``$`` are run by a shell, and what follows them
is what they print, where ``...`` stands for anything.  A command that is meant to fail ends with ``# exit N``.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "hookspecs" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Block:
    language: str
    title: str | None
    body: str
    line: int

    @classmethod
    def all_of(cls, text: str) -> list["Block"]:
        blocks = []
        for match in FENCE.finditer(text):
            language, _, rest = match["info"].strip().partition(" ")
            title = re.search(r'title="([^"]+)"', rest)
            line = text.count("\n", 0, match.start()) + 1
            blocks.append(cls(language, title and title[1], match["body"], line))
        return blocks


def commands(body: str) -> list[tuple[str, int, str]]:
    """The commands of a console block, each with the exit status it should have and what it should print."""
    found: list[tuple[str, int, str]] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            command, _, comment = line[2:].partition("  # ")
            status = re.search(r"exit (\d+)", comment)
            found.append((command.strip(), int(status[1]) if status else 0, ""))
        elif found:
            command, status_, printed = found[-1]
            found[-1] = (command, status_, printed + line.rstrip() + "\n")
    return found


def as_pattern(expected: str) -> re.Pattern[str]:
    """*expected*, in which ``...`` stands for anything."""
    return re.compile(re.escape(expected.rstrip()).replace(r"\.\.\.", ".*?") + r"\s*", re.DOTALL)


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    keep = {name: value for name, value in os.environ.items() if not name.startswith("ONEIRIC")}
    settings = {
        "PATH": path,
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=keep | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def run(text: str, name: str, folder: Path) -> None:
    """Do what the page *text* says, in *folder*; an AssertionError says at which line it lies."""
    script = 0
    for block in Block.all_of(text):
        at = f"{name}:{block.line}"
        if block.title is not None:
            file = folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body, encoding="utf-8")
        elif block.language == "python":
            script += 1
            (folder / f"block{script}.py").write_text(block.body, encoding="utf-8")
            done = shell(f"{sys.executable} block{script}.py", folder)
            assert done.returncode == 0, f"{at}\n{done.stdout}"
        elif block.language == "console":
            for command, status, printed in commands(block.body):
                done = shell(command, folder)
                assert done.returncode == status, f"{at}: {command}\n{done.stdout}"
                if printed.strip():
                    assert as_pattern(printed).fullmatch(done.stdout), f"{at}: {command}\n{done.stdout}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    """Every block of the page runs, and prints what the page says."""
    run(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)), tmp_path)


@pytest.mark.parametrize(
    "lie",
    [
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ true  # exit 3\n```\n",
        "```python\nraise SystemExit(1)\n```\n",
    ],
)
def test_a_page_that_lies_is_noticed(lie: str, tmp_path: Path) -> None:
    """A wrong output, a wrong exit status, a script that raises."""
    with pytest.raises(AssertionError):
        run(lie, "lie", tmp_path)


def test_a_page_may_leave_things_open(tmp_path: Path) -> None:
    """What differs from run to run is written as dots, and a failure that is meant as its status."""
    run("```console\n$ echo one two\none ...\n$ exit 3  # exit 3\n```\n", "truth", tmp_path)


def test_ci_runs_the_line_of_the_readme_and_nothing_else() -> None:
    """Whoever follows the README runs what CI runs."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    suite = next(
        line.partition("  #")[0].strip() for line in readme.splitlines() if "# the whole suite" in line
    )
    script = [
        line.strip()
        for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith(("#", "set ", "cd ", "echo "))
    ]

    assert " ".join(script).replace("\\ ", "") == suite
