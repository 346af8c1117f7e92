"""The settings as one value, and how it is bound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar, overload

import attrs
from oneiric_hookspecs import Candidate, Domain, Key, Problem, SettingsError, a_few

from .binding import Catalogue, check, check_keys, override, section_of, structured
from .environment import NO_SETTING, Variable
from .overrides import in_order, overridden
from .plain import FREE, Fault, Faults, Parts, canonical, path_text, thaw
from .sections import FIXED, App, DomainSection, Lifecycle, LifecycleSection, Plugins, Resolver
from .sources import Origin
from .strict import did_you_mean, problems, structure

T = TypeVar("T")


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
        domains: The sections of domains, by plural; what is not well formed in one is left out until ``bind`` says so.
        file: What was read; None where nothing was.
        warnings: What nobody declares, while a plugin is off or failed that might.
    """

    app: App = attrs.field(factory=App)
    plugins: Plugins = attrs.field(factory=Plugins)
    resolver: Resolver = attrs.field(factory=Resolver)
    lifecycle: LifecycleSection = attrs.field(factory=LifecycleSection)
    domains: Mapping[str, DomainSection] = MappingProxyType({})
    file: Path | None = attrs.field(default=None, eq=False)
    warnings: tuple[Problem, ...] = attrs.field(default=(), eq=False)
    # By their text, since to Python True, 1 and 1.0 are equal.
    _tables: Mapping[str, Any] = attrs.field(default=MappingProxyType({}), eq=canonical, repr=False)
    _origin: Origin = attrs.field(default=Origin(), eq=False, repr=False)
    _pending: tuple[Variable, ...] = attrs.field(default=(), eq=False, repr=False)
    _plurals: Mapping[str, str] | None = attrs.field(default=None, eq=False, repr=False)

    def bind(
        self,
        domains: Iterable[Domain],
        candidates: Iterable[Candidate] = (),
        *,
        plugins: Iterable[str] | None = None,
        tolerate: Mapping[str, str] = MappingProxyType({}),
    ) -> Self:
        """Hold the sections of domains against what is plugged in.

        Args:
            domains: Those that are registered; their plurals are the sections there may be.
            candidates: Those that are registered; each table of settings belongs to one, and fits its class.
            plugins: Names of the plugins that take settings; None does not check ``[plugins.settings]``.
            tolerate: Plugins that are off or failed, and why.  What they would have declared nobody knows, so while
                there are any, what nobody declares is a warning that names them.
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
        findings = check(tables, catalogue)
        check_keys(self.lifecycle.keys, catalogue, findings)
        for plural in sorted(FIXED.keys() & catalogue.domains.keys()):
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
        findings.undeclared += [fault for fault in faults if fault.message == NO_SETTING]
        faults = [fault for fault in faults if fault.message != NO_SETTING] + findings.faults
        warnings = self.warnings
        if tolerate:
            absent = a_few(f"{name} ({why})" for name, why in tolerate.items())
            warnings = tuple(
                attrs.evolve(
                    problem, hint=f"{problem.hint}; or it belongs to a plugin that is not there: {absent}"
                )
                for problem in problems(findings.undeclared, where=origin.where)
            )
        else:
            faults += findings.undeclared
        if faults:
            raise SettingsError(in_order(problems(faults, where=origin.where)))
        return attrs.evolve(
            self,
            domains=MappingProxyType({plural: section_of(table) for plural, table in tables.items()}),
            warnings=warnings,
            tables=tables,
            origin=origin,
            pending=(),
            plurals=MappingProxyType({domain.name: plural for plural, domain in catalogue.domains.items()}),
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
        table = None if plural is None else self._section(plural).settings.get(key.name, {}).get(provider)
        return None if table is None else dict(thaw(table))

    def of(self, candidate: Candidate) -> Any:
        """The settings of *candidate*: a new instance of its class, made of defaults where no table is written.

        Returns:
            The instance; None where the candidate has no settings class.
        Raises:
            SettingsError: The table does not fit, or is missing and a field has no default.
        """
        table = self.table(candidate.key, candidate.provider)
        plural = self._known_plurals().get(candidate.key.domain, candidate.key.domain)
        path = (plural, "settings", candidate.key.name, candidate.provider)
        try:
            return structured(candidate, table)
        except Faults as error:
            faults = [fault.under(*path) for fault in error.faults]
            raise SettingsError(problems(faults, where=self._origin.where)) from None

    def written(self, key: Key, provider: str) -> str:
        """One text for what is written about a provider, for fingerprints: equal tables give equal texts.

        No table and an empty one mean the same, and so do tables that differ in ``x-`` keys.  It holds what the
        table holds: do not show it.
        """
        table = self.table(key, provider) or {}
        return canonical({name: value for name, value in table.items() if not name.startswith(FREE)})

    @overload
    def of_plugin(self, name: str, cls: type[T]) -> T: ...
    @overload
    def of_plugin(self, name: str, cls: None) -> None: ...
    def of_plugin(self, name: str, cls: type[Any] | None) -> Any:
        """``[plugins.settings.NAME]`` as an instance of *cls*; of defaults where no table is written.

        Returns:
            The instance; None where *cls* is None.
        Raises:
            SettingsError: The table does not fit, or there is one though *cls* is None.
        """
        path: Parts = ("plugins", "settings", name)
        table = self.plugins.settings.get(name)
        if cls is not None:
            return structure(cls, table or {}, path_text(path), where=lambda below: self.where(*path, *below))
        if table is not None:
            message = f"the plugin {name!r} takes no settings"
            raise SettingsError([Problem(path_text(path), message, self.where(*path), "remove the table")])
        return None

    def where(self, *path: str | int) -> str | None:
        """``file:line``, or the variable, that set *path*; the nearest that encloses it where it is not written."""
        return self._origin.where(path)

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
