"""What the built-in plugins count and measure, and whether anybody listens.

Nothing of OpenTelemetry is imported here, and nothing is made, before somebody has set up a provider: until then each
of its providers is a stand-in of the API's own, and finding that out is a look into a dictionary.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from sys import modules
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from oneiric_hookspecs import Host, OneiricError

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

T = TypeVar("T")

#: The module without which nobody listens to metrics; ``API in modules`` is all that is asked on a hot path.
API = "opentelemetry.metrics"
SCOPE = "oneiric"

#: Every metric: its kind, its attributes, and what it is; generated into the reference.
METRICS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "oneiric_lifecycle_swap_duration_ms": (
        "histogram",
        ("domain", "phase", "outcome"),
        "how long each phase of an operation took: its steps, and `total`; and `probation` up to a roll-back",
    ),
    "oneiric_lifecycle_swap_gap_ms": (
        "histogram",
        ("domain",),
        "how long nobody could be served in a swap; 0 where two generations overlap",
    ),
    "oneiric_health_status": (
        "gauge",
        ("domain", "key"),
        "the health of what is bound and watched: 0 ok, 1 degraded, 2 unknown, 3 failed",
    ),
    "oneiric_activity_hold_total": ("counter", ("domain",), "how often a part was held"),
    "oneiric_activity_pause_total": ("counter", ("domain",), "how often a part was paused"),
    "oneiric_activity_drain_total": ("counter", ("domain",), "how often a part was drained"),
    "oneiric_activity_resume_total": (
        "counter",
        ("domain",),
        "how often a part was resumed, or it ended by itself",
    ),
    "oneiric_remote_sync_total": ("counter", ("stream", "outcome", "code"), "syncs of streams"),
    "oneiric_remote_sync_duration_ms": ("histogram", ("stream", "outcome"), "how long they took"),
    "oneiric_remote_bytes_total": ("counter", ("stream",), "bytes that were fetched"),
    "oneiric_remote_entries_total": (
        "counter",
        ("stream", "change"),
        "entries that were added, changed, removed or skipped",
    ),
    "oneiric_remote_digest_checks_total": ("counter", ("stream",), "digests that were checked"),
    "oneiric_action_invocations_total": ("counter", ("key", "outcome"), "actions that were invoked"),
    "oneiric_action_duration_ms": ("histogram", ("key", "outcome"), "how long they took"),
    "oneiric_event_emitted_total": ("counter", (), "events that were emitted"),
    "oneiric_event_deliveries_total": (
        "counter",
        ("key", "outcome"),
        "handlers that were told, by what came of it",
    ),
    "oneiric_event_duration_ms": (
        "histogram",
        (),
        "how long it took until all handlers of an event were through",
    ),
    "oneiric_workflow_runs_total": (
        "counter",
        ("key", "outcome"),
        "runs of workflows that ended in this process",
    ),
    "oneiric_workflow_duration_ms": ("histogram", ("key", "outcome"), "how long they took"),
    "oneiric_workflow_nodes_total": (
        "counter",
        ("key", "outcome"),
        "nodes of graphs, by what came of them in a run",
    ),
    "oneiric_plugin_faults_total": ("counter", ("plugin",), "what went wrong in plugins"),
}
#: What is asked for when somebody collects, instead of being told.
_ASKED = ("oneiric_health_status", "oneiric_plugin_faults_total")
STATUS = {"ok": 0, "degraded": 1, "unknown": 2, "failed": 3}


class Listening(Generic[T]):
    """What is made for the provider that somebody has set up, and None while it is a stand-in.

    Args:
        api: The module of the API: of metrics, or of traces.
        ask: The name of its function that gives the provider.
        make: What is made for one.
    """

    def __init__(self, api: str, ask: str, make: Callable[[Any], T]) -> None:
        self._api, self._ask, self._make = api, ask, make
        self._known: tuple[Any, T | None] = (None, None)

    def __call__(self) -> T | None:
        """It, or None while nobody listens."""
        ask = getattr(modules.get(self._api), self._ask, None)  # no attribute: it is just being imported
        if ask is None:
            return None
        provider = ask()
        known, made = self._known
        if provider is known:
            return made
        # The API's own providers do nothing: one waits for another, one is for those who want none.
        found = None if type(provider).__module__.startswith(self._api) else self._make(provider)
        self._known = (provider, found)
        return found


class Instruments:
    """The instruments of one provider."""

    def __init__(self, meter: Meter) -> None:
        self._made: dict[str, Any] = {}
        for name, (kind, _, about) in METRICS.items():
            if name not in _ASKED:
                if kind == "counter":
                    self._made[name] = meter.create_counter(name, description=about)
                else:
                    self._made[name] = meter.create_histogram(
                        name, description=about
                    )  # its name has the unit
        meter.create_observable_gauge(
            "oneiric_health_status", [_healths], description=METRICS["oneiric_health_status"][2]
        )
        meter.create_observable_counter(
            "oneiric_plugin_faults_total", [_faults], description=METRICS["oneiric_plugin_faults_total"][2]
        )

    def count(self, name: str, number: int = 1, /, **attributes: str) -> None:
        """Add to a counter."""
        self._made[name].add(number, attributes)

    def measure(self, name: str, value: float, /, **attributes: str) -> None:
        """Record a value in a histogram."""
        self._made[name].record(value, attributes)


_instruments: Listening[Instruments] = Listening(
    API, "get_meter_provider", lambda provider: Instruments(provider.get_meter(SCOPE))
)


class Meters:
    """What one runtime tells.

    Attributes:
        on: Whether it tells anything: the plugin ``telemetry`` says so.
        healths: The health of what is bound and watched, by domain and name.
    """

    def __init__(self, host: Host) -> None:
        self._host = weakref.ref(host)
        self.on = False
        self.healths: dict[tuple[str, str], str] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._of: tuple[int, int] = (-1, 0)

    def listening(self) -> Instruments | None:
        """The instruments; None while nobody listens, or the settings want no metrics."""
        if not self.on:
            return None
        found = _instruments()
        host = self._host()
        return found if found is not None and host is not None and host.section("telemetry").metrics else None

    def key(self, domain: str, name: str) -> str:
        """*name* as an attribute: of a part that there is, in a domain of not too many; else empty."""
        host = self._host()
        if host is None:
            return ""
        now = host.revision, host.section("telemetry").max_keys
        if now != self._of:
            self._names.clear()
            self._of = now
        names = self._names.get(domain)
        if names is None:
            keys = host.keys(domain)
            names = self._names[domain] = frozenset(keys if len(keys) <= now[1] else ())
        return name if name in names else ""

    def serving(self) -> Iterator[tuple[tuple[str, str], str]]:
        """The healths of what is bound; what is gone has none."""
        host = self._host()
        for place, status in list(self.healths.items()):
            try:
                bound = None if host is None else host.bound(*place)
            except OneiricError:
                return  # it does not run any more
            if bound is not None:
                yield place, status

    def faults(self) -> Mapping[str, int]:
        """How often each plugin went wrong."""
        host = self._host()
        return {} if host is None else host.faults()


_of_hosts: weakref.WeakKeyDictionary[Host, Meters] = weakref.WeakKeyDictionary()


def meters(host: Host) -> Meters:
    """Those of *host*, for all of its plugins."""
    found = _of_hosts.get(host)
    if found is None:
        found = _of_hosts[host] = Meters(host)
    return found


def _telling() -> list[Meters]:
    return [each for each in list(_of_hosts.values()) if each.listening() is not None]


def _healths(options: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    worst: dict[tuple[str, str], int] = {}  # where several runtimes have the same key
    for each in _telling():
        for (domain, name), status in each.serving():
            place = domain, each.key(domain, name)
            worst[place] = max(STATUS[status], worst.get(place, 0))
    for (domain, key), value in worst.items():
        yield Observation(value, {"domain": domain, "key": key})


def _faults(options: CallbackOptions) -> Iterator[Observation]:
    from opentelemetry.metrics import Observation

    counts: dict[str, int] = {}
    for each in _telling():
        for plugin, count in each.faults().items():
            if count:
                counts[plugin] = counts.get(plugin, 0) + count
    for plugin, count in counts.items():
        yield Observation(count, {"plugin": plugin})
