"""The demo's project: a folder with real settings and a real plugin."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import click

MODULE = "demo_shop"
PLUGIN = f"{MODULE}:Shop"


@contextlib.contextmanager
def project(keep: str | None) -> Iterator[Path]:
    """A folder with ``oneiric.toml`` and the plugin, from which the plugin can be imported in the block.

    Args:
        keep: Where to make it, and leave it; None makes a temporary one.
    """
    if keep is None:
        # What a plugin's thread may still hold open must not keep the rest from being removed.
        with tempfile.TemporaryDirectory(prefix="oneiric-demo-", ignore_cleanup_errors=True) as name:
            folder = Path(name).resolve()
            with _furnished(folder):
                yield folder
        return
    folder = Path(keep).absolute()
    if folder.is_dir() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty; --keep makes a folder of its own")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"cannot make {folder}: {error.strerror}") from None
    with _furnished(folder):
        yield folder


@contextlib.contextmanager
def _furnished(folder: Path) -> Iterator[None]:
    templates = files(__package__) / "templates"
    settings = (templates / "oneiric.toml").read_text("utf-8")
    # A string of JSON is one of TOML.
    settings = settings.replace("@FOLDER@", json.dumps(str(folder / "cache.sqlite")))
    (folder / "oneiric.toml").write_text(settings, "utf-8")
    (folder / f"{MODULE}.py").write_text((templates / f"{MODULE}.py").read_text("utf-8"), "utf-8")
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(MODULE, None)
