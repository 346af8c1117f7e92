"""The six domains, each a plugin."""

import importlib

import pytest
from oneiric_hookspecs import Cache, Key, PluginError, specs

from oneiric.hooks import HookManager
from oneiric.plugins import eligibility, precedence
from oneiric.registry import Registry
from oneiric.resolution import Resolver, Strategy

NAMES = {
    "adapter": "adapters",
    "service": "services",
    "task": "tasks",
    "event": "events",
    "workflow": "workflows",
    "action": "actions",
}


def plugins():
    """By name: the module, or the class where the plugin needs the runtime."""
    modules = {name: importlib.import_module(f"oneiric.plugins.domains.{name}") for name in NAMES}
    return {name: getattr(module, "Plugin", module) for name, module in modules.items()}


@pytest.fixture
def manager():
    manager = HookManager("oneiric")
    manager.add_specs(specs)
    for module in (eligibility, precedence):
        manager.register(module, module.__name__.rpartition(".")[2], origin="builtin")
    for name, plugin in plugins().items():
        manager.register(plugin, name, origin="builtin")
    return manager


def test_each_plugin_brings_its_domain(manager):
    """Name and plural, and a line about it."""
    domains = manager[specs.oneiric_domains]()

    assert {domain.name: domain.plural for domain in domains} == NAMES
    assert all(domain.summary for domain in domains)
    assert [record.findings for record in manager.plugins] == [()] * 8


def test_a_registry_takes_them_all(manager):
    registry = Registry(manager[specs.oneiric_domains](), resolver=Resolver(Strategy.of(manager)))

    assert list(registry.snapshot.domains) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_domain_declared_a_second_time_is_refused(manager, name):
    """The first one stays."""
    domains = manager[specs.oneiric_domains]()
    registry = Registry(domains, resolver=Resolver(Strategy.of(manager)))

    with pytest.raises(PluginError, match=f"there is a domain {name}"):
        registry.add_domains(domain for domain in domains if domain.name == name)
    assert list(registry.snapshot.domains) == list(NAMES)


def test_a_cache_has_a_contract(manager):
    """Providers of ``adapter:cache`` can take each other's place."""
    (adapter,) = plugins()["adapter"].oneiric_domains()

    assert adapter.contract_of("cache") is Cache
    assert adapter.contract_of(Key.of("adapter", "tape").name) is None
