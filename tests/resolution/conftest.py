"""A registry that decides by the built-in plugins, and by those a test brings."""

import types
from collections.abc import Callable

import pytest
from oneiric_hookspecs import Domain, specs

from oneiric.hooks import HookManager
from oneiric.plugins import eligibility, precedence
from oneiric.registry import Registry
from oneiric.resolution import Resolver, Strategy


@pytest.fixture(scope="session")
def new_registry() -> Callable[..., Registry]:
    """``new_registry(*hookimpls, **facts)``: each function is a plugin, named as ``function.plugin`` or ``lab``."""

    def make(*hookimpls, builtins=(eligibility, precedence), **facts):
        manager = HookManager("oneiric")
        manager.add_specs(specs)
        for builtin in builtins:
            manager.register(builtin, builtin.__name__.rpartition(".")[2], origin="builtin")
        for number, function in enumerate(hookimpls):
            plugin = types.SimpleNamespace(**{function.__name__: function})
            manager.register(plugin, "lab" if not number else f"lab{number + 1}")
        domains = [Domain("adapter", "adapters"), Domain("service", "services")]
        return Registry(domains, resolver=Resolver(Strategy.of(manager)), **facts)

    return make


@pytest.fixture
def registry(new_registry) -> Registry:
    return new_registry()
