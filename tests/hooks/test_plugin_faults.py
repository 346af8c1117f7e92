"""Faults are remembered, counted, told, logged without flooding; a broken observer is skipped for a while."""

import logging

import pytest
from oneiric_hookspecs import decides, hookimpl, observes

from oneiric.hooks import Fault, HookManager


@observes
def shop_sold(basket: str) -> None:
    """Learn of a sale."""


@observes
async def shop_sent(basket: str) -> None:
    """Learn that it was sent."""


@decides(int)
def shop_choose(basket: str) -> int | None:
    """Choose a number."""


SPECS = [shop_sold, shop_sent, shop_choose]


class Plugin:
    """Writes down its calls, and raises ``error`` while it has one."""

    def __init__(self, error=None):
        self.error, self.calls = error, []

    @hookimpl
    def shop_sold(self, basket):
        self.calls.append("sold")
        if self.error:
            raise self.error

    @hookimpl
    async def shop_sent(self, basket):
        self.calls.append("sent")
        if self.error:
            raise self.error

    @hookimpl
    def shop_choose(self, basket):
        if self.error:
            raise self.error


@pytest.fixture
def manager(clock):
    """A manager of the specifications above, in virtual time."""
    manager = HookManager("shop", clock=clock)
    manager.add_specs(SPECS)
    return manager


@pytest.fixture(params=[shop_sold, shop_sent], ids=lambda spec: spec.name)
def tell(request, manager, run):
    """``tell()`` calls one observer's hook, the sync or the async one."""

    def tell():
        result = manager[request.param]("b")
        if request.param.is_async:
            run(result)

    return tell


def test_a_fault_says_what_when_and_who(manager, clock):
    """The manager's clock gives the time; the exception itself is kept."""
    error = ValueError("no")
    manager.register(Plugin(error), "p")
    clock.advance(7)
    manager[shop_sold]("b")

    assert manager.faults == (Fault("shop_sold", "p", error, "raised", clock.time()),)
    assert manager.plugin("p").faults == 1


def test_on_fault_is_told_and_may_fail(clock, caplog):
    """Who listens gets every fault; what the listener raises is logged and harms nobody."""
    told = []

    def listen(fault):
        told.append(fault)
        raise LookupError("listener")

    manager = HookManager("shop", clock=clock, on_fault=listen)
    manager.add_specs(SPECS)
    manager.register(Plugin(ValueError("no")), "p")

    assert manager[shop_sold].notify("b") == told == list(manager.faults)
    assert [record.message for record in caplog.records] == [
        "plugin p: shop_sold: ValueError: no",
        "on_fault raised",
    ]


def test_the_latest_hundred_faults_are_remembered(manager):
    """Memory does not grow with a plugin's faults; their number is kept."""
    record = manager.register(Plugin(ValueError("no")))
    for _ in range(250):
        manager[shop_choose]("b")

    assert (len(manager.faults), record.faults) == (100, 250)


def test_a_fault_is_logged_once_a_minute(manager, clock, caplog):
    """One line for each plugin, hook and type of error, and the next says how many there were."""
    plugin = Plugin(ValueError("no"))
    manager.register(plugin, "p")
    for _ in range(3):
        manager[shop_choose]("b")
    plugin.error = KeyError("k")
    manager[shop_choose]("b")
    clock.advance(60)
    plugin.error = ValueError("no")
    manager[shop_choose]("b")

    assert [(record.name, record.levelname, record.message) for record in caplog.records] == [
        ("oneiric.hooks", "WARNING", "plugin p: shop_choose: ValueError: no"),
        ("oneiric.hooks", "WARNING", "plugin p: shop_choose: KeyError: 'k'"),
        ("oneiric.hooks", "WARNING", "plugin p: shop_choose: ValueError: no (and 2 more like it before)"),
    ]


def test_a_flood_of_error_types_takes_no_memory(manager):
    """Even a plugin that makes up a class for each error cannot grow the manager."""
    plugin = Plugin()
    manager.register(plugin)
    for number in range(2500):
        plugin.error = type(f"Error{number}", (Exception,), {})()
        manager[shop_choose]("b")

    assert len(manager._faults._lines) <= 1000


