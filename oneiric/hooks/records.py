"""What a manager knows about each plugin, and what it tells about each hook."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import attrs
from oneiric_hookspecs import Deprecation, Form, PluginError

Origin = Literal["builtin", "installed", "application"]
State = Literal["on", "off", "failed", "blocked"]
Mark = Literal["tryfirst", "trylast", "-"]


@attrs.define(eq=False)
class Timing:
    """A plugin's own time in one hook, in seconds.

    Args:
        count: How many calls were measured: every one of an async hook, one in 64 of a sync one.
        total: Their sum.
        max: The longest.
    """

    count: int = 0
    total: float = 0.0
    max: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one more call."""
        self.count += 1
        self.total += seconds
        self.max = max(self.max, seconds)


@attrs.define(eq=False)
class PluginRecord:
    """One plugin, whether or not it works.  Live: it changes as the manager learns.

    Args:
        name: The plugin's name.
        origin: Where it comes from.
        target: What was asked for: ``pkg.mod`` or ``pkg.mod:attr``; empty for an object given in code.
        groups: The groups of entry points it was read from; empty where it was none.
        plugin: The object whose functions are asked; None for one that is not on.
        distribution: What installed it; None where nothing did.
        version: That distribution's version.
        state: ``on``; ``off`` and ``blocked`` by choice; ``failed`` by its own fault.
        reason: Why it is not on, in a sentence; empty while it is.
        by: Who switched it off; empty otherwise.
        error: What it raised; None unless it failed.
        findings: What the lint says, warnings too.
        hooks: The names of the hooks it implements.
        load_ms: Milliseconds spent importing and registering it.
        timings: Its own time in hooks, by the hook's name.
        faults: How often a call of it went wrong.
        where: ``file:line`` of the module or class; None where there is none.
        protected: Whether it refuses to be blocked.
        sequence: Its place in the order of registration.
    """

    name: str
    origin: Origin = "application"
    target: str = ""
    plugin: Any = None
    distribution: str | None = None
    version: str | None = None
    state: State = "on"
    reason: str = ""
    by: str = ""
    error: BaseException | None = None
    findings: tuple[PluginError, ...] = ()
    hooks: tuple[str, ...] = ()
    load_ms: float = 0.0
    timings: dict[str, Timing] = attrs.field(factory=dict)
    faults: int = 0
    where: str | None = None
    protected: bool = False
    sequence: int = 0
    groups: tuple[str, ...] = ()
    failing: dict[str, str] = attrs.field(factory=dict, repr=False)
    given: Any = attrs.field(default=None, repr=False)

    @property
    def may_take_settings(self) -> bool:
        """Whether ``[plugins.settings.NAME]`` is its own: a class says so by ``Settings``.

        True of one that is not on, for what it would take nobody knows.
        """
        return self.state != "on" or self.settings_class is not None

    @property
    def settings_class(self) -> Any:
        """The class that ``[plugins.settings.NAME]`` is structured into; None without one, or where nobody knows."""
        return inspect.getattr_static(self.given, "Settings", None) if inspect.isclass(self.given) else None

    def spent(self, hook: str, seconds: float) -> None:
        """Count one measured call of *hook*."""
        timing = self.timings.get(hook)
        if timing is None:
            timing = self.timings[hook] = Timing()
        timing.add(seconds)

    def fail(self, what: str, reason: str, error: BaseException | None) -> None:
        """It could not do *what*: it is failed until *what* succeeds."""
        self.failing[what] = reason
        self.state, self.reason, self.error = "failed", reason, error

    def recover(self, what: str) -> None:
        """It could do *what* this time."""
        if self.failing.pop(what, None) is not None and self.state == "failed":
            if self.failing:
                self.reason = next(iter(self.failing.values()))
            else:
                self.state, self.reason, self.error = "on", "", None


@attrs.define(eq=False)
class Impl:
    """One implementation of one hook.

    Args:
        plugin: The name of the plugin.
        function: What is called.
        record: The plugin's record.
        mark: Whether it asked to come first, or last.
        hook: The hook's name.
        ask: Takes the specification's arguments by position, all of them.
        strikes: Faults in a row.
        until: The time before which it is skipped; 0 when it is not.
    """

    plugin: str
    function: Callable[..., Any]
    record: PluginRecord = attrs.field(repr=False)
    mark: Mark
    hook: str
    ask: Callable[..., Any] = attrs.field(repr=False)
    strikes: int = 0
    until: float = 0.0


@attrs.frozen
class Answer:
    """An answer, and who gave it."""

    plugin: str
    value: Any


@attrs.frozen
class ImplDescription:
    """One implementation as people see it: who, where, and why it stands at this place."""

    plugin: str
    origin: Origin
    distribution: str | None
    where: str | None
    mark: Mark
    why: str
    skipped: bool = False


@attrs.frozen
class HookDescription:
    """One hook as people see it, its implementations in the order in which they are asked."""

    name: str
    form: Form
    is_async: bool
    summary: str
    since: str | None
    deprecated: Deprecation | None
    answer: str
    implementations: tuple[ImplDescription, ...]
