"""What is registered, who wins, and what would change."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import (
    Candidate,
    Decision,
    Domain,
    Key,
    Manifest,
    NothingToCall,
    PluginError,
    Problem,
    Request,
    SettingsError,
    Source,
    SourceIO,
    SourceSpec,
    Trust,
    a_few,
    nearest,
    specs,
)

from oneiric.collecting import collect
from oneiric.hooks import PluginRecord
from oneiric.registry import Change, Snapshot
from oneiric.settings import Settings, SettingsSource, examine, structure

from .life import Life

if TYPE_CHECKING:
    from .plan import Planned

_APPLICATION = Source("application", "application", package="app")
#: How what is pending begins when it is other settings that are not in force yet.
WANTED = "the settings want another one"


class Declared(Life):
    """The registry and the plugins of a runtime; they are there before it is entered, and after it is closed."""

    # --- what is registered, and who wins ------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """What is registered and decided at this instant; it never changes."""
        return self.registry.snapshot

    def register(
        self, *candidates: Candidate, source: Source | str = _APPLICATION, replace: bool = False
    ) -> Change:
        """Add candidates of the application's own; one that is known by its identity is replaced, in its place.

        Args:
            candidates: What to add.
            source: Whose they are; a name makes a source of the application's.
            replace: Whether all other candidates of the source are withdrawn in the same step.
        Raises:
            PluginError: One is not well formed; nothing is registered.
        """
        owner = Source(source, "application", package=source) if isinstance(source, str) else source
        if replace:
            return self.registry.replace(owner, candidates)
        return self.registry.register(owner, *candidates)

    def withdraw(
        self, source: str = "application", *, key: Key | None = None, provider: str | None = None
    ) -> Change:
        """Withdraw what *source* registered: all of it, or of one key, or one provider.

        What is bound goes on serving; it is swapped when somebody says so.
        """
        return self.registry.withdraw(source, key=key, provider=provider)

    def resolve(self, domain: str, name: str, *, provider: str | None = None) -> Candidate:
        """The candidate that fills the key now.

        Raises:
            ResolutionError: None does; ``error.decision`` says of each why not.
        """
        if provider is None:
            return self.registry.snapshot.resolve(domain, name)
        return self.registry.snapshot.choose(Request(Key(domain, name), provider))

    def explain(
        self, domain: str, name: str, *, provider: str | None = None, capabilities: Iterable[str] = ()
    ) -> Decision:
        """The decision about the key: who wins and why, and of every other one why not, and what would make it win."""
        return self.registry.snapshot.decide(Request(Key(domain, name), provider, capabilities))

    @property
    def revision(self) -> int:
        """Grows with every change of what is registered or decided; as long as it is the same, so are those."""
        return self.registry.snapshot.revision

    def keys(self, domain: str) -> tuple[str, ...]:
        """The names of a domain that somebody registered for, sorted."""
        return tuple(sorted(key.name for key in tuple(self.registry.snapshot.keys()) if key.domain == domain))

    def section(self, name: str) -> Any:
        """What the settings in force say in a section that plugins go by; see ``Host.section``."""
        return {"app": self._settings.app, "telemetry": self._settings.telemetry}[name]

    def faults(self) -> Mapping[str, int]:
        """How often each plugin went wrong up to now, by its name.  From any thread."""
        return {record.name: record.faults for record in self.hooks.plugins}

    def _domain(self, name: str) -> Domain:
        domains = self.registry.snapshot.domains
        found = domains.get(name)
        if found is None:
            near = nearest(name, domains)
            hint = f"did you mean {near}?" if near else f"there are: {a_few(domains)}"
            raise NothingToCall(f"there is no domain {name}", hint=hint)
        return found

    def what_if(self, **changes: Any) -> Snapshot:
        """The snapshot as it would be after *changes*; see ``Snapshot.what_if``.  Nothing is changed."""
        return self.registry.snapshot.what_if(**changes)

    def plan(self, settings: SettingsSource = None) -> list[Planned]:
        """What would be different with other settings, or with nothing but the next swap of every bound key.

        Args:
            settings: Those to compare with; None compares what is bound with what wins.
        Returns:
            One for each key that would change, by key.
        Raises:
            SettingsError: They are not valid.
        """
        from oneiric.activation import fingerprint_of

        from .plan import Planned

        before = after = self.registry.snapshot
        new = old = self._settings
        if settings is not None:
            new = self.bind(settings)
            after = after.what_if(
                selections=new.selections(),
                stack_order=new.resolver.stack_order,
                on_missing=new.resolver.on_missing,
            )
        engine = self._engine
        planned = []
        for key in sorted(after.keys()):
            slot = None if engine is None else engine.slots.get(key)
            bound = None if slot is None else slot.bound
            other = moves(key, before, old, after, new)
            decision = after.decide(Request(key))
            winner = decision.winner
            if bound is None or slot is None:
                earlier = before.decide(Request(key)).winner
                serving, different = None if earlier is None else earlier.provider, other
            else:
                # Other settings move what they concern; what wins and is not bound for other reasons stays as it is.
                waits = slot.pending.startswith(WANTED) or slot.deferred is not None
                concerned = settings is None or other or waits
                serving = bound.provider
                different = concerned and (
                    winner is None
                    or fingerprint_of(winner, after.source(winner), new.written(key, winner.provider))
                    != bound.fingerprint
                )
            if not different:
                continue
            wins = None if winner is None else winner.provider
            if wins == serving:
                planned.append(Planned(key, serving, wins, "its settings are others", "settings", decision))
            else:
                because = str(decision.because) or str(decision.error or "")
                planned.append(Planned(key, serving, wins, because, "winner", decision))
        return planned

    def pin(self, domain: str, name: str, provider: str | None = None) -> None:
        """Choose *provider* for the key, above the settings; None takes what is bound, or wins.

        It swaps nothing by itself.  In a process that is kept going what is pinned is wanted: there it is swapped to.

        Raises:
            ResolutionError: It could not fill the key.
        """
        engine = self.not_elsewhere("pin")
        if provider is None:
            slot = engine.slots.get((domain, name)) if engine is not None else None
            bound = slot.bound if slot is not None else None
            provider = bound.provider if bound is not None else self.resolve(domain, name).provider
        else:
            self.resolve(domain, name, provider=provider)
        self.registry.pin(Key.of(domain, name), provider)
        if engine is not None and self.running:
            pinning = self.control.pinned(Key.of(domain, name), provider, actor="")
            self.hooks.host.spawn(pinning, name=f"pin {domain}:{name}")

    def unpin(self, domain: str, name: str) -> None:
        """Drop the pin of the key.  Swaps nothing."""
        engine = self.not_elsewhere("unpin")
        self.registry.unpin(Key.of(domain, name))
        if engine is not None and self.running:
            unpinning = self.control.unpinned(Key.of(domain, name), actor="")
            self.hooks.host.spawn(unpinning, name=f"unpin {domain}:{name}")

    def plug(
        self, plugin: Any, name: str | None = None, *, settings: Mapping[str, Any] | None = None
    ) -> PluginRecord:
        """Take in a plugin of the application's own, and register what it declares.

        Raises:
            PluginError: It is not well formed; nothing of it stays.
        """
        self.not_elsewhere("plug")
        record = self.hooks.register(plugin, name, settings=settings)
        collect(self.hooks, self.registry)
        self.secrets.learn()
        self.registry.decide_anew()
        if record.state == "failed" and record.error is not None:
            self.hooks.unregister(record.name)
            raise record.error
        return record

    def unplug(self, name: str) -> PluginRecord:
        """Let go of a plugin: it is asked no more, and what it declared is withdrawn; what is bound goes on serving."""
        self.not_elsewhere("unplug")
        if self.hooks.plugin(name).protected:
            raise PluginError("it is always on, and cannot be unplugged", plugin=name)
        record = self.hooks.unregister(name)
        self.registry.withdraw(name)
        self.secrets.learn()
        self.registry.decide_anew()
        return record

    # --- settings ------------------------------------------------------------------------------------------------

    def bind(self, settings: SettingsSource) -> Settings:
        """*settings*, loaded and held against what is plugged in now.  Nothing is changed.

        Raises:
            SettingsError: Everything that is wrong with them.
        """
        snapshot, plugins = self.registry.snapshot, self.hooks.plugins
        absent = {
            record.name: f"{record.state}: {record.reason}" if record.state == "failed" else record.state
            for record in plugins
            if record.state != "on"
        }
        mine = self._settings
        return examine(settings, profile=mine.profile, flags=mine.flags).bind(
            snapshot.domains.values(),
            [record.candidate for key in snapshot.keys() for record in snapshot.records(key)],
            plugins={record.name: record.settings_class for record in plugins if record.may_take_settings},
            tolerate=absent,
            schemes=self.secrets.schemes,
            seen=self.secrets.noted(),
        )

    def structure(self, cls: Any, data: Any, path: str) -> Any:
        """Turn plain data into *cls*, strictly.  Raises: SettingsError, its problems under *path*."""
        return structure(cls, data, path)

    def schema(self, cls: Any) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of what ``structure`` would take for *cls*."""
        # For editors, and for callers of actions: not for every start.
        from oneiric.settings.schema import schema_of

        return schema_of(cls)

    def manifest(self, body: bytes, *, lenient: bool = False) -> Manifest:
        """Read the body of a stream as every sync does.

        Args:
            body: Its bytes, whole.
            lenient: Whether fields that are not known are passed over.
        Raises:
            Malformed: It is not well formed, with the line.
        """
        from oneiric.remote.decoding import read_manifest

        return read_manifest(body, lenient=lenient)

    def trust(self, stream: str) -> Trust:
        """What is known here of whom a stream's verifier believes; see ``Host.trust``."""
        from oneiric.remote.anchors import read_anchor
        from oneiric.remote.files import StreamFiles
        from oneiric.settings.places import settings_folder, state_folder

        settings = self.settings
        section = settings.remote.get(stream)
        if section is None:
            near = nearest(stream, settings.remote)
            hint = f"did you mean {near!r}?" if near else f"there are {a_few(settings.remote)}"
            raise SettingsError([Problem(f"remote.{stream}", "there is no such stream", None, hint)])
        anchor = read_anchor(
            section.keyring,
            settings_folder(settings.file),
            stream=stream,
            where=settings.where("remote", stream, "keyring"),
        )
        return Trust(stream, anchor, StreamFiles(state_folder(settings) / "remote" / stream).keep)

    @contextlib.contextmanager
    def source(self, url: str) -> Iterator[SourceIO]:
        """Open the address of a stream that need not be in the settings; see ``Host.source``."""
        from oneiric.remote.transport import StreamIO, open_source

        spec = SourceSpec("command-line", url)
        source = open_source(spec, self.hooks[specs.oneiric_fetchers].answers())
        try:
            yield StreamIO(source)
        finally:
            source.close()


def moves(key: Key, before: Snapshot, old: Settings, after: Snapshot, new: Settings) -> bool:
    """Whether going over from *old* to *new* settings changes who wins *key*, or what it is built from."""
    earlier, later = before.decide(Request(key)).winner, after.decide(Request(key)).winner
    if later is None or earlier is not later:
        return later is not earlier
    return new.written(key, later.provider) != old.written(key, later.provider)
