"""Hooks: the public plugin manager.

An application declares hooks of its own, with its own prefix, and needs nothing else of Oneiric::

    from oneiric.hooks import HookManager
    from oneiric_hookspecs import declares, hookimpl

    @declares(str)
    def shop_greetings(name: str) -> Iterable[str]:
        \"\"\"Greet *name*.\"\"\"

    hooks = HookManager("shop")
    hooks.add_specs([shop_greetings])
    hooks.load_entry_points("shop")
    for greeting in hooks[shop_greetings]("you"):
        print(greeting)

The form of a specification (``declares``, ``decides``, ``performs``, ``judges``, ``observes``, ``wraps``) says how
its plugins are asked, and what happens if one of them fails: see ``oneiric_hookspecs.grammar``.
"""

from .faults import Fault
from .making import Structure
from .manager import HookManager
from .records import Answer, HookDescription, Impl, ImplDescription, Mark, Origin, PluginRecord, State, Timing
from .relay import Hook

__all__ = [
    "Answer",
    "Fault",
    "Hook",
    "HookDescription",
    "HookManager",
    "Impl",
    "ImplDescription",
    "Mark",
    "Origin",
    "PluginRecord",
    "State",
    "Structure",
    "Timing",
]
