"""The installed plugins that are on, by their metadata: none is imported."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from oneiric.cli.context import Context
from oneiric.installed import alike, installed


class Suspect(NamedTuple):
    """An installed plugin.

    Args:
        name: Its entry point's name.
        distribution: What brings it.
        version: Of that.
        target: What is loaded.
        switch: What ``oneiric plugins off`` should be told: its name, or its distribution where others have that name.
    """

    name: str
    distribution: str
    version: str
    target: str
    switch: str

    @property
    def token(self) -> str:
        """What switches it off, and no other."""
        return f"{self.distribution}:{self.name}"

    @property
    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
            "target": self.target,
        }

    def __str__(self) -> str:
        return f"{self.name} of {self.distribution} {self.version} ({self.target})"


def those_that_are_on(context: Context) -> tuple[list[Suspect], list[str]]:
    """Those that would be loaded by the settings there are, in the order in which they are.

    Returns:
        They, and the tokens of those that ``-p no:NAME`` leaves out.
    """
    from oneiric.assembly import BUILTINS, GROUP
    from oneiric.hooks.switching import all_switches

    settings = context.settings
    plugins = settings.plugins
    off = all_switches(settings, {}, [name for name, always in BUILTINS.items() if always])
    left_out = {alike(name) for name in context.options.off}
    only = None if plugins.only is None else {alike(name) for name in plugins.only}
    groups = dict.fromkeys((GROUP, *plugins.entry_points))
    found = list(dict.fromkeys(each for group in groups for each in installed(group) if not each.fault))
    times = Counter(alike(each.name) for each in found)
    on, tokens = [], []
    for each in found:
        name, distribution = alike(each.name), alike(each.distribution)
        names = {name, distribution, f"{distribution}:{name}"}
        switch = each.name if times[name] == 1 else each.distribution
        suspect = Suspect(each.name, each.distribution, each.version, each.target, switch)
        if names & left_out:
            tokens.append(suspect.token)
        elif not names & off.keys() and (names & only if only is not None else plugins.auto_load):
            on.append(suspect)
    return on, tokens
