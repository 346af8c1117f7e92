"""From settings to a runtime: which plugins are in it, and why."""

import pytest
from oneiric_hookspecs import Candidate, Key, PluginError, SettingsError, hookimpl

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
    assert (record.state, record.by) == ("blocked", "[plugins] off")
    assert runtime.resolve("adapter", "cache").provider == "disk"


@pytest.mark.parametrize("guard", ["precedence", "eligibility", "factories", "probes", "probation"])
def test_a_guard_is_always_on(guard):
    """Asking to switch it off is an error that says so."""
    with pytest.raises(SettingsError, match=f"^plugins.off: {guard} is always on, and cannot be switched off$"):
        assemble({"plugins": {"off": [guard]}}, environment=False)


def test_a_plugin_of_the_application_may_be_switched_off(tmp_path, monkeypatch):
    """By its name, before it is imported."""
    (tmp_path / "loud_plugin.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    runtime = assemble({"app": {"plugins": ["loud_plugin"]}}, off=["loud_plugin"], environment=False)

    record = runtime.hooks.plugin("loud_plugin")
    assert (record.state, record.reason, record.by) == ("off", "it is switched off", "-p no:")


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
