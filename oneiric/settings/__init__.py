"""Settings: layers of TOML files, a profile, the environment and options become one frozen value, strictly.

In two phases.  ``load`` reads, and checks the sections that every application has; no plugin is needed for it, since
it is what says which plugins to load.  ``Settings.bind`` then holds the sections of domains against what is plugged
in.  Either says everything that is wrong at once: where, what was expected, what was found, and the nearest name.
``examine`` is ``load`` for who wants to hear what both phases find in the same breath.
"""

from .loading import SettingsSource, examine, load
from .model import Settings
from .overrides import Flag
from .sections import App, DomainSection, Lifecycle, LifecycleSection, Plugins, Resolver, StateSection
from .stack_order import parse_stack_order
from .streams import Stream
from .strict import structure

__all__ = [
    "App",
    "DomainSection",
    "Flag",
    "Lifecycle",
    "LifecycleSection",
    "Plugins",
    "Resolver",
    "Settings",
    "SettingsSource",
    "StateSection",
    "Stream",
    "examine",
    "load",
    "parse_stack_order",
    "structure",
]
