"""The sections that every application has; each value is checked when it is made."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import attrs
from oneiric_hookspecs import Key, check_name
from oneiric_hookspecs.keys import NAME

from .logged import LoggingSection
from .orchestrated import OrchestrateSection
from .plain import canonical
from .rules import Rule, at_least, seconds
from .streams import Stream
from .supervised import HealthSection, RestartSection
from .traced import TelemetrySection

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def _days(_: object, __: attrs.Attribute[Any], value: float) -> None:
    if value.__class__ not in (int, float) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"expected a finite number of days above 0, found {value!r}")


_is_name = Rule(lambda value: check_name(value, "name of an application"), pattern=f"^{NAME.pattern}$")


def _are_groups(_: object, __: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    for group in value:
        if not group or group != group.strip() or set(group) & set("[]\n"):
            raise ValueError(f"expected names of groups, found {group!r}")


@attrs.frozen
class App:
    """``[app]``: which application this is.

    Args:
        name: Part of the name of its state directory.
        plugins: Modules that are plugins of the application itself: ``["shop.plugin"]``.
        state_dir: Where its state lives; None leaves it to the platform.
    """

    name: str = attrs.field(default="app", validator=_is_name)
    plugins: tuple[str, ...] = ()
    state_dir: Path | None = None


@attrs.frozen
class Plugins:
    """``[plugins]``: which plugins are loaded, and their settings.

    Args:
        off: Distributions, entry points or plugins that are not.
        only: If not None, of those installed only these are.
        auto_load: Whether installed plugins are loaded at all.
        entry_points: More groups of entry points to read, beside ``oneiric``.
        settings: ``[plugins.settings.NAME]`` as written; see ``Settings.of_plugin``.
    """

    off: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    auto_load: bool = True
    entry_points: tuple[str, ...] = attrs.field(default=(), validator=_are_groups)
    settings: Mapping[str, Mapping[str, Any]] = attrs.field(default=_NOTHING, eq=canonical, repr=False)


@attrs.frozen
class Resolver:
    """``[resolver]``: who wins.

    Args:
        stack_order: Priorities by package; see ``parse_stack_order`` for how it may be written.
        on_missing: What a selection means that names nothing registered.
    """

    stack_order: Mapping[str, int] = _NOTHING
    on_missing: Literal["error", "fallback"] = "error"


# Only its fields are wanted: nobody makes one.
@attrs.frozen(kw_only=True, init=False, eq=False, repr=False)
class Limits:
    """How long things may take, in seconds, and how many there may be; for all keys or one of them.

    Args:
        create_timeout: For loading the factory, and for making and starting the instance.
        startup_timeout: For its startup probe to pass.
        confirm_timeout: For the readiness probe after the commit.
        drain_timeout: For the last users of a retired instance to finish.
        close_timeout: For closing it.
        cancel_grace: Between cancelling something and giving it up.
        gate_timeout: How long a user waits while a swap cannot overlap.
        busy_timeout: How long an operation waits for another on the same key.
        probation: How long the old one stays warm after a swap; 0 promotes at once.
        probe_interval: Between two readiness probes.
        max_generations: Of one key at a time, the bound one counted.
        auto_swaps_per_minute: Of one key, those that nobody asked for.
    """

    create_timeout: float = attrs.field(default=30.0, validator=seconds())
    startup_timeout: float = attrs.field(default=30.0, validator=seconds())
    confirm_timeout: float = attrs.field(default=5.0, validator=seconds())
    drain_timeout: float = attrs.field(default=30.0, validator=seconds())
    close_timeout: float = attrs.field(default=10.0, validator=seconds())
    cancel_grace: float = attrs.field(default=2.0, validator=seconds())
    gate_timeout: float = attrs.field(default=10.0, validator=seconds())
    busy_timeout: float = attrs.field(default=30.0, validator=seconds())
    probation: float = attrs.field(default=0.0, validator=seconds(zero=True))
    probe_interval: float = attrs.field(default=10.0, validator=seconds())
    max_generations: int = attrs.field(default=4, validator=at_least(2))
    auto_swaps_per_minute: int = attrs.field(default=10, validator=at_least(1))


@attrs.frozen(kw_only=True)
class Lifecycle(Limits):
    """``[lifecycle.keys."adapter:cache"]``, with ``[lifecycle]`` for what is not written there.

    Args:
        mode: As in ``Policies``, and so are the three below; None leaves it to the candidate.
        auto_swap: When a better candidate replaces what runs.
        on_unready: Whether it goes on serving while its readiness fails.
        critical: Whether its failing makes the whole runtime unhealthy.
        eager: Whether a process that keeps going activates it at its start; None leaves it to the domain.
    """

    mode: Literal["overlap", "exclusive", "in_place"] | None = None
    auto_swap: Literal["off", "on_idle", "on"] | None = None
    on_unready: Literal["serve", "reject"] | None = None
    critical: bool | None = None
    eager: bool | None = None


@attrs.frozen(kw_only=True)
class LifecycleSection(Limits):
    """``[lifecycle]``: the limits of every key, and those of the whole runtime.

    Args:
        hook_timeout: For each asynchronous observer and judge.
        shutdown_timeout: For closing the runtime.
        max_activations: At once.
        max_probes: At once.
        secret_timeout: For fetching a secret.
        secret_ttl: How long a secret that was fetched is used without asking again; 0 always asks.
        keys: Per key, by its text ``adapter:cache``.
    """

    hook_timeout: float = attrs.field(default=5.0, validator=seconds())
    shutdown_timeout: float = attrs.field(default=60.0, validator=seconds())
    max_activations: int = attrs.field(default=16, validator=at_least(1))
    max_probes: int = attrs.field(default=32, validator=at_least(1))
    secret_timeout: float = attrs.field(default=10.0, validator=seconds())
    secret_ttl: float = attrs.field(default=300.0, validator=seconds(zero=True))
    keys: Mapping[str, Lifecycle] = _NOTHING

    @functools.cached_property
    def usual(self) -> Lifecycle:
        """What holds for a key that has no table of its own."""
        return Lifecycle(**{name: getattr(self, name) for name in attrs.fields_dict(Limits)})

    def of(self, key: Key) -> Lifecycle:
        """What holds for *key*."""
        return self.keys.get(str(key), self.usual) if self.keys else self.usual


def _is_store(_: object, __: attrs.Attribute[Any], value: str) -> None:
    scheme, colon, _rest = value.partition(":")
    if not colon:
        raise ValueError(f'expected the scheme of a store and a colon, as in "sqlite:", found {value!r}')
    check_name(scheme, "scheme of a store")


@attrs.frozen
class StateSection:
    """``[state]``: where pins, pauses, what runs, and what has happened are kept.

    Args:
        url: Which store: ``sqlite:`` is a file in the state directory, ``sqlite:PATH`` another, ``memory:`` forgets.
        history_days: How old records of history become; older ones are dropped when new ones come.
        history_records: How many there are of each log.
        files: Whether ``runtime_health.json``, ``lifecycle_status.json`` and ``remote_status.json`` are written into
            the state directory; None where ``oneiric orchestrate`` keeps the process going, and nowhere else.
    """

    url: str = attrs.field(default="sqlite:", validator=_is_store)
    history_days: float = attrs.field(default=90.0, validator=_days)
    history_records: int = attrs.field(default=10_000, validator=at_least(1))
    files: bool | None = None


@attrs.frozen
class DomainSection:
    """The section of a domain, such as ``[adapters]``.

    Args:
        selections: The provider chosen for a name.
        settings: Tables as written, by name and then provider.
    """

    selections: Mapping[str, str] = _NOTHING
    settings: Mapping[str, Mapping[str, Mapping[str, Any]]] = attrs.field(default=_NOTHING, repr=False)


#: The sections that are there whatever is plugged in.
FIXED: dict[str, type] = {
    "app": App,
    "plugins": Plugins,
    "resolver": Resolver,
    "lifecycle": LifecycleSection,
    "secrets": dict[str, str],  # by name; see ``references.sources_of``
    "state": StateSection,
    "health": HealthSection,
    "restart": RestartSection,
    "orchestrate": OrchestrateSection,
    "logging": LoggingSection,
    "telemetry": TelemetrySection,
    "remote": dict[str, Stream],  # by name
}
