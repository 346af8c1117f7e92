"""Factories that remember what they made, and products that remember what was done to them.

::

    shop = Workshop()
    runtime.register(shop.candidate(KEY, "memory"), shop.candidate(KEY, "slow", make=sleeping(5)))
    ...
    assert shop.problems == [] and shop.open == []
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterable
from typing import Any, Literal

from oneiric_hookspecs import Candidate, Key, Need

Form = Literal["async", "thread", "context", "thread context", "start", "thread close", "generator"]

#: What a test brings to make something slow, fail or hang: called with the product, sync or async.
Act = Callable[["Product"], Any]


async def _do(act: Act | None, product: Product) -> Any:
    if act is None:
        return None
    answer = act(product)
    return await answer if inspect.isawaitable(answer) else answer


class Product:
    """What a factory of a workshop makes; closed by ``aclose``.

    Attributes:
        provider: Whose it is.
        number: Counts all products of the workshop.
        needs: The products it was built from.
        closes: How often it was closed, or left.
        uses: How often it was used.
    """

    def __init__(self, shop: Workshop, maker: Maker, needs: dict[str, Any]) -> None:
        self.shop, self.maker, self.provider = shop, maker, maker.provider
        self.number = 0
        self.needs = needs
        self.closes = self.entries = self.uses = 0
        self.settings: Any = None
        self.task: asyncio.Task[Any] | None = None

    def __repr__(self) -> str:
        return f"{self.provider}/{self.number}"

    @property
    def closed(self) -> bool:
        """Whether closing it has begun."""
        return self.closes > 0

    def use(self) -> str:
        """Use it; that it is open is checked.  Gives its provider."""
        self.uses += 1
        if self.closed:
            self.shop.problems.append(f"{self} was used after it was closed")
        return self.provider

    async def health(self) -> Any:
        """As the workshop's candidate says; ok unless it says otherwise."""
        if self.closed:
            self.shop.problems.append(f"{self} was probed after it was closed")
        return await _do(self.maker.probe, self)

    def ending(self) -> None:
        """Closing begins."""
        self.closes += 1
        self.shop.log.append(f"close {self}")
        if self.closes > 1:
            self.shop.problems.append(f"{self} was closed {self.closes} times")
        for other in self.shop.made:
            if not other.closed and self in other.needs.values() and self not in self.shop.forced:
                self.shop.problems.append(f"{self} was closed while {other}, built from it, is open")


class _AsyncClose(Product):
    async def aclose(self) -> None:
        self.ending()
        await _do(self.maker.close, self)


class _ThreadClose(Product):
    def close(self) -> None:
        self.ending()
        if self.maker.close is not None:
            self.maker.close(self)


class _Started(_AsyncClose):
    async def start(self) -> None:
        self.entries += 1
        await _do(self.maker.enter, self)


class _Context(Product):
    async def __aenter__(self) -> Product:
        self.entries += 1
        self.task = asyncio.current_task()
        await _do(self.maker.enter, self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ending()
        if asyncio.current_task() is not self.task:
            self.shop.problems.append(f"{self} was left in another task than it was entered in")
        await _do(self.maker.close, self)

    async def aclose(self) -> None:
        # Called where entering it never ended.
        self.ending()


class _ThreadContext(Product):
    def __enter__(self) -> Product:
        self.entries += 1
        if self.maker.enter is not None:
            self.maker.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.ending()
        if self.maker.close is not None:
            self.maker.close(self)

    def close(self) -> None:
        self.ending()


class Maker:
    """A factory; what it makes is remembered from the moment in which it returns it.

    Attributes:
        make: Called before it returns its product.
        enter, close, probe: Called while the product is entered or started, closed, probed.
        calls: How often it was called.
    """

    shape: type[Product] = _AsyncClose

    def __init__(self, shop: Workshop, provider: str, keywords: Iterable[str]) -> None:
        self.shop, self.provider = shop, provider
        self.make: Act | None = None
        self.enter: Act | None = None
        self.close: Act | None = None
        self.probe: Act | None = None
        self.calls = 0
        kind = inspect.Parameter.KEYWORD_ONLY
        self.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in keywords])

    def begun(self, needs: dict[str, Any]) -> Product:
        self.calls += 1
        return self.shape(self.shop, self, needs)


class _AsyncMaker(Maker):
    async def __call__(self, **needs: Any) -> Any:
        product = self.begun(needs)
        given = await _do(self.make, product)
        return self.shop.finished(product, given)


class _ThreadMaker(Maker):
    def __call__(self, **needs: Any) -> Any:
        product = self.begun(needs)
        given = None if self.make is None else self.make(product)
        return self.shop.finished(product, given)


class Workshop:
    """All that was made in one test.

    Attributes:
        made: Every product whose factory returned, in order.
        problems: Sentences about what must never happen and did.
        log: What was made and closed, in order.
        forced: Products that may be closed under those built from them.
    """

    def __init__(self) -> None:
        self.made: list[Product] = []
        self.problems: list[str] = []
        self.log: list[str] = []
        self.forced: set[Product] = set()
        self._lock = threading.Lock()

    def finished(self, product: Product, given: Any) -> Any:
        """The factory returns *product*; or *given*, if that is an earlier one that it hands out again."""
        if isinstance(given, Product):
            return given
        with self._lock:
            self.made.append(product)
            product.number = len(self.made)
            self.log.append(f"make {product}")
        return product

    @property
    def open(self) -> list[Product]:
        """The products that were made and are not closed."""
        return [product for product in self.made if not product.closed]

    def of(self, provider: str) -> list[Product]:
        """The products of one provider."""
        return [product for product in self.made if product.provider == provider]

    def maker(
        self,
        provider: str,
        form: Form = "async",
        *,
        needs: Iterable[Need] = (),
        make: Act | None = None,
        enter: Act | None = None,
        close: Act | None = None,
        probe: Act | None = None,
    ) -> Maker:
        """A factory.  Its form says where it runs, and how its products are started and closed."""
        kind = _ThreadMaker if form.startswith("thread") else _AsyncMaker
        maker = kind(self, provider, [need.keyword for need in needs])
        maker.make, maker.enter, maker.close, maker.probe = make, enter, close, probe
        maker.shape = {
            "async": _AsyncClose,
            "thread": _AsyncClose,
            "context": _Context,
            "thread context": _ThreadContext,
            "start": _Started,
            "thread close": _ThreadClose,
        }[form]
        return maker

    def candidate(
        self,
        key: Key,
        provider: str,
        form: Form = "async",
        *,
        needs: Iterable[Need] = (),
        make: Act | None = None,
        enter: Act | None = None,
        close: Act | None = None,
        probe: Act | None = None,
        **more: Any,
    ) -> Candidate:
        """A candidate with such a factory; *more* goes to ``Candidate``, whose own ``close`` is ``close_by``."""
        needs = tuple(needs)
        maker = self.maker(provider, form, needs=needs, make=make, enter=enter, close=close, probe=probe)
        if "close_by" in more:
            more["close"] = more.pop("close_by")
        factory: Any = maker
        return Candidate(key, provider, factory, needs=needs, **more)


def sleeping(seconds: float) -> Act:
    """To make something slow, on the loop."""

    def act(_: Product) -> Any:
        return asyncio.sleep(seconds)

    return act


def failing(error: BaseException | type[BaseException]) -> Act:
    """To make something fail."""

    def act(_: Product) -> Any:
        raise error

    return act


def turning(turns: int, then: Act | None = None) -> Act:
    """To make something take a few turns of the loop, and then do something else."""

    async def act(product: Product) -> Any:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await _do(then, product)

    return act
