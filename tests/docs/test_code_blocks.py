"""What the documentation shows is run, in the order in which a reader would.

Each page has a folder of its own.  A block with a title (``toml title="oneiric.toml"``) is written to that file;
other ``python`` blocks are run; in a ``console`` block the lines after ``$`` are run by a shell, and what follows them
is what they print, where ``...`` stands for anything.  A command that is meant to fail ends with ``# exit N``.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]
KITS = sorted(ROOT.glob("contrib/*/README.md"))
PAGES = [ROOT / "README.md", ROOT / "hookspecs" / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *KITS]
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


@attrs.define
class Reader:
    """Who does what a page says.

    Args:
        home: The page's folder.
        checkout: What ``CHECKOUT`` is.
        tools: A folder with a faster ``pip``, for environments; None takes the one that is there.
        offline: Looks for the reason why nothing can be installed.
        hidden: What hides the kits that are installed.
    """

    home: Path
    checkout: Path | None = None
    tools: Path | None = None
    offline: Callable[[str], str | None] = lambda said: None
    hidden: Path | None = None
    folder: Path = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.folder = self.home

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """Type *command*."""
        if found := re.fullmatch(r"cd (\S+)", command):
            self.folder = (self.folder / found[1]).resolve(strict=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ONEIRIC")}
        done = subprocess.run(
            ["bash", "-c", "true" if found else command],
            cwd=self.folder,
            env=kept | self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode and command.startswith("pip ") and (reason := self.offline(done.stdout)):
            pytest.skip(reason)
        return done

    def environment(self) -> dict[str, str]:
        """Where commands are found, and modules."""
        more = {"COLUMNS": "100", "NO_COLOR": "1", "XDG_CACHE_HOME": str(self.home / ".cache")}
        more |= {} if self.checkout is None else {"CHECKOUT": str(self.checkout)}
        own = self.home / ".venv"
        if own.is_dir():
            more |= {"VIRTUAL_ENV": str(own), "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": ""}
            path = [self.tools, own / "bin", os.environ["PATH"]]
        else:
            more |= {"PYTHONPATH": "" if self.hidden is None else str(self.hidden)}
            path = [Path(sys.executable).parent, os.environ["PATH"]]
        return more | {"PATH": os.pathsep.join(str(each) for each in path if each is not None)}


def run(text: str, name: str, reader: Reader) -> None:
    """Do what the page *text* says; an AssertionError says at which line it lies."""
    script = 0
    for block in Block.all_of(text):
        at = f"{name}:{block.line}"
        if block.title is not None:
            file = reader.folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body, encoding="utf-8")
        elif block.language == "python":
            script += 1
            (reader.folder / f"block{script}.py").write_text(block.body, encoding="utf-8")
            done = reader.shell(f"python block{script}.py")
            assert done.returncode == 0, f"{at}\n{done.stdout}"
        elif block.language == "console":
            for command, status, printed in commands(block.body):
                done = reader.shell(command)
                assert done.returncode == status, f"{at}: {command}\n{done.stdout}"
                if printed.strip():
                    assert as_pattern(printed).fullmatch(done.stdout), f"{at}: {command}\n{done.stdout}"


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory, uv: str | None) -> Path | None:
    """``pip`` as done by uv, which takes the same words and is ten times as fast."""
    if uv is None:
        return None
    folder = tmp_path_factory.mktemp("tools")
    (folder / "pip").write_text(f'#!/bin/sh\nexec "{uv}" pip "$@"\n')
    (folder / "pip").chmod(0o755)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(
    page: Path,
    tmp_path: Path,
    checkout: Path,
    tools: Path | None,
    offline: Callable[[str], str | None],
    unplugged: Path,
) -> None:
    """Every block of the page runs, and prints what the page says."""
    reader = Reader(tmp_path, checkout, tools, offline, None if page in KITS else unplugged)
    run(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)), reader)


@pytest.mark.parametrize(
    "lie",
    [
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ true  # exit 3\n```\n",
        "```python\nraise SystemExit(1)\n```\n",
        "```console\n$ mkdir a\n$ cd a\n$ ls ../b\n```\n",
    ],
)
def test_a_page_that_lies_is_noticed(lie: str, tmp_path: Path) -> None:
    """A wrong output, a wrong exit status, a script that raises."""
    with pytest.raises(AssertionError):
        run(lie, "lie", Reader(tmp_path))


def test_a_page_may_leave_things_open(tmp_path: Path) -> None:
    """What differs from run to run is written as dots, and a failure that is meant as its status."""
    run("```console\n$ echo one two\none ...\n$ exit 3  # exit 3\n```\n", "truth", Reader(tmp_path))


def test_a_page_goes_where_it_says(tmp_path: Path) -> None:
    """Into a folder, in which files are written then; and into an environment of its own."""
    page = (
        "```console\n$ mkdir a\n$ cd a\n```\n"
        '```text title="here.txt"\nit is\n```\n'
        "```console\n$ cat ../a/here.txt\nit is\n"
        "$ python3 -m venv --without-pip ../.venv\n"
        "$ python -c 'import sys; print(sys.prefix)'\n...venv\n$ python -c 'import attrs'  # exit 1\n```\n"
    )

    run(page, "page", Reader(tmp_path))

    assert (tmp_path / "a" / "here.txt").read_text() == "it is\n"


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
