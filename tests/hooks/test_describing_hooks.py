"""Hooks as people see them, and the contract's own hooks in a manager."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from oneiric_hookspecs import (
    Deprecation,
    Form,
    Objection,
    PluginError,
    Spec,
    decides,
    declares,
    hookimpl,
    judges,
    observes,
    performs,
    specs,
)

from oneiric.hooks import HookDescription, HookManager, ImplDescription


@declares(int, deprecated=Deprecation("1.2", "1.4", "shop_goods"))
def shop_prices(basket):
    """Declare what everything in a
    basket costs.

    Returns:
        Any number.
    Since:
        1.1
    """


@judges
async def shop_check(basket):
    """Object."""


@performs(Callable)
def shop_pay(basket): ...


@observes
def shop_sold(basket):
    """Learn of a sale.

    Since:
        2.0
    """


class Plugin:
    @hookimpl(trylast=True)
    def shop_sold(self):
        raise ValueError

    @hookimpl
    def shop_prices(self):
        return ()


def test_a_hook_is_described(clock):
    """All that the command shows: form, answer, age, and who is asked in which order, and why."""
    manager = HookManager("shop", clock=clock)
    manager.add_specs([shop_prices, shop_check, shop_pay, shop_sold])
    with pytest.warns(DeprecationWarning):
        manager.register(Plugin(), "a", distribution="shop-a", version="1.0", origin="installed")
    with pytest.warns(DeprecationWarning):
        manager.register(Plugin(), "b")
    for _ in range(5):
        manager[shop_sold]("basket")

    line = Plugin.shop_sold.__code__.co_firstlineno
    sold, prices = f"{__file__}:{line}", f"{__file__}:{line + 4}"
    late = "after the others: it is marked trylast; skipped for now, after 5 faults in a row"
    assert manager.describe() == (
        HookDescription(
            "shop_prices",
            Form.DECLARES,
            False,
            "Declare what everything in a basket costs.",
            "1.1",
            Deprecation("1.2", "1.4", "shop_goods"),
            "int",
            (
                ImplDescription(
                    "a",
                    "installed",
                    "shop-a",
                    prices,
                    "-",
                    "registered as number 1; the oldest is asked first",
                ),
                ImplDescription(
                    "b", "application", None, prices, "-", "registered as number 2; the oldest is asked first"
                ),
            ),
        ),
        HookDescription("shop_check", Form.JUDGES, True, "Object.", None, None, "Objection", ()),
        HookDescription("shop_pay", Form.PERFORMS, False, "", None, None, "Callable", ()),
        HookDescription(
            "shop_sold",
            Form.OBSERVES,
            False,
            "Learn of a sale.",
            "2.0",
            None,
            "None",
            (
                ImplDescription("a", "installed", "shop-a", sold, "trylast", late, skipped=True),
                ImplDescription("b", "application", None, sold, "trylast", late, skipped=True),
            ),
        ),
    )
    assert manager.describe("shop_sold") == manager.describe()[3:]
    with pytest.raises(PluginError, match=r"did you mean shop_sold\?"):
        manager.describe("shop_solt")


CONTRACT = [each for each in vars(specs).values() if isinstance(each, Spec)]


@pytest.mark.parametrize("spec", CONTRACT, ids=lambda spec: spec.name)
def test_every_hook_of_the_contract_can_be_called(clock, run, spec):
    """With a plugin that implements it and one that does not, by position and by name."""
    manager = HookManager(clock=clock)
    manager.add_specs(specs)
    seen = []
    plugin = type("Plugin", (), {})()
    setattr(
        plugin,
        spec.name,
        hookimpl(eval(f"lambda {', '.join(spec.arguments)}: seen.append(1)", {"seen": seen})),
    )
    manager.register(plugin, "p")
    values = [object() for _ in spec.arguments]

    for result in (manager[spec](*values), manager[spec](**dict(zip(spec.arguments, values, strict=True)))):
        if spec.is_async:
            run(result)
        if spec.form is Form.WRAPS:
            with result:
                pass
    assert seen == [1, 1]


def test_a_call_during_a_change_is_of_before_or_after(clock):
    """From any thread, while plugins come and go: never half, and afterwards it is what was registered last."""

    @decides(int)
    def shop_choose(): ...

    class Answer:
        def __init__(self, value):
            self.value = value

        @hookimpl
        def shop_choose(self):
            return self.value

    manager = HookManager("shop", clock=clock)
    manager.add_specs([shop_choose])
    manager.register(Answer(0), "floor")
    hook, stop, wrong = manager[shop_choose], threading.Event(), []

    def ask():
        while not stop.is_set():
            if hook() not in {0, 1}:
                wrong.append(hook())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        manager.register(Answer(1), "top")
        assert hook() == 1
        manager.unregister("top")
        assert hook() == 0
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_coroutine_that_is_never_started_leaves_nothing(clock):
    """Cancelled before its first step, a call has made no coroutine of a plugin that nobody awaits."""

    @judges
    async def shop_check() -> list[Objection]: ...

    class Plugin:
        @hookimpl
        async def shop_check(self):
            raise AssertionError("called")

    manager = HookManager("shop", clock=clock)
    manager.add_specs([shop_check])
    manager.register(Plugin())

    async def main():
        for call in (manager[shop_check](), manager[shop_check].answers()):
            task = asyncio.ensure_future(call)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(main())
    assert manager.faults == ()
