"""Phase two: what the domains and their candidates say about the tables that are theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
from oneiric_hookspecs import Candidate, Domain, Key, OneiricError, a_few, check_name, nearest

from .environment import NO_SETTING, PREFIX, Override, Variable, folded, one_of, placed
from .layers import PROFILE
from .plain import FREE, Fault, Faults, Parts, found, is_reference, path_text
from .sections import FIXED, DomainSection
from .strict import convert, did_you_mean

_PARTS = ("selections", "settings")


@attrs.frozen
class Catalogue:
    """What is plugged in, as far as settings may speak of it.

    Args:
        domains: By plural.
        candidates: By plural, key and provider; several where sources or versions share a provider.
    """

    domains: Mapping[str, Domain]
    candidates: Mapping[str, Mapping[str, Mapping[str, list[Candidate]]]]

    @classmethod
    def of(cls, domains: Iterable[Domain], candidates: Iterable[Candidate]) -> Catalogue:
        """Sort them."""
        by_plural = {domain.plural: domain for domain in domains}
        plurals = {domain.name: plural for plural, domain in by_plural.items()}
        sorted_in: dict[str, dict[str, dict[str, list[Candidate]]]] = {plural: {} for plural in by_plural}
        for candidate in candidates:
            # A candidate of a domain that nobody registered is the registry's matter.
            if candidate.key.domain in plurals:
                keys = sorted_in[plurals[candidate.key.domain]]
                keys.setdefault(candidate.key.name, {}).setdefault(candidate.provider, []).append(candidate)
        return cls(by_plural, sorted_in)

    def by_key(self, plural: str) -> bool:
        """Whether a table of settings in that section is a key's, and not one of its providers'."""
        return plural in self.domains and self.domains[plural].settings_by == "key"


@attrs.define
class Findings:
    """What is wrong, and what nobody declares."""

    faults: list[Fault] = attrs.field(factory=list)
    undeclared: list[Fault] = attrs.field(factory=list)


def section_of(table: Any, by_key: bool = False) -> DomainSection:
    """The parts of a domain's table that are well formed; ``check`` says what is not.

    Args:
        table: As written.
        by_key: Whether a table of settings is a key's, and not one of its providers'.
    """
    if not isinstance(table, Mapping):
        return DomainSection()
    selections = {name: value for name, value in _pairs(table.get("selections")) if isinstance(value, str)}
    if by_key:
        of_keys = {name: below for name, below in _pairs(table.get("settings")) if isinstance(below, Mapping)}
        return DomainSection(selections, of_keys)
    settings = {
        name: {provider: below for provider, below in _pairs(providers) if isinstance(below, Mapping)}
        for name, providers in _pairs(table.get("settings"))
    }
    return DomainSection(selections, settings)


def override(variable: Variable, catalogue: Catalogue, tables: Mapping[str, Any]) -> Override:
    """What *variable* means for the section of a domain.

    Raises:
        Faults: It names nothing there, or its text is not of the right form.
    """
    section, *rest = variable.parts
    plural = one_of(section, [*FIXED, *catalogue.domains], PREFIX)
    before = f"{PREFIX}{folded(plural)}"
    part = one_of(rest[0] if rest else "", _PARTS, before)
    before = f"{before}__{folded(part)}"
    written = tables.get(plural, {}).get(part, {}) if isinstance(tables.get(plural), Mapping) else {}
    known = catalogue.candidates[plural]
    name = one_of(rest[1] if len(rest) > 1 else "", dict.fromkeys([*known, *dict(_pairs(written))]), before)
    before = f"{before}__{folded(name)}"
    if part == "selections":
        if len(rest) > 2:
            raise Faults.one(NO_SETTING, f"there is nothing below {before}")
        return Override(variable.name, (plural, part, name), variable.text)
    table = dict(_pairs(written)).get(name, {})
    if catalogue.by_key(plural):
        candidates = [each for some in known.get(name, {}).values() for each in some]
        path, value = _placed(candidates, repr(name), rest[2:], variable, table, before)
        return Override(variable.name, (plural, part, name, *path), value)
    provider = one_of(rest[2] if len(rest) > 2 else "", known.get(name, {}), before)
    before = f"{before}__{folded(provider)}"
    table = dict(_pairs(table)).get(provider, {})
    path, value = _placed(
        known[name][provider], f"the candidate {provider!r}", rest[3:], variable, table, before
    )
    return Override(variable.name, (plural, part, name, provider, *path), value)


def _placed(
    candidates: list[Candidate], whose: str, rest: list[str], variable: Variable, table: Any, before: str
) -> tuple[tuple[str, ...], Any]:
    """The path and value in a table for one of *candidates*: the first whose class has such a setting."""
    classes = [each.settings_class for each in candidates if each.settings_class is not None]
    if not classes:
        raise Faults.one(NO_SETTING, f"{whose} takes no settings")
    refused: list[Faults] = []
    for cls in classes:
        try:
            return placed(cls, rest, variable.text, table, before)
        except Faults as error:
            refused.append(error)
    raise refused[0]


def check(tables: Mapping[str, Any], catalogue: Catalogue) -> Findings:
    """Hold the sections of the domains against what is plugged in."""
    findings = Findings()
    sections = [*FIXED, PROFILE, *catalogue.domains]
    for name, table in tables.items():
        if name not in catalogue.domains:
            findings.undeclared.append(Fault((name,), "unknown section", did_you_mean(name, sections)))
            continue
        for part, content in _pairs(table):
            if part not in _PARTS:
                findings.faults.append(Fault((name, part), "unknown key", did_you_mean(part, _PARTS)))
            elif not isinstance(content, Mapping):
                findings.faults.append(Fault((name, part), f"expected a table, found {found(content)}"))
            elif part == "selections":
                _check_selections(name, content, findings)
            else:
                _check_settings(name, content, catalogue, findings)
    return findings


def misfits(tables: Mapping[str, Any], classes: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with ``[plugins.settings]``, of those plugins whose class is known."""
    faults: list[Fault] = []
    for name, table in tables.items():
        if classes.get(name) is not None:
            try:
                convert(table, classes[name])
            except Faults as error:
                faults += [fault.under("plugins", "settings", name) for fault in error.faults]
    return faults


