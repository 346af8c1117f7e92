"""Others that do something of the kind, where they are installed (``uv pip install --group bench``).

Each function gives samples by name; an import that fails is the reason why one is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from harness import Sample, repeat
from lines import Line


def asked(makers: Mapping[str, Callable[[], Sample]]) -> tuple[dict[str, Sample], dict[str, str]]:
    """The samples of those that are installed, and of the others why not."""
    samples, absent = {}, {}
    for name, make in makers.items():
        try:
            samples[name] = make()
        except ModuleNotFoundError as error:
            absent[name] = f"{error.name} is not installed"
    return samples, absent


def without(line: Line, absent: Mapping[str, str]) -> Line:
    """The line, saying who was not there to be asked."""
    return attrs.evolve(line, peers={**line.peers, **absent})


# --- looking up ------------------------------------------------------------------------------------------------------


def lookups(keys: Sequence[tuple[str, str]]) -> dict[str, Callable[[], Sample]]:
    """Finding what was registered for a key, in a random order."""

    def zope() -> Sample:
        from zope.interface import Interface
        from zope.interface.adapter import AdapterRegistry
        from zope.interface.interface import InterfaceClass

        domain, registry = InterfaceClass("Adapter", (Interface,)), AdapterRegistry()
        for _, name in keys:
            registry.register((), domain, name, object())
        names = [name for _, name in keys]
        return repeat(
            "for name in names: lookup((), domain, name)",
            len(keys),
            names=names,
            lookup=registry.lookup,
            domain=domain,
        )

    def svcs() -> Sample:
        import svcs

        types = [type(name, (), {}) for _, name in keys]
        registry = svcs.Registry()
        for each in types:
            registry.register_value(each, object())
        container = svcs.Container(registry)
        return repeat("for each in types: get(each)", len(keys), types=types, get=container.get)

    return {"zope.interface": zope, "svcs": svcs}


def declarations(names: Sequence[str]) -> dict[str, Callable[[], Sample]]:
    """Registering one factory a name."""

    def zope() -> Sample:
        from zope.interface import Interface
        from zope.interface.adapter import AdapterRegistry
        from zope.interface.interface import InterfaceClass

        domain = InterfaceClass("Adapter", (Interface,))
        return repeat(
            "registry = make()\nfor name in names: registry.register((), domain, name, factory)",
            len(names), make=AdapterRegistry, names=names, domain=domain, factory=object,
        )  # fmt: skip

    def punq() -> Sample:
        import punq

        types = [type(name, (), {}) for name in names]
        return repeat(
            "container = make()\nfor each in types: container.register(each, factory=factory)",
            len(names), make=punq.Container, types=types, factory=object,
        )  # fmt: skip

    return {"zope.interface": zope, "punq": punq}


def containers() -> dict[str, Callable[[], Sample]]:
    """Getting one service from a container of dependency injection."""

    class Cache: ...

    def svcs() -> Sample:
        import svcs

        registry = svcs.Registry()
        registry.register_value(Cache, Cache())
        return repeat("get(Cache)", get=svcs.Container(registry).get, Cache=Cache)

    def punq() -> Sample:
        import punq

        container = punq.Container()
        container.register(Cache, instance=Cache())
        return repeat("resolve(Cache)", resolve=container.resolve, Cache=Cache)

    def injector() -> Sample:
        from dependency_injector import providers

        return repeat("provider()", provider=providers.Singleton(Cache))

    return {"svcs": svcs, "punq": punq, "dependency-injector": injector}


# --- hooks -----------------------------------------------------------------------------------------------------------


def pluggy_hook(count: int) -> Sample:
    """Raw pluggy: a hook with *count* implementations that answer None."""
    import pluggy

    spec, impl = pluggy.HookspecMarker("bench"), pluggy.HookimplMarker("bench")

    class Specs:
        @spec
        def bench_told(self, thing: Any, amount: int) -> None: ...

    class Plugin:
        @impl
        def bench_told(self, thing: Any, amount: int) -> None:
            return None

    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(Specs)
    for _ in range(count):
        manager.register(Plugin())
    return repeat("hook(thing=thing, amount=1)", hook=manager.hook.bench_told, thing=manager)


# --- entry points ----------------------------------------------------------------------------------------------------


def stevedore_scan(group: str, folder: str) -> Sample:
    """Stevedore's cache of entry points, warm, read from a file of *folder* as a new process does."""
    from stevedore import _cache

    class Cache(_cache.Cache):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._dir = folder

    return repeat("cache = make()\ncache.get_group_named(group)", make=Cache, group=group)
