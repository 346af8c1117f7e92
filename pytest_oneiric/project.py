"""A project in a folder of its own, and kits that are installed for it alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from .isolation import clean_environment
from .result import Result


class ProjectFolder:
    """A folder to work in, from which processes are started that know nothing of this one.

    Attributes:
        path: The working directory of these processes.
        site: Where ``install`` puts things; first on their ``sys.path``.
        environment: Their variables.
    """

    def __init__(self, path: Any) -> None:
        self.path = Path(path) / "project"
        self.site = Path(path) / "site"
        self.path.mkdir(exist_ok=True)
        self.site.mkdir(exist_ok=True)
        self.environment = clean_environment([str(self.site)]) | {
            "ONEIRIC_STATE_DIR": str(Path(path) / "state"),
            "COLUMNS": "100",
        }

    def write(self, name: str, text: str) -> Path:
        """Write a file; the indentation that all lines share is taken away."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def kit(
        self,
        name: str,
        source: str,
        *,
        attribute: str = "",
        requires: Iterable[str] = ("oneiric-hookspecs>=1.0,<2",),
        files: Mapping[str, str] | None = None,
        install: bool = True,
    ) -> Path:
        """Make a kit ``oneiric-NAME`` with the package ``oneiric_NAME``, and install it.

        Args:
            name: The name of its entry point.
            source: Of the package's ``__init__.py``.
            attribute: What the entry point names in it, such as a class; empty for the module.
            requires: Its requirements.
            files: More files of the package, by name.
            install: Whether it is installed, too.
        Returns:
            Its folder.
        """
        package = f"oneiric_{name.replace('-', '_')}"
        target = f"{package}:{attribute}" if attribute else package
        listed = ", ".join(f'"{each}"' for each in requires)
        self.write(
            f"{name}/pyproject.toml",
            f"""\
            [project]
            name = "oneiric-{name}"
            version = "1.0"
            dependencies = [{listed}]

            [project.entry-points.oneiric]
            {name} = "{target}"
            """,
        )
        for file, text in {"__init__.py": source, "py.typed": "", **(files or {})}.items():
            self.write(f"{name}/{package}/{file}", text)
        folder = self.path / name
        if install:
            self.install(folder)
        return folder

    def install(self, folder: Path) -> None:
        """Install the kit in *folder* for this project: its packages are copied, and its metadata written.

        Raises:
            PluginError: Its ``pyproject.toml`` cannot be read.
        """
        from oneiric.testing.conformance.project import Project

        Project.of_folder(folder).write_metadata(self.site)
        source = folder / "src" if (folder / "src").is_dir() else folder
        for package in sorted(source.iterdir()):
            if (package / "__init__.py").is_file() and package.name != "tests":
                shutil.copytree(package, self.site / package.name, dirs_exist_ok=True)
            elif package.suffix == ".py" and package.stem != "setup":
                shutil.copy(package, self.site)

    def oneiric(self, *words: object, **environment: str) -> Result:
        """Run ``oneiric`` with *words*; variables by keyword."""
        return self.python("-m", "oneiric", *words, **environment)

    def pytest(self, *words: object, **environment: str) -> Result:
        """Run pytest with *words*."""
        return self.python("-m", "pytest", *words, **environment)

    def python(self, *words: object, **environment: str) -> Result:
        """Run this Python with *words*; the working directory is not on its path."""
        done = subprocess.run(
            [sys.executable, "-P", *(str(word) for word in words)],
            cwd=self.path,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)
