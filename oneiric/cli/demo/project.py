"""The demo's project: a folder with real settings and two real plugins."""

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
WORK = "demo_work"
#: What ``security.signature`` signs with.
SECRET = "an example, and no secret at all"  # noqa: S105 - as it says


@contextlib.contextmanager
def project(keep: str | None) -> Iterator[Path]:
    """A folder for ``oneiric.toml`` and the plugins, which can be imported from it in the block; see ``furnish``.

    Args:
        keep: Where to make it, and leave it; None makes a temporary one.
    """
    if keep is None:
        # What a plugin's thread may still hold open must not keep the rest from being removed.
        with tempfile.TemporaryDirectory(prefix="oneiric-demo-", ignore_cleanup_errors=True) as name:
            folder = Path(name).resolve()
            with _importable(folder):
                yield folder
        return
    folder = Path(keep).absolute()
    if folder.is_dir() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty; --keep makes a folder of its own")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"cannot make {folder}: {error.strerror}") from None
    with _importable(folder):
        yield folder


def furnish(folder: Path, url: str, keyring: Path) -> None:
    """Write the settings, the plugins, and what they name.

    Args:
        folder: Where.
        url: Of the stream.
        keyring: Its first one, which comes to the application on another way than the stream.
    """
    templates = files(__package__) / "templates"
    settings = (templates / "oneiric.toml").read_text("utf-8")
    values = {"@CACHE@": folder / "cache.sqlite", "@SECRET@": f"file:{folder / 'signing.key'}", "@URL@": url}
    for name, value in values.items():
        settings = settings.replace(name, json.dumps(str(value)))  # a string of JSON is one of TOML
    (folder / "oneiric.toml").write_text(settings, "utf-8")
    for module in (MODULE, WORK):
        (folder / f"{module}.py").write_text((templates / f"{module}.py").read_text("utf-8"), "utf-8")
    secret = folder / "signing.key"
    secret.touch(mode=0o600)
    secret.write_text(SECRET, "utf-8")
    (folder / "shop-keys.json").write_bytes(keyring.read_bytes())


def done(folder: Path) -> list[str]:
    """What has really been done so far, in whichever process."""
    try:
        return (folder / "done.txt").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    def forget() -> None:
        for module in (MODULE, WORK):
            sys.modules.pop(module, None)

    forget()  # those of another demo, where one was looked at in this process
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        forget()