def check_keys(keys: Iterable[str], catalogue: Catalogue, findings: Findings) -> None:
    """The keys of ``[lifecycle.keys]`` are of known domains."""
    names = [domain.name for domain in catalogue.domains.values()]
    for text in keys:
        key = Key.parse(text)
        if key.domain not in names:
            near = nearest(key.domain, names)
            hint = f"did you mean {near}:{key.name}?" if near else f"there are: {a_few(names)}"
            message = f"there is no domain {key.domain!r}"
            findings.undeclared.append(Fault(("lifecycle", "keys", text), message, hint))


def _check_selections(plural: str, selections: Mapping[str, Any], findings: Findings) -> None:
    for name, provider in _pairs(selections):
        path: Parts = (plural, "selections", name)
        if isinstance(provider, Mapping):
            hint = f"keep a name with dots together: {path_text([*path[:2], _dotted(name, provider)])}"
            findings.faults.append(Fault(path, "expected a provider, found a table", hint))
            continue
        findings.faults += _misnamed(name, "key", path)
        if isinstance(provider, str):
            findings.faults += _misnamed(provider, "provider", path)
        else:
            findings.faults.append(Fault(path, f"expected a provider, found {found(provider)}"))


def _check_settings(
    plural: str,
    settings: Mapping[str, Any],
    catalogue: Catalogue,
    findings: Findings,
) -> None:
    known, by_key = catalogue.candidates[plural], catalogue.by_key(plural)
    for name, providers in _pairs(settings):
        path: Parts = (plural, "settings", name)
        if name not in known:
            hint = _unquoted(path, providers, known, by_key=by_key) or did_you_mean(name, known)
            findings.undeclared.append(Fault(path, f"nothing registered is called {name!r}", hint))
        elif by_key:
            _check_table_of_key(path, providers, known, findings)
        elif not isinstance(providers, Mapping):
            findings.faults.append(
                Fault(path, f"expected a table for each provider, found {found(providers)}")
            )
        else:
            for provider, table in _pairs(providers):
                _check_table((*path, provider), table, known, findings)


