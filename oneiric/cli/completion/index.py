"""What the TAB key knows: names that a command has seen, kept in the user's cache: no plugin is imported for it.

One file for each settings file, written only where somebody uses completion: where the folder is.  Nothing here is
worth failing for: what cannot be written is not, and what cannot be read has no names.
"""

from __future__ import annotations

import json
import os
import re
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneiric.cli.options import Options
    from oneiric.runtime import Runtime

FORMAT = 1
#: Names of one kind, bytes of a file, and files in the folder: what is more is left out.
MOST_NAMES, MOST_BYTES, MOST_FILES = 5_000, 2_000_000, 50

#: What may be handed to a shell.
_NAME = re.compile(r"[\w.:@/+-]{1,200}")


class Names:
    """The names of one index; without one, none.

    Attributes:
        domains: By name, each with its plural.
        keys: By domain and name, the providers of each key.
        plugins, hooks, settings: Names of plugins and hooks, and paths of settings.
    """

    def __init__(self, data: Any = None) -> None:
        data = data if isinstance(data, Mapping) else {}
        self.domains = {
            name: plural for name, plural in _pairs(data.get("domains")) if _good(name) and _good(plural)
        }
        self.keys: dict[tuple[str, str], list[str]] = {
            (domain, name): _names(providers)
            for domain, names in _pairs(data.get("keys"))
            if _good(domain)
            for name, providers in _pairs(names)
            if _good(name)
        }
        self.plugins = _names(data.get("plugins"))
        self.hooks = _names(data.get("hooks"))
        self.settings = _names(data.get("settings"))

    def domain(self, word: str) -> str | None:
        """The domain of *word*, its name or its plural."""
        return next((name for name, plural in self.domains.items() if word in (name, plural)), None)


def _good(name: Any) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _names(given: Any) -> list[str]:
    return [name for name in given if _good(name)] if isinstance(given, list) else []


def _pairs(given: Any) -> Iterator[tuple[Any, Any]]:
    yield from given.items() if isinstance(given, Mapping) else ()


# --- where it is --------------------------------------------------------------------------------------------------


def folder() -> Path:
    """Where the indexes are: in the user's cache.

    The platform's, in the words of platformdirs, whose import takes longer than all else that a TAB does.
    """
    named = os.environ.get("XDG_CACHE_HOME", "").strip()
    home = os.path.expanduser("~")  # noqa: PTH111 - it raises nothing
    usual = os.path.join(home, *(["Library", "Caches"] if sys.platform == "darwin" else [".cache"]))  # noqa: PTH118
    return Path(named if os.path.isabs(named) else usual, "oneiric", "completion")  # noqa: PTH117


def begin() -> None:
    """From now on commands keep an index: somebody uses it."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
    except OSError:
        pass  # then there is none


def subject(config: object) -> str:
    """Which settings an index is about, by what names them.

    Args:
        config: As in ``--config``; None where it was not given.
    """
    if config:
        given = [config] if isinstance(config, str) else config
        return "\n".join(os.path.abspath(str(each)) for each in given)  # type: ignore[attr-defined]  # noqa: PTH100
    named = os.environ.get("ONEIRIC_CONFIG")
    if named:
        return os.path.abspath(named)  # noqa: PTH100 - none of this is to import pathlib's cousins, or to raise
    try:
        here = Path.cwd()
    except OSError:
        return ""
    # As the settings have it, whose modules are too much to import for this.
    return next((str(each / "oneiric.toml") for each in (here, *here.parents) if _is_there(each)), "")


def _is_there(above: Path) -> bool:
    return os.path.lexists(above / "oneiric.toml")


def _file(about: str) -> Path:
    # What it is about stands in the file, too: two that fall together only drive each other out.
    both = f"{sys.prefix}\n{about}".encode(errors="replace")
    return folder() / f"{zlib.crc32(both):08x}.json"


def _head(about: str) -> dict[str, Any]:
    version = sys.modules["oneiric"].__version__
    return {"format": FORMAT, "oneiric": version, "prefix": sys.prefix, "about": about}


# --- reading ------------------------------------------------------------------------------------------------------


def read(config: object = None) -> Names:
    """The names there are for these settings; none if nobody has looked, or if it was another Oneiric that did."""
    about = subject(config)
    try:
        with _file(about).open("rb") as file:
            data = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return Names()
    head = _head(about)
    if not isinstance(data, dict) or {name: data.get(name) for name in head} != head:
        return Names()
    return Names(data)


# --- writing ------------------------------------------------------------------------------------------------------


def remember(runtime: Runtime, options: Options) -> None:
    """Keep the names that *runtime* has, if they have changed, for the next TAB; never raises."""
    try:
        # What is plugged in by a word of the command line is not there the next time.
        if options.off or options.plugins or not folder().is_dir():
            return
        about = subject(options.config)
        path = _file(about)
        text = json.dumps({**_head(about), **_seen(runtime)}).encode()
        if len(text) >= MOST_BYTES or (path.is_file() and path.read_bytes() == text):
            return
        _replace(path, text)
        _make_room(path)
    except Exception:
        import logging

        # A command has better things to fail of.
        logging.getLogger("oneiric").debug("the index of names was not written", exc_info=True)


def _seen(runtime: Runtime) -> dict[str, Any]:
    snapshot = runtime.snapshot
    keys: dict[str, dict[str, list[str]]] = {}
    for key in list(snapshot.keys())[:MOST_NAMES]:
        providers = {record.candidate.provider for record in snapshot.records(key)}
        keys.setdefault(key.domain, {})[key.name] = sorted(providers)
    return {
        "domains": {name: domain.plural for name, domain in snapshot.domains.items()},
        "keys": keys,
        "plugins": sorted({record.name for record in runtime.hooks.plugins})[:MOST_NAMES],
        "hooks": sorted(hook.name for hook in runtime.hooks.describe()),
        "settings": list(_paths(snapshot.domains, keys))[:MOST_NAMES],
    }


def _paths(domains: Mapping[str, Any], keys: Mapping[str, Mapping[str, list[str]]]) -> Iterator[str]:
    """Paths of settings that could be asked for."""
    import attrs

    from oneiric.settings.plain import path_text
    from oneiric.settings.sections import FIXED

    for name, cls in FIXED.items():
        if attrs.has(cls):
            yield from (f"{name}.{field.name}" for field in attrs.fields(cls))
    for domain, names in keys.items():
        plural = domains[domain].plural
        for name, providers in names.items():
            yield path_text((plural, "selections", name))
            yield from (path_text((plural, "settings", name, provider)) for provider in providers)


def _replace(path: Path, text: bytes) -> None:
    import tempfile

    number, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _make_room(newest: Path) -> None:
    """Remove the oldest files, where there are too many: projects come and go."""
    found = sorted(newest.parent.iterdir(), key=lambda file: file.lstat().st_mtime_ns)
    for file in found[: max(0, len(found) - MOST_FILES)]:
        if file != newest:
            file.unlink(missing_ok=True)
