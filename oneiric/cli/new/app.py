"""What a new application consists of."""

from __future__ import annotations

from .folder import render
from .names import Names, for_app


def app(name: str) -> tuple[Names, dict[str, str]]:
    """The files of a new application, by name.

    Raises:
        UsageError: The name is not of a good form.
        Taken: The name is somebody's.
    """
    names = for_app(name)
    values = {"name": name, "module": names.module}
    written = {
        "oneiric.toml": "oneiric.toml",
        "README.md": "README.md",
        "main.py": "main.py",
        f"{names.module}.py": "module.py",
        f"test_{names.module}.py": "test.py",
    }
    return names, {file: render(f"app/{template}", values) for file, template in written.items()}
