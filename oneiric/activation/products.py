"""Making, entering and leaving what factories make."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import FunctionType
from typing import Any, cast

from oneiric_hookspecs import Build


def is_async(call: Callable[..., Any]) -> bool:
    """Whether calling *call* gives a coroutine: coroutine functions, their partials, and objects with such a call."""
    if call.__class__ is FunctionType:
        return bool(call.__code__.co_flags & inspect.CO_COROUTINE) or inspect.iscoroutinefunction(call)
    while isinstance(call, functools.partial):
        call = call.func
    if inspect.iscoroutinefunction(call):
        return True
    return not inspect.isroutine(call) and inspect.iscoroutinefunction(getattr(type(call), "__call__", None))  # noqa: B004 - its colour is asked for


def where_to(build: Build) -> str:
    """``async``, ``thread`` or ``inline``: where *build* is called."""
    if build.mode != "auto":
        return build.mode
    call: Callable[..., Any] = build.call
    while isinstance(call, functools.partial):
        call = call.func
    if is_async(call) or inspect.isasyncgenfunction(call) or inspect.isgeneratorfunction(call):
        return "async"
    return "thread"


class AsyncYielding:
    """An async generator as a context manager: what it yields is the instance, what follows is the clean-up."""

    def __init__(self, generator: AsyncGenerator[Any, None]) -> None:
        self._generator = generator

    async def __aenter__(self) -> Any:
        try:
            return await anext(self._generator)
        except StopAsyncIteration:
            raise RuntimeError("the factory is an async generator and yielded nothing") from None

    async def __aexit__(self, *_: object) -> None:
        try:
            await anext(self._generator)
        except StopAsyncIteration:
            return
        await self._generator.aclose()
        raise RuntimeError("the factory is an async generator and yielded twice")


class Yielding:
    """The same for a generator; it is entered and left in a thread."""

    def __init__(self, generator: Generator[Any, None, None]) -> None:
        self._generator = generator

    def __enter__(self) -> Any:
        try:
            return next(self._generator)
        except StopIteration:
            raise RuntimeError("the factory is a generator and yielded nothing") from None

    def __exit__(self, *_: object) -> None:
        try:
            next(self._generator)
        except StopIteration:
            return
        self._generator.close()
        raise RuntimeError("the factory is a generator and yielded twice")


def as_product(made: Any) -> Any:
    """*made*, or where it is a generator, the context manager it stands for."""
    if inspect.isasyncgen(made):
        return AsyncYielding(cast(AsyncGenerator[Any, None], made))
    if inspect.isgenerator(made):
        return Yielding(cast(Generator[Any, None, None], made))
    return made