def test_logging_is_not_configured():
    """The logger has a handler that does nothing, and no level: the application decides."""
    logger = logging.getLogger("oneiric.hooks")
    assert ([type(handler) for handler in logger.handlers], logger.level) == (
        [logging.NullHandler],
        logging.NOTSET,
    )


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_an_error_that_cannot_be_shown_is_still_a_fault(manager):
    """A broken __str__ is no way around isolation."""
    manager.register(Plugin(Mute()), "p")

    assert [str(fault) for fault in manager[shop_sold].notify("b")] == [
        "p: shop_sold: Mute: (its text cannot be shown)"
    ]


# --- skipping ----------------------------------------------------------------------------------------------------


def test_an_observer_with_five_faults_in_a_row_is_skipped_for_a_minute(manager, clock, tell):
    """Then it is tried again; if that fails it is skipped at once, and if it succeeds all is forgotten."""
    plugin, other = Plugin(ValueError("no")), Plugin()
    manager.register(plugin, "bad")
    manager.register(other, "good")

    def calls(times):
        before = len(plugin.calls)
        for _ in range(times):
            tell()
        return len(plugin.calls) - before

    assert calls(20) == 5
    clock.advance(59.9)
    assert calls(1) == 0
    clock.advance(0.1)
    assert calls(3) == 1
    clock.advance(60)
    plugin.error = None
    assert calls(3) == 3
    plugin.error = ValueError("again")
    assert calls(20) == 5
    assert len(other.calls) == 20 + 1 + 3 + 3 + 20


def test_a_success_ends_the_row(manager, tell):
    """Four faults, a success and four faults are not five in a row."""
    plugin = Plugin()
    manager.register(plugin)
    for error in [ValueError("no")] * 4 + [None] + [ValueError("no")] * 4:
        plugin.error = error
        tell()

    assert len(plugin.calls) == 9
    plugin.error = None
    tell()
    assert len(plugin.calls) == 10


def test_one_hook_is_skipped_and_not_the_plugin(manager, run):
    """Faults in one hook say nothing about another; and other plugins' coming and going changes nothing."""
    plugin = Plugin(ValueError("no"))
    manager.register(plugin, "p")
    for _ in range(6):
        manager[shop_sold]("b")
    manager.register(Plugin(), "q")
    manager[shop_sold]("b")
    run(manager[shop_sent]("b"))

    assert plugin.calls == ["sold"] * 5 + ["sent"]
    assert [each.skipped for each in manager.describe("shop_sold")[0].implementations] == [False, True]


def test_a_slow_observer_is_skipped_too(manager, run, clock):
    """Five times over 100 ms on the loop are five faults."""

    class Slow:
        calls = 0

        @hookimpl
        def shop_sent(self):
            self.calls += 1
            clock.advance(0.2)

    plugin = Slow()
    manager.register(plugin)
    for _ in range(8):
        run(manager[shop_sent]("b"))
    assert plugin.calls == 5


# --- time --------------------------------------------------------------------------------------------------------


def test_time_is_kept_of_every_async_call(manager, run, clock):
    """Total and longest, by plugin and hook; a fault takes time too."""

    class Timed:
        takes = iter([0.02, 0.05, 0.01])

        @hookimpl
        def shop_sent(self):
            clock.advance(next(self.takes))

    record = manager.register(Timed())
    for _ in range(3):
        run(manager[shop_sent]("b"))

    timing = record.timings["shop_sent"]
    assert (timing.count, timing.total, timing.max) == (3, pytest.approx(0.08), pytest.approx(0.05))


def test_time_is_kept_of_one_sync_call_in_64(manager, clock):
    """So that measuring costs nothing that could be measured."""

    class Timed:
        @hookimpl
        def shop_sold(self):
            clock.advance(0.5)

    record = manager.register(Timed())
    for _ in range(63):
        manager[shop_sold]("b")
    assert record.timings == {}
    for _ in range(65):
        manager[shop_sold]("b")

    timing = record.timings["shop_sold"]
    assert (timing.count, timing.total, timing.max) == (2, 1.0, 0.5)
