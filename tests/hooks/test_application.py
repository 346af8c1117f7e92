"""An application with hooks of its own: nothing of Oneiric but the plugin manager."""

import asyncio
from collections.abc import Iterable

from oneiric_hookspecs import Objection, declares, hookimpl, judges, observes

from oneiric.hooks import HookManager

# --- the application: what it asks its plugins -------------------------------------------------------------------


@declares(str)
def shop_goods() -> Iterable[str]:
    """Declare what is for sale."""


@judges
def shop_check_order(item: str, amount: int) -> Iterable[Objection] | None:
    """Say why an order must not be taken."""


@observes
async def shop_ordered(item: str, amount: int) -> None:
    """Learn of an order."""


class Shop:
    def __init__(self, plugins: Iterable[object] = ()) -> None:
        self.hooks = HookManager("shop", hook_timeout=2.0)
        self.hooks.add_specs([shop_goods, shop_check_order, shop_ordered])
        self.hooks.load_entry_points("shop")
        for plugin in plugins:
            self.hooks.register(plugin)

    def goods(self) -> list[str]:
        return sorted(self.hooks[shop_goods]())

    async def order(self, item: str, amount: int) -> list[str]:
        objections = self.hooks[shop_check_order](item, amount)
        if not objections:
            await self.hooks[shop_ordered](item, amount)
        return [str(objection) for objection in objections]


# --- plugins -----------------------------------------------------------------------------------------------------


class Tea:
    def __init__(self) -> None:
        self.sold: list[int] = []

    @hookimpl
    def shop_goods(self) -> Iterable[str]:
        yield "assam"
        yield "keemun"

    @hookimpl
    def shop_check_order(self, amount: int) -> Iterable[Objection]:
        if amount > 10:
            yield Objection(f"there are not {amount} left")

    @hookimpl
    async def shop_ordered(self, item: str, amount: int) -> None:
        self.sold.append(amount)


class Broken:
    @hookimpl
    def shop_goods(self) -> Iterable[str]:
        yield "coffee"
        raise ConnectionError("the warehouse does not answer")

    @hookimpl
    async def shop_ordered(self, item: str) -> None:
        raise ConnectionError("the warehouse does not answer")


# --- what the application can rely on ----------------------------------------------------------------------------


def test_the_shop_sells_what_its_plugins_declare() -> None:
    """A broken plugin declares nothing, and breaks nobody."""
    shop = Shop([Tea(), Broken()])

    assert shop.goods() == ["assam", "keemun"]
    assert [(plugin.name, plugin.state, plugin.reason) for plugin in shop.hooks.plugins] == [
        ("Tea", "on", ""),
        ("Broken", "failed", "shop_goods: ConnectionError: the warehouse does not answer"),
    ]


def test_an_order_is_checked_and_announced() -> None:
    """A judge may refuse; observers learn of what was taken, though another one fails."""
    tea = Tea()
    shop = Shop([tea, Broken()])

    assert asyncio.run(shop.order("assam", 12)) == ["Tea: there are not 12 left"]
    assert asyncio.run(shop.order("assam", 2)) == []
    assert tea.sold == [2]
    assert [str(fault) for fault in shop.hooks.faults] == [
        "Broken: shop_ordered: ConnectionError: the warehouse does not answer"
    ]
