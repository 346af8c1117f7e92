"""Words that kits bring: the entry-point group ``oneiric.commands``, read without importing anybody."""

from __future__ import annotations

import functools
import sys
from typing import NamedTuple

import click

GROUP = "oneiric.commands"


class Word(NamedTuple):
    """Who brings a word: the distribution, its version, and ``pkg.mod:command``."""

    distribution: str
    version: str
    target: str


def words() -> dict[str, list[Word]]:
    """Every word, with each who brings it; a distribution whose metadata is damaged brings none."""
    return _words(tuple(sys.path))


@functools.lru_cache(maxsize=1)
def _words(path: tuple[str, ...]) -> dict[str, list[Word]]:
    """As ``words``, looked for once as long as there is no other *path*."""
    from oneiric.installed import installed

    found: dict[str, list[Word]] = {}
    for each in installed(GROUP):
        if not each.fault:
            found.setdefault(each.name, []).append(Word(each.distribution, each.version, each.target))
    return found


def whose(who: list[Word]) -> str:
    """For help: who brings it."""
    return "from " + ", and ".join(f"{each.distribution} {each.version}".strip() for each in who)


def is_ours(word: str) -> bool:
    """Whether this very distribution brings it."""
    return all(
        each.distribution == "oneiric" and each.target.startswith("oneiric.") for each in words()[word]
    )


def load(word: str) -> click.Command:
    """The command of *word*, imported now.

    Raises:
        PluginError: It does not load, is no command, or several kits bring the word.
    """
    from oneiric_hookspecs import PluginError

    from .output import aside

    who = words()[word]
    if len(who) > 1:
        raise PluginError(
            f"several distributions bring the command {word}: {', '.join(each.distribution for each in who)}",
            hint="uninstall one of them",
        )
    distribution, _, target = who[0]
    module_name, _, path = target.partition(":")
    try:
        with aside():
            from importlib import import_module

            found = import_module(module_name)
            for part in path.split("."):
                found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(
            f"the command {word} does not load: {type(error).__name__}: {error}",
            distribution=distribution,
            hint=f"it is {target} of {distribution}; the other commands work",
        ) from error
    if not isinstance(found, click.Command):
        raise PluginError(
            f"the command {word} is a {type(found).__name__}, not a click command",
            distribution=distribution,
            hint=f"it is {target} of {distribution}",
        )
    return found