def _check_table(
    path: Parts,
    table: Any,
    known: Mapping[str, Mapping[str, list[Candidate]]],
    findings: Findings,
) -> None:
    name, provider = str(path[2]), str(path[3])
    providers = known[name]
    if not isinstance(table, Mapping):
        example = path_text([*path[:3], next(iter(providers))])
        fault = Fault(
            path, f"expected a table for each provider, found {found(table)}", f"write it in [{example}]"
        )
        findings.faults.append(fault)
        return
    if provider not in providers:
        message = f"no candidate of {name!r} has the provider {provider!r}"
        hint = _unquoted(path[:3], {provider: table}, known) or did_you_mean(provider, providers)
        findings.undeclared.append(Fault(path, message, hint))
        return
    findings.faults += _misfit(path, table, providers[provider])


def _check_table_of_key(
    path: Parts,
    table: Any,
    known: Mapping[str, Mapping[str, list[Candidate]]],
    findings: Findings,
) -> None:
    name = str(path[2])
    if not isinstance(table, Mapping):
        hint = f"write it in [{path_text(path)}]"
        findings.faults.append(Fault(path, f"expected a table of settings, found {found(table)}", hint))
        return
    candidates = [each for some in known[name].values() for each in some]
    if all(each.settings_class is None for each in candidates):
        findings.faults.append(Fault(path, f"{name!r} takes no settings", "remove the table"))
        return
    takers = [each for each in candidates if each.settings_class is not None]
    for fault in _misfit(path, table, takers):
        if fault.message == "unknown key" and len(fault.path) == 4:
            below = {fault.path[3]: table[fault.path[3]]}
            fault = attrs.evolve(fault, hint=_unquoted(path, below, known, by_key=True) or fault.hint)
        findings.faults.append(fault)


def _misfit(path: Parts, table: Mapping[str, Any], candidates: list[Candidate]) -> list[Fault]:
    """What is wrong with a table that fits none of *candidates*."""
    refusals: list[list[Fault]] = []
    for candidate in candidates:
        try:
            structured(candidate, merged(candidate, table))
        except Faults as error:
            refusals.append([fault.under(*path) for fault in error.faults])
    # Versions and sources of one provider may differ; which of them wins is not known yet.
    return refusals[-1] if len(refusals) == len(candidates) else []


def merged(candidate: Candidate, table: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """*table* over the one that *candidate* brings; None where there is neither."""
    if not candidate.settings:
        return table
    return candidate.settings if table is None else _over(candidate.settings, table)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for name, value in above.items():
        old = both.get(name)
        if (
            isinstance(value, Mapping)
            and isinstance(old, Mapping)
            and not is_reference(value)
            and not is_reference(old)
        ):
            value = _over(old, value)
        both[name] = value
    return both


def structured(candidate: Candidate, table: Mapping[str, Any] | None) -> Any:
    """The settings of *candidate*: an instance of its class, or None where it has none.

    Raises:
        Faults: With paths below the table.
    """
    if candidate.settings_class is not None:
        return convert({} if table is None else table, candidate.settings_class)
    if table is not None:
        raise Faults.one(f"the candidate {candidate.provider!r} takes no settings", "remove the table")
    return None


def _unquoted(path: Parts, below: Any, known: Mapping[str, Any], *, by_key: bool = False) -> str | None:
    """A hint, if the tables below *path* spell a known name whose dots were not quoted."""
    *outer, name = path
    while isinstance(below, Mapping):
        for part, deeper in _pairs(below):
            joined = f"{name}.{part}"
            if joined in known:
                example = path_text([*outer, joined, *([] if by_key else [next(iter(known[joined]))])])
                return f"keep the name together: [{example}]"
            if any(each.startswith(f"{joined}.") for each in known):
                name, below = joined, deeper
                break
        else:
            return None
    return None


def _dotted(name: str, below: Any) -> str:
    while isinstance(below, Mapping) and below:
        part, below = next(iter(below.items()))
        name = f"{name}.{part}"
    return name


def _pairs(table: Any) -> Iterator[tuple[str, Any]]:
    """What a table holds, without what is the user's own."""
    if isinstance(table, Mapping):
        yield from ((name, value) for name, value in table.items() if not name.startswith(FREE))


def _misnamed(text: str, what: str, path: Parts) -> list[Fault]:
    try:
        check_name(text, what)
    except OneiricError as error:
        return [Fault(path, error.message, error.hint)]
    return []
