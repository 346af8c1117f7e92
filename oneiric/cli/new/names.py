"""Names of new things: of a good form, and nobody's yet."""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata
from importlib import metadata, util

import attrs
import click
from oneiric_hookspecs import OneiricError

_FORM = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 24
_RULE = f"lower-case letters, digits and single hyphens, a letter first, at most {LONGEST}"


class Taken(OneiricError):
    """The name is somebody's: ``name``."""

    exit_code = 4

    def __init__(self, name: str, whose: str) -> None:
        super().__init__(f"the name {name} is taken: {whose}", hint="choose another one")
        self.name = name


@attrs.frozen
class Names:
    """One name, as it is spelled in each place.

    Args:
        name: The plugin's or application's.
        distribution: What installers call it.
        module: What Python calls it.
    """

    name: str
    distribution: str
    module: str

    @property
    def camel(self) -> str:
        """As part of the name of a class."""
        return camel(self.name)


def camel(name: str) -> str:
    """*name* as part of the name of a class."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[-._]", name))


def for_plugin(name: str) -> Names:
    """The names of a plugin.

    Raises:
        UsageError: *name* is not of a good form.
        Taken: A built-in plugin has the name, or something that is installed.
    """
    _check_form(name, "plugin", prefix="oneiric-")
    names = Names(name, f"oneiric-{name}", f"oneiric_{name.replace('-', '_')}")
    from oneiric.assembly import BUILTINS

    if name in BUILTINS:
        raise Taken(name, "a built-in plugin has it")
    for entry in metadata.entry_points(group="oneiric", name=name):
        whose = entry.dist.name if entry.dist is not None else "somebody"
        raise Taken(name, f"the plugin of {whose}, which is installed, has it")
    _check_installed(names)
    return names


def for_app(name: str) -> Names:
    """The names of an application, which is no distribution.

    Raises:
        UsageError: *name* is not of a good form.
        Taken: Its module would be a keyword, or one that hides, or is hidden by, another.
    """
    _check_form(name, "application")
    names = Names(name, name, name.replace("-", "_"))
    if keyword.iskeyword(names.module):
        raise Taken(name, f"{names.module} is a keyword of Python")
    if names.module in sys.stdlib_module_names:
        raise Taken(name, f"Python has a module {names.module}")
    if names.module in {"main", f"test_{names.module}"}:
        raise Taken(name, "the application has a module main already")
    _check_installed(names)
    return names


def _check_form(name: str, what: str, *, prefix: str = "") -> None:
    bare = name.removeprefix(prefix)
    if bare == name and _FORM.fullmatch(name) and len(name) <= LONGEST:
        return
    good = better(name, prefix)
    hint = f"did you mean {good}?" if good else f"it is made of {_RULE}"
    if bare != name:
        hint += f" {prefix} is put before it"
    raise click.UsageError(f"{name!r} is no name of a {what}: {hint}".replace("of a a", "of an a"))


def better(name: str, prefix: str = "") -> str:
    """The good form that is nearest to *name*; empty where there is none."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    # ``HelloWorld`` is two words, ``HTTP`` is one.
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", ascii_only)
    plain = re.sub(r"[^a-z0-9]+", "-", words.lower())
    plain = re.sub(rf"^([^a-z]|{prefix or '-'})+", "", plain)[:LONGEST].strip("-")
    return plain if _FORM.fullmatch(plain) else ""


def _check_installed(names: Names) -> None:
    try:
        version = metadata.version(names.distribution)
    except metadata.PackageNotFoundError:
        pass
    else:
        raise Taken(names.name, f"{names.distribution} {version} is installed")
    found = util.find_spec(names.module)
    if found is not None and found.origin is not None:
        raise Taken(names.name, f"there is a module {names.module}, {found.origin}")
