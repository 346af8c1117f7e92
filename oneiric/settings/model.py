"""The settings as one value, and how it is bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar, overload

import attrs
from oneiric_hookspecs import Candidate, Domain, Key, Problem, Secret, SettingsError, a_few

from .binding import Catalogue, check, check_keys, merged, misfits, override, section_of, structured
from .environment import NO_SETTING, Variable
from .hidden import at, digest, hidden, secret_places
from .layers import PROFILE, Origin, in_order
from .logged import LoggingSection
from .orchestrated import OrchestrateSection
from .overrides import Flag, overridden
from .plain import FREE, Fault, Faults, Parts, canonical, is_reference, path_text, thaw
from .references import Reading, opaque, reading, referred, undeclared
from .sections import FIXED, App, DomainSection, Lifecycle, LifecycleSection, Plugins, Resolver, StateSection
from .streams import Stream
from .strict import did_you_mean, structure
from .supervised import HealthSection, RestartSection
from .traced import TelemetrySection

T = TypeVar("T")
Fill = Callable[[Reading], object]


@attrs.frozen
class Unchosen:
    """The settings as they would be with another profile of the files.

    Args:
        name: The profile's.
        tables: The files' with its own laid over them.
        origin: Where they were set.
    """

    name: str
    tables: Mapping[str, Any] = attrs.field(repr=False)
    origin: Origin = attrs.field(repr=False)

    def problems(self, faults: Iterable[Fault]) -> list[Problem]:
        """Those of *faults* that are the profile's own."""
        own = [fault for fault in faults if self.origin.path(fault.path)[:2] == (PROFILE, self.name)]
        return self.origin.problems(own)


