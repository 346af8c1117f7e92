"""Invoking actions: structure the request, run, say what went wrong."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from functools import partial
from sys import modules
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import attrs
from oneiric_hookspecs import (
    NAME,
    Action,
    ActionError,
    ActionTimeout,
    Candidate,
    Host,
    Key,
    OneiricError,
    SettingsError,
)

from oneiric.plugins._metrics import API, Instruments, meters
from oneiric.plugins._plain import plain


@runtime_checkable
class Bound(Protocol):
    """What fills a key of the domain: an action, and the settings it runs with."""

    @property
    def action(self) -> Action:
        """The action."""

    @property
    def settings(self) -> Any:
        """An instance of the action's settings; None where it has none."""


@attrs.frozen
class _Bound:
    action: Action
    settings: Any
    on_loop: bool  # whether it is awaited; else it runs in a thread


@attrs.frozen
class Binding:
    """The factory of a candidate: it binds ``action`` to its settings."""

    action: Action

    def __call__(self, settings: Any = None) -> Bound:
        return _Bound(self.action, settings, inspect.iscoroutinefunction(self.action.run))


def candidate_of(action: Action, plugin: str) -> Candidate:
    """The candidate of *action*; its provider is the plugin that declares it, spelled as a provider may be."""
    return Candidate(
        Key("action", action.name),
        re.sub(r"[^a-z0-9]+", "-", plugin.lower()).strip("-") if NAME.fullmatch(plugin) is None else plugin,
        Binding(action),
        settings_class=action.settings,
        summary=action.summary,
        own=False,
    )


class Actions:
    """The face of the domain: ``runtime.domain("action")``."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def get(self, name: str) -> Action:
        """The action that would be invoked now.

        Raises:
            ResolutionError: There is none.
            ActionError: Who fills the key is no declared action.
        """
        binding = self._host.resolve("action", name).factory
        if not isinstance(binding, Binding):
            raise ActionError(
                f"action {name} was registered as a candidate", hint="declare it by oneiric_actions"
            )
        return binding.action

    async def invoke(self, name: str, request: Any = None, *, timeout: float | None = None) -> Any:
        """Invoke an action.

        Args:
            name: Its name, such as ``http.fetch``.
            request: An instance of what it takes; or plain data, which is structured strictly; None is an empty table.
            timeout: Seconds it may take; None for the action's own limit.
        Returns:
            An instance of what it returns; of an action that does not say, whatever it gave.
        Raises:
            ActionError: The request does not fit, or the action refused it or failed.
            ActionTimeout: It took too long.
            OneiricError: Nobody fills the key, or who does is not serving.
        """
        if API in modules and (told := meters(self._host).listening()) is not None:
            return await self._measured(told, name, request, timeout)
        return await self._invoke(name, request, timeout)

    async def _measured(self, told: Instruments, name: str, request: Any, timeout: float | None) -> Any:
        """As ``invoke``, and say how it went."""
        began, outcome = perf_counter(), "failed"
        try:
            result = await self._invoke(name, request, timeout)
            outcome = "succeeded"
        except ActionTimeout:
            outcome = "timed_out"
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            key = meters(self._host).key("action", name)
            told.count("oneiric_action_invocations_total", key=key, outcome=outcome)
            milliseconds = (perf_counter() - began) * 1000
            told.measure("oneiric_action_duration_ms", milliseconds, key=key, outcome=outcome)
        return result

    async def _invoke(self, name: str, request: Any, timeout: float | None) -> Any:
        async with self._host.use("action", name) as bound:
            action: Action = bound.action
            if request.__class__ is not action.takes:
                request = self._structured(action, request)
            limit = action.timeout if timeout is None else timeout
            try:
                if limit is not None:
                    result = await self._in_time(bound, request, limit)
                elif bound.on_loop:
                    result = await action.run(request, bound.settings)
                else:
                    result = await self._in_thread(bound, request)
            except OneiricError:
                raise
            except Exception as error:
                raise ActionError(f"{name} failed: {type(error).__name__}: {_line(error)}") from error
            if (
                action.returns is not None
                and result.__class__ is not action.returns
                and not isinstance(result, action.returns)
            ):
                raise ActionError(
                    f"{name} gave a {type(result).__name__}, and declares a {action.returns.__name__}"
                )
            return result

    async def call(self, name: str, payload: Any = None, *, timeout: float | None = None) -> Any:
        """As ``invoke``, with plain data both ways."""
        return plain(await self.invoke(name, payload, timeout=timeout))

    async def _in_time(self, bound: _Bound, request: Any, seconds: float) -> Any:
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                if bound.on_loop:
                    return await bound.action.run(request, bound.settings)
                return await self._in_thread(bound, request)
        except TimeoutError as error:
            if not scope.expired():
                raise  # the action's own
            raise ActionTimeout(f"{bound.action.name} took longer than {seconds:g} s") from error

    async def _in_thread(self, bound: _Bound, request: Any) -> Any:
        run: Callable[[], Any] = partial(bound.action.run, request, bound.settings)
        result = await self._host.in_thread(run, name=f"action {bound.action.name}")
        return await result if inspect.isawaitable(result) else result

    def _structured(self, action: Action, request: Any) -> Any:
        try:
            return self._host.structure(action.takes, {} if request is None else request, "")
        except SettingsError as error:
            raise ActionError(
                f"the request does not fit {action.name}",
                problems=error.problems,
                hint=f"see oneiric action info {action.name}",
            ) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
