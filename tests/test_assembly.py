"""From settings to a runtime: which plugins are in it, and why."""

import gc
import weakref

import pytest
from oneiric_hookspecs import Candidate, Key, PluginError, ResolutionError, SettingsError, hookimpl

from oneiric import assemble

CACHE = Key.of("adapter", "cache")


class Shop:
    @hookimpl
    def oneiric_candidates(self):
        yield Candidate(CACHE, "shop", dict)


class Misspelt:
    @hookimpl
    def oneiric_candidate(self):
        yield None


def states(runtime):
    return {record.name: record.state for record in runtime.hooks.plugins}


def test_built_ins_may_be_switched_off():
    """What it would have declared is not there, and it is listed with who switched it off."""
    runtime = assemble({"plugins": {"off": ["cache.memory"]}}, environment=False)

    record = runtime.hooks.plugin("cache.memory")
    assert (record.state, record.by) == ("off", "[plugins] off")
    assert runtime.resolve("adapter", "cache").provider == "disk"


@pytest.mark.parametrize("guard", ["precedence", "eligibility", "factories", "probes", "probation"])
def test_a_guard_is_always_on(guard):
    """Asking to switch it off is an error that says so."""
    with pytest.raises(
        SettingsError, match=f"^plugins.off: {guard} is always on, and cannot be switched off"
    ):
        assemble({"plugins": {"off": [guard]}}, environment=False)