@attrs.frozen
class Settings:
    """The settings of one application; equal files give equal settings.

    Loading checks the sections that every application has, and needs no plugin for it.  The sections of domains are
    kept as written until ``bind`` holds them against what is plugged in.

    Args:
        app: ``[app]``.
        plugins: ``[plugins]``.
        resolver: ``[resolver]``.
        lifecycle: ``[lifecycle]``.
        secrets: ``[secrets]``: where each comes from, by name.
        state: ``[state]``.
        health: ``[health]``.
        restart: ``[restart]``.
        orchestrate: ``[orchestrate]``.
        logging: ``[logging]``.
        telemetry: ``[telemetry]``.
        remote: ``[remote.NAME]``: streams, by name, in the order in which they are written.
        domains: The sections of domains, by plural; what is not well formed in one is left out until ``bind`` says so.
        profile: The profile in force.
        file: The first file that was read; None where none was.
        files: All that were read, the weakest first.
        flags: What options of a command have added.
        problems: What is wrong with them, where they were only examined; ``bind`` raises it.
        warnings: What nobody declares, while a plugin is off or failed that might.
    """

    app: App = attrs.field(factory=App)
    plugins: Plugins = attrs.field(factory=Plugins)
    resolver: Resolver = attrs.field(factory=Resolver)
    lifecycle: LifecycleSection = attrs.field(factory=LifecycleSection)
    secrets: Mapping[str, str] = attrs.field(default=MappingProxyType({}), eq=canonical, repr=False)
    state: StateSection = attrs.field(factory=StateSection)
    health: HealthSection = attrs.field(factory=HealthSection)
    restart: RestartSection = attrs.field(factory=RestartSection)
    orchestrate: OrchestrateSection = attrs.field(factory=OrchestrateSection)
    logging: LoggingSection = attrs.field(factory=LoggingSection)
    telemetry: TelemetrySection = attrs.field(factory=TelemetrySection)
    remote: Mapping[str, Stream] = MappingProxyType({})
    domains: Mapping[str, DomainSection] = MappingProxyType({})
    profile: str = attrs.field(default="default", eq=False)
    file: Path | None = attrs.field(default=None, eq=False)
    files: tuple[Path, ...] = attrs.field(default=(), eq=False)
    flags: tuple[Flag, ...] = attrs.field(default=(), eq=False, repr=False)
    problems: tuple[Problem, ...] = attrs.field(default=(), eq=False, repr=False)
    warnings: tuple[Problem, ...] = attrs.field(default=(), eq=False)
    # By their text, since to Python True, 1 and 1.0 are equal.
    _tables: Mapping[str, Any] = attrs.field(default=MappingProxyType({}), eq=canonical, repr=False)
    _origin: Origin = attrs.field(default=Origin(), eq=False, repr=False)
    _pending: tuple[Variable, ...] = attrs.field(default=(), eq=False, repr=False)
    _plurals: Mapping[str, str] | None = attrs.field(default=None, eq=False, repr=False)
    _by_key: frozenset[str] = attrs.field(default=frozenset(), eq=False, repr=False)
    _strangers: tuple[str, ...] = attrs.field(default=(), eq=False, repr=False)
    _unchosen: tuple[Unchosen, ...] = attrs.field(default=(), eq=False, repr=False)
    _blind: bool = attrs.field(default=False, eq=False, repr=False)
    _hidden: frozenset[Parts] | None = attrs.field(default=None, eq=False, repr=False)

    @opaque
    def bind(
        self,
        domains: Iterable[Domain],
        candidates: Iterable[Candidate] = (),
        *,
        plugins: Iterable[str] | None = None,
        tolerate: Mapping[str, str] = MappingProxyType({}),
        schemes: Mapping[str, Iterable[str]] | None = None,
        seen: list[Secret] | None = None,
    ) -> Self:
        """Hold the sections of domains against what is plugged in.

        Args:
            domains: Those that are registered; their plurals are the sections there may be.
            candidates: Those that are registered; each table of settings belongs to one, and fits its class.
            plugins: Names of the plugins that take settings; as a mapping, with the class of each.  None does not
                check ``[plugins.settings]``.
            tolerate: Plugins that are off or failed, and why.  What they would have declared nobody knows, so while
                there are any, what nobody declares is a warning that names them.
            schemes: Who declares each scheme of ``[secrets]``; None does not check them.
            seen: Where secrets that are written as a text are put, before any validator sees them.
        Returns:
            Settings that know the domains, with the variables of the environment that concern them applied.
        Raises:
            SettingsError: Everything that is wrong, at once.
        """
        catalogue = Catalogue.of(domains, candidates)
        tables, origin, faults = overridden(
            self._tables,
            self._origin,
            [],
            self._pending,
            lambda variable: override(variable, catalogue, self._tables),
        )
        found = list(self.problems)
        seen = [] if seen is None else seen
        with reading(Reading(self.secrets, seen=seen)):
            findings = check(tables, catalogue)
            for other in self._unchosen:
                theirs = {name: other.tables[name] for name in catalogue.domains if name in other.tables}
                found += other.problems(check(theirs, catalogue).faults)
        check_keys(self.lifecycle.keys, catalogue, findings)
        for plural in sorted({*FIXED, PROFILE} & catalogue.domains.keys()):
            faults.append(
                Fault((plural,), f"a domain cannot have the section {plural!r}", "rename its plural")
            )
        if plugins is not None:
            names = list(plugins)
            for name in self.plugins.settings:
                if name not in names:
                    path: Parts = ("plugins", "settings", name)
                    findings.undeclared.append(
                        Fault(path, "no plugin takes these settings", did_you_mean(name, names))
                    )
        if isinstance(plugins, Mapping):
            # What is wrong with the table of one that failed, it says itself.
            theirs = {name: cls for name, cls in plugins.items() if name not in tolerate}
            with reading(Reading(self.secrets, seen=seen)):
                findings.faults += misfits(self.plugins.settings, theirs)
        for fault, may_come in () if schemes is None else undeclared(self.secrets, schemes):
            (findings.undeclared if may_come else findings.faults).append(fault)
        findings.undeclared += [fault for fault in faults if fault.message == NO_SETTING]
        faults = [fault for fault in faults if fault.message != NO_SETTING] + findings.faults
        warnings = self.warnings
        brought: tuple[Problem, ...] = ()
        if self.remote:
            # Streams are read when all else is there, and bring other candidates every day.
            theirs_to_bring = [
                each for each in findings.undeclared if self._may_be_brought(each.path, catalogue)
            ]
            findings.undeclared = [each for each in findings.undeclared if each not in theirs_to_bring]
            by = f"a stream is to bring it: {a_few(self.remote)}"
            brought = tuple(
                attrs.evolve(problem, hint=f"{problem.hint}; or {by}" if problem.hint else by)
                for problem in origin.problems(theirs_to_bring)
            )
        if self._blind:
            pass  # nor does anybody know what there would be
        elif tolerate:
            absent = a_few(f"{name} ({why})" for name, why in tolerate.items())
            warnings = tuple(
                attrs.evolve(
                    problem, hint=f"{problem.hint}; or it belongs to a plugin that is not there: {absent}"
                )
                for problem in origin.problems(findings.undeclared)
            )
        else:
            faults += findings.undeclared
        found += origin.problems(faults)
        if found:
            raise SettingsError(in_order(found, origin))
        if brought and not self._blind:
            warnings = tuple(dict.fromkeys([*warnings, *brought]))
        if self._strangers:
            from .variables import slips  # it is seldom that somebody has such

            warnings = tuple(dict.fromkeys([*slips(self._strangers, catalogue, tables), *warnings]))
        return attrs.evolve(
            self,
            domains=MappingProxyType(
                {plural: section_of(table, catalogue.by_key(plural)) for plural, table in tables.items()}
            ),
            warnings=warnings,
            tables=tables,
            origin=origin,
            pending=(),
            hidden=frozenset(
                [
                    *_in_domains(tables, catalogue),
                    *_in_plugins(self.plugins, plugins if plugins is not None else ()),
                ]
            ),
            plurals=MappingProxyType({domain.name: plural for plural, domain in catalogue.domains.items()}),
            by_key=frozenset(plural for plural in catalogue.domains if catalogue.by_key(plural)),
        )

    def lifecycle_of(self, key: Key) -> Lifecycle:
        """The limits of *key*: its own table's, and ``[lifecycle]`` for what is not written there."""
        return self.lifecycle.of(key)

    def selections(self) -> dict[Key, str]:
        """The provider the settings choose for each key.

        Raises:
            SettingsError: As ``table``.
        """
        return {
            Key(domain, name): provider
            for domain, plural in self._known_plurals().items()
            for name, provider in self._section(plural).selections.items()
        }

    def table(self, key: Key, provider: str) -> dict[str, Any] | None:
        """The table of a provider as written, in a copy; None where there is none.

        Raises:
            SettingsError: There are sections of domains, and ``bind`` has not said yet whose they are.
        """
        plural = self._known_plurals().get(key.domain)
        table: Any = None if plural is None else self._section(plural).settings.get(key.name)
        if table is not None and plural not in self._by_key:
            table = table.get(provider)
        return None if table is None else dict(thaw(table))

    @opaque
    def of(self, candidate: Candidate, fetched: Mapping[str, Secret] = MappingProxyType({})) -> Any:
        """The settings of *candidate*: a new instance of its class, made of defaults where no table is written.

        Args:
            candidate: Whose.
            fetched: The secrets that ``references`` names.
        Returns:
            The instance; None where the candidate has no settings class.
        Raises:
            SettingsError: The table does not fit, or is missing and a field has no default.
        """
        return self._read(candidate, Reading(self.secrets, fetched))

    def _read(self, candidate: Candidate, how: Reading) -> Any:
        table = merged(candidate, self.table(candidate.key, candidate.provider))
        path = self._path(candidate.key, candidate.provider)
        if len(path) == 3 and candidate.settings_class is None:
            return None  # the table is of its key, and another candidate may take it
        try:
            with reading(how):
                return structured(candidate, table)
        except Faults as error:
            raise SettingsError(self._origin.problems(fault.under(*path) for fault in error.faults)) from None

    def written(self, key: Key, provider: str) -> str:
        """One text for what is written about a provider, for fingerprints: equal tables give equal texts.

        No table and an empty one mean the same, and so do tables that differ in ``x-`` keys.  In the place of a
        secret is a digest, which is another one in every process; what refers to a secret comes with its source.
        """
        table = self.table(key, provider) or {}
        table = {name: value for name, value in table.items() if not name.startswith(FREE)}
        path = self._path(key, provider)
        places = [place[len(path) :] for place in self._hidden or () if place[: len(path)] == path]
        sources = {name: self.secrets.get(name) for _, name in referred(table)}
        return canonical(hidden(table, places, digest)) + (f" {canonical(sources)}" if sources else "")

    @opaque
    def check(self, candidate: Candidate) -> None:
        """Hold the table of *candidate* against its class, without the secrets that it refers to.

        Raises:
            SettingsError: It does not fit.
        """
        self._read(candidate, Reading(self.secrets))

    # --- secrets -----------------------------------------------------------------------------------------------

    @opaque
    def references(self, candidate: Candidate) -> tuple[str, ...]:
        """The names of the secrets that the settings of *candidate* refer to, each once.

        Raises:
            SettingsError: The table does not fit, as far as can be said without them.
        """
        table = merged(candidate, self.table(candidate.key, candidate.provider))
        if not self.secrets or next(referred(table), None) is None:
            return ()
        how = Reading(self.secrets)
        self._read(candidate, how)
        return tuple(dict.fromkeys(how.names))

    def uses(self) -> dict[str, list[Parts]]:
        """Where each secret is referred to, by name; those that nobody refers to, too."""
        tables = {"plugins": {"settings": self.plugins.settings}, **self._tables}
        found: dict[str, list[Parts]] = {name: [] for name in self.secrets}
        for path, name in referred(tables):
            if name in found:
                found[name].append(path)
        return found

    def is_secret(self, *path: str | int) -> bool:
        """Whether what is written at *path* is a secret, or below one, and must not be shown; a reference may be.

        In a table of settings whose class is not known, everything may be one.
        """
        if is_reference(at({"plugins": {"settings": self.plugins.settings}, **self._tables}, path)):
            return False
        if self._hidden is None:
            return len(path) > 2 and path[1] == "settings"
        return any(path[:length] in self._hidden for length in range(1, len(path) + 1))

    def texts(self) -> tuple[Secret, ...]:
        """The secrets that are written as a text, of those whose class is known."""
        tables = {"plugins": {"settings": self.plugins.settings}, **self._tables}
        found = (at(tables, path) for path in sorted(self._hidden or (), key=str))
        return tuple(Secret(text) for text in found if isinstance(text, str))

    def _path(self, key: Key, provider: str) -> Parts:
        plural = self._known_plurals().get(key.domain, key.domain)
        return (
            (plural, "settings", key.name)
            if plural in self._by_key
            else (plural, "settings", key.name, provider)
        )

    @overload
    def of_plugin(self, name: str, cls: type[T], fill: Fill = ...) -> T: ...
    @overload
    def of_plugin(self, name: str, cls: None, fill: Fill = ...) -> None: ...
    @opaque
    def of_plugin(self, name: str, cls: type[Any] | None, fill: Fill = lambda _: None) -> Any:
        """``[plugins.settings.NAME]`` as an instance of *cls*; of defaults where no table is written.

        Args:
            name: The plugin.
            cls: Its class of settings.
            fill: Called with how it is read, before that and again when the ``names`` it refers to are known; puts
                there what it has ``fetched``.
        Returns:
            The instance; None where *cls* is None.
        Raises:
            SettingsError: The table does not fit, or there is one though *cls* is None.
        """
        path: Parts = ("plugins", "settings", name)
        table = self.plugins.settings.get(name)
        if cls is not None:
            text, where = path_text(path), lambda below: self.where(*path, *below)
            how = Reading(self.secrets)
            fill(how)  # nothing yet, but what is seen from here on is known
            if next(referred(table), None) is not None:
                how.fetched = None
                structure(cls, table, text, where=where, how=how)
                how.fetched = {}
                fill(how)
            return structure(cls, table or {}, text, where=where, how=how)
        if table is not None:
            message = f"the plugin {name!r} takes no settings"
            raise SettingsError([Problem(path_text(path), message, self.where(*path), "remove the table")])
        return None

    @property
    def origin(self) -> Origin:
        """The layers they are made of, and where every value was set."""
        return self._origin

    @property
    def tables(self) -> Mapping[str, Any]:
        """The sections of domains, and those nobody knows yet, as written in all layers; do not show them."""
        return self._tables

    @property
    def pending(self) -> int:
        """How many variables of the environment wait for ``bind``."""
        return len(self._pending)

    def without_domains(self) -> Self:
        """The same, as far as loading plugins goes: without the sections of domains, and without what is wrong."""
        nothing: Mapping[str, Any] = MappingProxyType({})
        return attrs.evolve(
            self, domains=nothing, tables=nothing, pending=(), problems=(), unchosen=(), strangers=()
        )

    def where(self, *path: str | int) -> str | None:
        """``file:line``, or the variable, that set *path*; the nearest that encloses it where it is not written."""
        return self._origin.where(path)

    def _may_be_brought(self, path: Parts, catalogue: Catalogue) -> bool:
        """Whether a stream could register what the table at *path* would be of."""
        if len(path) < 3 or path[0] not in catalogue.domains or path[1] != "settings":
            return False
        domain, name = catalogue.domains[str(path[0])].name, str(path[2])
        return any(
            fnmatchcase(domain, pattern.partition(":")[0]) and fnmatchcase(name, pattern.partition(":")[2])
            for stream in self.remote.values()
            for pattern in stream.scope
        )

    def _section(self, plural: str) -> DomainSection:
        return self.domains.get(plural, DomainSection())

    def _known_plurals(self) -> Mapping[str, str]:
        if self._plurals is not None:
            return self._plurals
        if not self._tables and not self._pending:
            return {}
        path = next(iter(self._tables), "environment")
        raise SettingsError(
            [Problem(path, "it is not known yet whose section this is", self.where(path), "call bind")]
        )


def _in_domains(tables: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Parts]:
    """Where the settings of candidates are secrets; all of a table, if nobody says what it is of."""
    for plural, table in tables.items():
        by_key = catalogue.by_key(plural)
        for name, below in section_of(table, by_key).settings.items():
            known = catalogue.candidates.get(plural, {}).get(name, {})
            if by_key:
                candidates = [each for some in known.values() for each in some]
                yield from _in_table((plural, "settings", name), below, candidates)
                continue
            for provider, written in below.items():
                yield from _in_table((plural, "settings", name, provider), written, known.get(provider, ()))


def _in_table(path: Parts, written: Any, candidates: Iterable[Candidate]) -> Iterator[Parts]:
    classes = [each.settings_class for each in candidates if each.settings_class is not None]
    if not classes:
        yield path
    for cls in classes:
        yield from secret_places(written, cls, path)


def _in_plugins(section: Plugins, plugins: Iterable[str]) -> Iterator[Parts]:
    classes = plugins if isinstance(plugins, Mapping) else {}
    for name, written in section.settings.items():
        path = ("plugins", "settings", name)
        if classes.get(name) is None:
            yield path
        else:
            yield from secret_places(written, classes[name], path)
