"""The contract's package has many names, and loads a module when one of its names is asked for."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import oneiric_hookspecs
import pytest


def told_to_type_checkers() -> dict[str, str]:
    """The module of each name, as type checkers read it."""
    tree = ast.parse(Path(oneiric_hookspecs.__file__).read_text())
    return {
        name.name: str(each.module)
        for each in ast.walk(tree)
        if isinstance(each, ast.ImportFrom) and each.level == 1
        for name in each.names
    }


def test_every_name_is_where_type_checkers_think_it_is() -> None:
    """What stands in the imports, in the table, and in ``__all__`` is the same."""
    told = told_to_type_checkers()

    assert told == oneiric_hookspecs._HOMES
    assert sorted(told) == sorted(oneiric_hookspecs.__all__)


def test_every_name_is_what_its_module_has() -> None:
    """Whoever asks for it gets the module's own."""
    wrong = [
        name
        for name, home in told_to_type_checkers().items()
        if getattr(oneiric_hookspecs, name)
        is not getattr(importlib.import_module(f"oneiric_hookspecs.{home}"), name)
    ]

    assert wrong == []


def test_a_name_that_is_nowhere_is_said_so() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="module 'oneiric_hookspecs' has no attribute 'Candidat'"):
        _ = oneiric_hookspecs.Candidat  # type: ignore[attr-defined]


def test_a_plugin_loads_what_it_names() -> None:
    """Not the values of streams, runs and supervision, whose classes take as long to make as a Python to start."""
    code = "from oneiric_hookspecs import Candidate, Key, hookimpl; import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert {name for name in loaded.split() if name.startswith("oneiric_hookspecs.")} == {
        f"oneiric_hookspecs.{name}" for name in ("candidates", "errors", "grammar", "keys")
    }
