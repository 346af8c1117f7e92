"""Keeping a test apart from the machine, and from the tests after it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

#: Variables that change what commands print.
_LOOKS = ("NO_COLOR", "FORCE_COLOR", "COLUMNS")


def without_settings(monkeypatch: pytest.MonkeyPatch, folder: Any) -> None:
    """No variable of Oneiric's but one: the state directory is below *folder*."""
    for name in [name for name in os.environ if name.startswith("ONEIRIC")]:
        monkeypatch.delenv(name)
    for name in _LOOKS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ONEIRIC_STATE_DIR", str(Path(folder) / "state"))


def clean_environment(path: list[str]) -> dict[str, str]:
    """The environment of a process that knows nothing of this machine's settings, with *path* to import from."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ONEIRIC", "PYTEST_")) and name not in _LOOKS
    }
    before = kept.get("PYTHONPATH")
    return kept | {"PYTHONPATH": os.pathsep.join([*path, *([before] if before else [])])}


@contextlib.contextmanager
def forgotten(folder: Any) -> Iterator[None]:
    """Afterwards ``sys.path`` and logging are as before, and no module of *folder* is loaded."""
    path, modules = list(sys.path), set(sys.modules)
    root, own = logging.getLogger(), logging.getLogger("oneiric")
    handlers = {each: list(each.handlers) for each in (root, own)}
    levels = {each: each.level for each in (root, own)}
    disabled = logging.root.manager.disable
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
        logging.disable(disabled)
        for each in (root, own):
            each.handlers[:] = handlers[each]
            each.setLevel(levels[each])
