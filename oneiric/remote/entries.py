"""An entry becomes a candidate.  Its gates were passed: the checks of plugins have seen it.

Rules:

E1  its domain is there
E2  its factory can be loaded, and everything that it requires is filled
E3  its settings fit the factory's class, with what the application's settings say about them; no secret stands in them
E4  its data fit the domain's entry class; a timeout or a retry is a field of that class
E5  its domain takes it
E6  nobody that it cannot stand beside is registered under its key
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

import attrs
from oneiric_hookspecs import (
    Artifact,
    Candidate,
    Domain,
    Entry,
    EntryIdentity,
    EntryObjection,
    FileRef,
    Key,
    Manifest,
    Need,
    PluginError,
    SettingsError,
    Source,
    StreamView,
    a_few,
    nearest,
)
from oneiric_hookspecs.remote import Code

from oneiric.registry import Snapshot
from oneiric.registry.checking import checked
from oneiric.settings import Settings, structure
from oneiric.settings.hidden import secret_places

from .changes import not_here
from .loading import Loaded, Loader, Unloadable
from .proved import candidate_maker

_NONE: frozenset[str] = frozenset()
_as_key = tuple.__new__


class _No(Exception):
    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def candidates_of(
    entries: Mapping[EntryIdentity, Entry],
    view: StreamView,
    settings: Settings,
    domains: Mapping[str, Domain],
    opener: Callable[[FileRef], Callable[[], BinaryIO]],
) -> tuple[dict[EntryIdentity, Candidate], list[EntryObjection]]:
    """Make candidates.

    Args:
        entries: Those that are new or changed, and that nobody objects to: their factories are imported.
        view: The stream they came from.
        settings: Of the application, bound.
        domains: Those that are registered.
        opener: Gives what opens an artifact.
    Returns:
        Candidates by identity, and why there are none of the others.
    """
    make = _Maker(view, settings, domains, opener)
    made, objections = {}, []
    for identity, entry in entries.items():
        try:
            made[identity] = make(entry)
        except _No as no:
            objections.append(EntryObjection(no.reason, code=no.code, entry=identity))
    return made, objections


class _Maker:
    def __init__(
        self,
        view: StreamView,
        settings: Settings,
        domains: Mapping[str, Domain],
        opener: Callable[[FileRef], Callable[[], BinaryIO]],
    ) -> None:
        self._view, self._settings, self._domains, self._opener = view, settings, domains, opener
        self._load = Loader(view)
        self._source = source_of(view.name)
        self._needs: dict[tuple[str, ...], tuple[Need, ...]] = {(): ()}
        self._fits: set[tuple[Any, ...]] = set()
        self._plain: set[tuple[str, str]] = set()
        self._words: dict[tuple[str, ...], frozenset[str]] = {(): _NONE}
        self._candidate = candidate_maker()

    def __call__(self, entry: Entry) -> Candidate:
        # Most entries of a large stream differ in little more than their names; all that is said of the first holds of
        # them, and what is looked at below is what they do not have.
        if (
            (entry.domain, entry.factory) in self._plain
            and not entry.settings
            and not entry.needs
            and entry.artifact is None
            and entry.data is None
            and entry.timeout is None
            and entry.retry is None
        ):
            # Its line was read: all that a candidate asks of these fields was asked of them there.
            return self._simple(entry)
        domain = self._domains.get(entry.domain)
        if domain is None:  # E1
            near = nearest(entry.domain, self._domains)
            hint = f"did its publisher mean {near}?" if near else f"there are: {a_few(self._domains)}"
            raise _No("malformed", f"there is no domain {entry.domain}; {hint}")
        try:
            loaded = self._load(entry.factory, domain)  # E2
        except Unloadable as error:
            raise _No("factory", str(error)) from None
        build = self._declared if loaded.declared else self._made
        candidate = build(entry, domain, loaded)
        self._check_settings(entry, candidate)  # E3
        what = (entry.factory, entry.domain, entry.needs, candidate.artifact is None)
        if domain.check is not None or domain.entry is not None or what not in self._fits:
            # What a name leads to is looked at as if it were given: what it requires is filled, or nobody can build it.
            given = candidate if loaded.declared else attrs.evolve(candidate, factory=loaded.found)
            try:
                checked(self._source, (given,), self._domains)  # E5
            except PluginError as error:
                raise _No("malformed", _without(error.message, self._source, candidate)) from None
            self._fits.add(what)
            simple = loaded.settings_class is None and not loaded.declared
            if (
                simple
                and domain.check is None
                and domain.entry is None
                and not entry.needs
                and entry.artifact is None
            ):
                self._plain.add((entry.domain, entry.factory))
        return candidate

    def _simple(self, entry: Entry) -> Candidate:
        words = entry.capabilities
        capabilities = self._words.get(words)
        if capabilities is None:
            capabilities = self._words[words] = frozenset(words)
        return self._candidate(
            _as_key(Key, (entry.domain, entry.key)),
            entry.provider,
            entry.factory,
            entry.priority,
            entry.stack_level,
            entry.version or None,
            capabilities,
            entry.distributions,
            frozenset(entry.platforms) if entry.platforms else _NONE,
            _facts(entry),
        )

    def _made(self, entry: Entry, domain: Domain, loaded: Loaded) -> Candidate:
        artifact = entry.artifact
        try:
            return Candidate(
                Key(entry.domain, entry.key),
                entry.provider,
                entry.factory,
                entry.priority,
                entry.stack_level,
                entry.version or None,
                frozenset(entry.capabilities) if entry.capabilities else _NONE,
                self._needs_of(entry.needs),
                entry.distributions,
                frozenset(entry.platforms) if entry.platforms else _NONE,
                loaded.settings_class,
                metadata=_facts(entry),
                data=self._data(entry, domain),
                settings=entry.settings,
                artifact=None
                if artifact is None
                else Artifact(artifact.sha256, artifact.size, artifact.media_type, self._opener(artifact)),
            )
        except PluginError as error:
            what = f"candidate {entry.domain}:{entry.key} {entry.provider!r}: "
            raise _No("malformed", error.message.removeprefix(what)) from None

    def _declared(self, entry: Entry, domain: Domain, loaded: Loaded) -> Candidate:
        """A value that the domain itself makes a candidate of; what the entry says goes above it."""
        value = loaded.found
        for name, given in (("timeout", entry.timeout), ("retry", entry.retry), ("data", entry.data)):
            if given is not None:
                if name != "timeout" or not hasattr(value, name):
                    raise _No(
                        "malformed",
                        f"{entry.factory} is declared to the domain {domain.name}, and has no {name}",
                    )
                value = attrs.evolve(value, timeout=given)
        if entry.needs or entry.artifact is not None:
            raise _No(
                "malformed",
                f"{entry.factory} is declared to the domain {domain.name}: nothing is built from others",
            )
        assert domain.to_candidate is not None
        try:
            candidate = domain.to_candidate(value, entry.provider)
            return attrs.evolve(
                candidate,
                key=Key(entry.domain, entry.key),
                provider=entry.provider,
                priority=entry.priority,
                stack_level=entry.stack_level,
                version=entry.version or None,
                capabilities=frozenset(entry.capabilities) or candidate.capabilities,
                distributions=entry.distributions,
                platforms=frozenset(entry.platforms),
                metadata={**candidate.metadata, **_facts(entry)},
                settings=entry.settings,
            )
        except PluginError as error:
            raise _No("malformed", error.message) from None

    def _needs_of(self, keys: tuple[str, ...]) -> tuple[Need, ...]:
        needs = self._needs.get(keys)
        if needs is None:
            needs = self._needs[keys] = tuple(Need(Key.parse(key)) for key in keys)
        return needs

    def _data(self, entry: Entry, domain: Domain) -> Any:
        """E4."""
        cls, data = domain.entry, entry.data
        limits = {"timeout": entry.timeout, "retry": entry.retry}
        if cls is None:
            if data is not None:
                raise _No("malformed", f"the domain {domain.name} wants no data")
            fields: set[str] = set()
        elif data is None and entry.timeout is None and entry.retry is None:
            return None  # the registry takes the class's defaults, where there are some
        else:
            fields = {field.name for field in attrs.fields(cls)}
        for name, value in limits.items():
            if value is None:
                continue
            if name not in fields:
                raise _No("malformed", f"the domain {domain.name} has no {name}")
            if isinstance(data, Mapping) and name in data:
                raise _No("malformed", f"{name} stands in the entry, and in its data")
            if data is None or isinstance(data, Mapping):
                data = {**(data or {}), name: value}
        if cls is None:
            return None
        try:
            return structure(cls, data, "data")
        except SettingsError as error:
            raise _No("malformed", _problem(error)) from None

    def _check_settings(self, entry: Entry, candidate: Candidate) -> None:
        """E3."""
        cls = candidate.settings_class
        if cls is None:
            if entry.settings:
                raise _No("malformed", f"{entry.factory} takes no settings")
            return
        if entry.settings:
            for place in secret_places(entry.settings, cls):
                where = ".".join(map(str, place))
                raise _No("secret", f'a secret stands in settings.{where}: write {{"$secret": "name"}}')
        try:
            self._settings.check(candidate)
        except SettingsError as error:
            raise _No("malformed", _problem(error)) from None


def source_of(stream: str) -> Source:
    """Who declares what a stream brings."""
    return Source(f"stream:{stream}", "stream", package=stream)


def conflicts(
    manifest: Manifest, put: Iterable[EntryIdentity], snapshot: Snapshot, source: Source
) -> list[EntryObjection]:
    """E6: which of the entries that change, or have to stand beside those that do, cannot.

    Args:
        manifest: All entries.
        put: Those that are to be registered.
        snapshot: What is registered now, by others too.
        source: The stream's own, whose entries are those of *manifest*.
    """
    entries = manifest.entries
    objections: list[EntryObjection] = []
    # Few entries conflict with anybody, and most often none: only their keys are looked at.
    strict = {identity[:2] for identity, entry in entries.items() if entry.conflicts and entry.enabled}
    if not strict:
        return objections
    markers = snapshot.facts.world.markers
    ordered = sorted(entries)  # as they stand, but for what was retained
    for key in dict.fromkeys(identity[:2] for identity in put):
        if key not in strict:
            continue
        beside: dict[str, str] = {}
        picky = []
        for place in range(bisect.bisect_left(ordered, key), len(ordered)):
            identity = ordered[place]
            if identity[:2] != key:
                break
            if not_here(entries[identity], markers) is None:
                beside[identity[2]] = "the same release"
                if entries[identity].conflicts:
                    picky.append(identity)
        for record in snapshot.records(Key(*key)):
            if record.source.name != source.name:
                beside.setdefault(record.candidate.provider, record.source.name)
        for identity in picky:
            objections += [
                EntryObjection(
                    f"it conflicts with {other}, which {beside[other]} brings",
                    code="conflict",
                    entry=identity,
                )
                for other in entries[identity].conflicts
                if other in beside and other != identity[2]
            ]
    return objections


def _facts(entry: Entry) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if entry.owner:
        facts["owner"] = entry.owner
    if entry.license:
        facts["license"] = entry.license
    if entry.docs:
        facts["docs"] = entry.docs
    if entry.labels:
        facts["labels"] = entry.labels
    return facts


def _problem(error: SettingsError) -> str:
    first = error.problems[0]
    more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
    at = f"{first.where}: " if first.where else ""
    hint = f"; {first.hint}" if first.hint else ""
    return f"{at}{first.path}: {first.message}{hint}{more}"


def _without(message: str, source: Source, candidate: Candidate) -> str:
    """*message* without who it is about: whoever tells it says so by the line."""
    for start in (
        f"stream {source.name}: ",
        "its candidate number 1: ",
        f"candidate {candidate.key} {candidate.provider!r}: ",
    ):
        message = message.removeprefix(start)
    return message
