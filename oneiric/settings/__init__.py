"""Settings: a TOML file and the environment become one frozen value, strictly.

In two phases.  ``load`` reads, and checks the sections that every application has; no plugin is needed for it, since
it is what says which plugins to load.  ``Settings.bind`` then holds the sections of domains against what is plugged
in.  Either says everything that is wrong at once: where, what was expected, what was found, and the nearest name.
"""

from .loading import load
from .model import Settings
from .sections import App, DomainSection, Lifecycle, LifecycleSection, Plugins, Resolver
from .stack_order import parse_stack_order
from .strict import structure

__all__ = [
    "App",
    "DomainSection",
    "Lifecycle",
    "LifecycleSection",
    "Plugins",
    "Resolver",
    "Settings",
    "load",
    "parse_stack_order",
    "structure",
]
