"""The reference is written from the live objects, and is what they are."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("oneiric_docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = generator()


@pytest.mark.parametrize("name", GENERATE.PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    """A hook, error or setting that is not in the reference, or not as it is, is a failure; the remedy is one line."""
    written = (DOCS / "reference" / name).read_text(encoding="utf-8")

    assert written == GENERATE.page(name), "run: python docs/generate.py"


def test_every_page_of_the_reference_is_checked() -> None:
    """Nothing in the folder was written by hand."""
    assert {path.name for path in (DOCS / "reference").iterdir()} == set(GENERATE.PAGES)


def test_every_setting_has_a_meaning() -> None:
    """No cell of the settings' tables is empty where a meaning belongs."""
    rows = [line for line in GENERATE.page("settings.md").splitlines() if line.startswith("| `")]

    assert [row for row in rows if row.endswith("|  |")] == []
