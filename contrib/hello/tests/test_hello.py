"""What every kit promises, and what ``hello`` does, in a runtime that has it installed."""

import asyncio
import logging

import pytest
from click.testing import CliRunner
from oneiric_hookspecs import Candidate, Key, RolledBack, Vetoed, hookimpl

from oneiric import assemble
from oneiric.cli import main
from oneiric.testing import KitConformance, run_virtual
from oneiric_hello import Hello, Settings


class TestHello(KitConformance):
    """A kit as it should be."""

    plugin = Hello


class House:
    """An application's own greeters: one that wins, and one that mumbles."""

    @hookimpl
    def oneiric_candidates(self):
        """Declare them."""
        greeter = Key.of("adapter", "greeter")
        yield Candidate(greeter, "mumbler", Mumbler, priority=-1)
        yield Candidate(greeter, "house", Polite)


class Polite:
    """It greets."""

    async def greet(self, name):
        """By name."""
        return f"good day, {name}"


class Mumbler:
    """It does not."""

    async def greet(self, name):
        """Without a name, and only if there is one."""
        assert name
        return "hm"


def runtime(table=None, **more):
    """A runtime as of a settings file, with this kit and the greeters of the house."""
    return assemble({"plugins": {"only": ["hello"], "settings": {"hello": table or {}}}, **more}, [House])


def test_settings_reach_the_greeter():
    """What the settings file says is what is said."""
    settings = {
        "selections": {"greeter": "hello"},
        "settings": {"greeter": {"hello": {"greeting": "ahoy", "mark": "!"}}},
    }

    async def scene():
        async with runtime(adapters=settings) as host, host.use("adapter", "greeter") as greeter:
            return await greeter.greet("Ada")

    assert run_virtual(scene) == "ahoy Ada!"


def test_reception_greets_each_guest_once():
    """The service is built from whatever fills the adapter's key."""

    async def scene():
        async with runtime() as host, host.use("service", "reception") as reception:
            return [await reception.welcome(name) for name in ("Ada", "Grace", "Ada")]

    assert run_virtual(scene) == ["good day, Ada", "good day, Grace", None]


def test_action_greets_by_whatever_is_bound():
    """The action asks the runtime for the greeter, so a swap reaches it."""
    settings = {"settings": {"hello.greet": {"nobody": "friend"}}}

    async def scene():
        async with runtime(actions=settings) as host:
            first = await host.call("action", "hello.greet", {"name": "Ada"})
            await host.swap("adapter", "greeter", "hello")
            return first, await host.call("action", "hello.greet")

    assert run_virtual(scene) == ({"text": "good day, Ada"}, {"text": "hello friend"})


@pytest.mark.parametrize(
    ("prefer", "winner"), [(None, "house"), ("hello", "hello"), ("mumbler", "mumbler"), ("nobody", "house")]
)
def test_a_preference_wins_over_the_order(prefer, winner):
    """``oneiric_select``: what the settings prefer is chosen, if it is there; and the decision says so."""
    decision = runtime({} if prefer is None else {"prefer": prefer}).explain("adapter", "greeter")

    preferred = "selected by hello (its settings prefer it)" in str(decision.because)
    assert (decision.winner.provider, preferred) == (winner, winner == prefer)


def test_a_choice_of_the_settings_wins_over_a_preference():
    """A plugin is asked only where nobody has chosen."""
    decision = runtime({"prefer": "hello"}, adapters={"selections": {"greeter": "mumbler"}})

    assert decision.explain("adapter", "greeter").winner.provider == "mumbler"


def test_no_swap_outside_the_window():
    """``oneiric_check_swap``: the one before serves on, and the objection says when to come back."""

    async def scene():
        async with runtime({"swaps_from": 3, "swaps_until": 3}) as host:
            async with host.use("adapter", "greeter"):
                pass
            with pytest.raises(Vetoed, match="greeters are swapped from 3 to 3 h UTC, and it is") as caught:
                await host.swap("adapter", "greeter", "hello")
            return caught.value.plugin, host.status().of("adapter", "greeter").bound.provider

    assert run_virtual(scene) == ("hello", "house")


@pytest.mark.parametrize(
    ("window", "hours"),
    [
        ((0, 24), range(24)),
        ((9, 17), range(9, 17)),
        ((22, 2), (0, 1, 22, 23)),
        ((5, 5), ()),
    ],
)
def test_a_window_may_go_over_midnight(window, hours):
    """The hours at which something may be swapped."""
    settings = Settings(swaps_from=window[0], swaps_until=window[1])

    assert [hour for hour in range(24) if settings.may_swap(hour)] == list(hours)


def test_a_greeter_that_mumbles_is_taken_back():
    """``oneiric_check_bound``: the canary is not greeted by name, and the one before serves again."""

    async def scene():
        async with runtime() as host:
            async with host.use("adapter", "greeter"):
                pass
            with pytest.raises(RolledBack, match="the canary was greeted with 'hm'"):
                await host.swap("adapter", "greeter", "mumbler")
            return host.status().of("adapter", "greeter").bound.provider

    assert run_virtual(scene) == "house"


def test_no_canary_no_check():
    """The check can be switched off."""

    async def scene():
        async with runtime({"canary": ""}) as host:
            return (await host.swap("adapter", "greeter", "mumbler")).new

    assert run_virtual(scene) == "mumbler"


def test_guests_are_greeted_in_the_background(caplog):
    """``oneiric_started`` begins, the runtime owns the task, and ``oneiric_stopping`` says goodbye."""
    caplog.set_level(logging.INFO, "oneiric.plugin.hello")

    async def scene():
        async with runtime({"guests": ["Ada", "Grace", "Edsger"], "every": 10}) as host:
            await asyncio.sleep(15)
            return host.status().tasks

    tasks = run_virtual(scene)

    said = [record.getMessage() for record in caplog.records if record.name == "oneiric.plugin.hello"]
    assert (tasks, said) == (
        ("hello.guests",),
        ["good day, Ada", "good day, Grace", "goodbye, after 2 greetings"],
    )


def test_nobody_is_greeted_unasked(caplog):
    """Installing the kit starts nothing."""
    caplog.set_level(logging.INFO)

    async def scene():
        async with runtime() as host:
            return host.status().tasks

    assert (run_virtual(scene), caplog.messages) == ((), [])


def test_command_greets(tmp_path, monkeypatch):
    """``oneiric hello`` is a word like any other, with the options of all."""
    (tmp_path / "oneiric.toml").write_text('[adapters.settings.greeter.hello]\ngreeting = "ahoy"\n')
    monkeypatch.chdir(tmp_path)

    told = CliRunner().invoke(main, ["hello", "Ada", "--json"])

    assert (told.exit_code, told.stdout) == (
        0,
        '{"schema": "hello/greetings/1", "items": [{"name": "Ada", "greeting": "ahoy Ada"}], "warnings": []}\n',
    )