def test_a_plugin_of_the_application_may_be_switched_off(tmp_path, monkeypatch):
    """By its name, before it is imported."""
    (tmp_path / "loud_plugin.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    runtime = assemble({"app": {"plugins": ["loud_plugin"]}}, off=["loud_plugin"], environment=False)

    record = runtime.hooks.plugin("loud_plugin")
    assert (record.state, record.reason, record.by) == ("off", "it is switched off", "assemble(off=...)")


def test_a_plugin_that_fails_is_kept_apart(tmp_path, monkeypatch):
    """Everything else works; strictly, it is an error."""
    (tmp_path / "sick_plugin.py").write_text("import no_such_module_here", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = {"app": {"plugins": ["sick_plugin"]}}

    runtime = assemble(settings, environment=False)

    record = runtime.hooks.plugin("sick_plugin")
    assert record.state == "failed"
    assert "No module named 'no_such_module_here'" in record.reason
    assert runtime.resolve("adapter", "cache").provider == "memory"
    with pytest.raises(PluginError, match="no_such_module_here"):
        assemble(settings, environment=False, strict=True)


def test_a_plugin_given_in_code_is_refused_at_once():
    """Its author is at the keyboard."""
    with pytest.raises(PluginError, match="did you mean oneiric_candidates"):
        assemble({}, [Misspelt()], environment=False)


def test_a_name_that_is_no_plugin_is_a_warning():
    """A kit may be missing on one machine of several; a slip is shown with what was meant."""
    runtime = assemble({"plugins": {"off": ["cache.disc", "redis"]}}, environment=False)

    assert [str(each) for each in runtime.settings.warnings] == [
        "plugins.off: there is no plugin 'cache.disc' (did you mean cache.disk?)",
        "plugins.off: there is no plugin 'redis'",
    ]


def test_the_application_has_the_first_word():
    """Its candidates win ties against installed and built-in ones: what is declared last is registered last."""
    runtime = assemble({}, [Shop()], environment=False)

    assert runtime.resolve("adapter", "cache").provider == "shop"
    assert runtime.hooks.named("oneiric_candidates").impls[-1].plugin == "Shop"


def test_two_runtimes_share_nothing():
    """What is registered with one is unknown to the other."""
    one, other = assemble({}, environment=False), assemble({}, environment=False)
    one.register(Candidate(CACHE, "mine", dict))

    assert one.resolve("adapter", "cache").provider == "mine"
    assert other.resolve("adapter", "cache").provider == "memory"


def test_a_domain_declared_twice_fails_the_later_plugin():
    """The plugin is failed, with the reason; the domain is that of the first."""

    class Rival:
        @hookimpl
        def oneiric_domains(self):
            from oneiric_hookspecs import Domain

            yield Domain("adapter", "adaptors", "another idea of what an adapter is")

    runtime = assemble({}, [Rival()], environment=False)

    assert states(runtime)["Rival"] == "failed"
    assert "there is a domain adapter (adapters) already" in runtime.hooks.plugin("Rival").reason
    assert runtime.snapshot.domains["adapter"].plural == "adapters"


def test_a_key_that_nobody_fills_is_a_warning():
    """The application may register candidates later; a slip is shown with what was meant."""
    settings = {
        "adapters": {"selections": {"cash": "disk", "cache": "disk"}},
        "lifecycle": {"keys": {"adapter:cach": {"probation": 1.0}, "adapter:cache": {"probation": 1.0}}},
    }

    assert [str(each) for each in assemble(settings, environment=False).settings.warnings] == [
        "adapters.selections.cash: nobody fills adapter:cash (did you mean cache?)",
        'lifecycle.keys."adapter:cach": nobody fills adapter:cach (did you mean cache?)',
    ]


def test_a_provider_that_nobody_is_is_a_warning():
    """It says which is meant; one that is registered is none, nor is a key that has a warning already."""
    settings = {
        "adapters": {"selections": {"cache": "dsk", "queue": "kafka", "storage": "local", "cash": "disk"}}
    }

    assert [str(each) for each in assemble(settings, environment=False).settings.warnings] == [
        "adapters.selections.cash: nobody fills adapter:cash (did you mean cache?)",
        "adapters.selections.cache: no candidate of 'cache' has the provider 'dsk' (did you mean disk?)",
        "adapters.selections.queue: no candidate of 'queue' has the provider 'kafka' (there are: memory, sqlite)",
    ]


def test_a_failed_plugin_is_logged(tmp_path, monkeypatch, caplog):
    """An application that looks at nothing hears of it all the same."""
    (tmp_path / "ill_plugin.py").write_text("import no_such_module_here", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    assemble({"app": {"plugins": ["ill_plugin"]}}, environment=False)

    assert [
        (each.name, each.levelname) for each in caplog.records if "ill_plugin failed" in each.message
    ] == [("oneiric", "WARNING")]


def test_a_lone_text_is_no_collection_of_plugins():
    """It is not taken letter by letter."""
    with pytest.raises(PluginError, match="^plugins is a collection, found 'shop'\n  write \\['shop'\\]$"):
        assemble({}, "shop")


def test_a_guard_cannot_be_unplugged():
    """What is always on stays on while the application runs, too."""
    runtime = assemble({}, environment=False)

    with pytest.raises(PluginError, match="it is always on, and cannot be unplugged"):
        runtime.unplug("precedence")
    assert runtime.resolve("adapter", "cache").provider == "memory"


def test_a_pin_names_what_could_fill_the_key():
    """A slip leaves the pin as it was."""
    runtime = assemble({}, environment=False)

    with pytest.raises(ResolutionError, match="no candidate fills adapter:cache with provider 'dsik'"):
        runtime.pin("adapter", "cache", "dsik")
    with pytest.raises(ResolutionError, match="no candidate fills adapter:cash"):
        runtime.pin("adapter", "cash", "disk")
    runtime.pin("adapter", "cache", "disk")
    assert runtime.resolve("adapter", "cache").provider == "disk"


def test_a_store_that_nobody_brings_is_told_when_the_settings_are_read():
    """Not when it is first asked, which may be much later."""
    runtime = assemble({"state": {"url": "memry:"}}, environment=False)

    assert [str(each) for each in runtime.settings.warnings] == [
        "state.url: no plugin brings a store 'memry' (did you mean memory:?)"
    ]


def test_a_runtime_that_nobody_holds_is_gone(run):
    """Whether it ran or not: no plugin that is built in keeps it, in a table of its own or otherwise."""

    async def ran():
        async with assemble({"state": {"url": "memory:"}}, environment=False) as runtime:
            return weakref.ref(runtime)

    looked_at = weakref.ref(assemble({"state": {"url": "memory:"}}, environment=False))
    closed = run(ran)
    gc.collect()

    assert (looked_at(), closed()) == (None, None)
