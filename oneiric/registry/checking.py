"""What can be registered: all of what one call brings, or an error that says what is wrong where."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from oneiric_hookspecs import Candidate, Domain, Key, PluginError, Source, a_few, nearest


def checked(
    source: Source, candidates: Iterable[Candidate], domains: Mapping[str, Domain]
) -> dict[Key, Candidate | list[Candidate]]:
    """The candidates by key, in order: one, or a list.

    Raises:
        PluginError: One of them cannot be registered.
    """
    if not isinstance(source, Source):
        raise PluginError(f"{source!r} is not a Source", hint='write Source("shop")')
    groups: dict[Key, Candidate | list[Candidate]] = {}
    get, fills = groups.get, _FILLED.get
    choosy = {
        name for name, domain in domains.items() if domain.entry is not None or domain.check is not None
    }
    number = 0
    for number, candidate in enumerate(candidates, 1):
        if candidate.__class__ is not Candidate and not isinstance(candidate, Candidate):
            raise refusal(source, f"declares {candidate!r}, which is not a Candidate", number)
        key, factory = candidate.key, candidate.factory
        if key[0] not in domains:
            raise _unknown_domain(source, candidate, number, domains)
        if factory.__class__ is types.FunctionType:
            # All that a signature depends on, at the price of a lookup; a wrapper's own dict may say otherwise.
            defaults = factory.__defaults__
            if (
                getattr(factory, "__wrapped__", None) is not None
                or getattr(factory, "__signature__", None) is not None
                or fills(factory.__code__) != (0 if defaults is None else len(defaults))
            ):
                _check_factory(source, candidate, number)
        elif factory.__class__ is not str:
            _check_factory(source, candidate, number)
        if candidate.data is not None or key[0] in choosy:
            candidate = _of_domain(source, candidate, number, domains[key[0]])
        there = get(key)
        if there is None:
            groups[key] = candidate
        elif there.__class__ is list:
            there.append(candidate)
        else:
            groups[key] = [there, candidate]  # type: ignore[list-item]
    if len(groups) < number:
        for group in groups.values():
            if isinstance(group, list):
                _check_twins(source, group)
    return groups


def _of_domain(source: Source, candidate: Candidate, number: int, domain: Domain) -> Candidate:
    """*candidate* with what its domain wants to know of it, and as its domain wants it."""
    candidate = _with_data(source, candidate, number, domain.entry)
    if domain.check is not None:
        try:
            domain.check(candidate)
        except PluginError as error:
            what = f"candidate {candidate.key} {candidate.provider!r}: {error.message}"
            raise refusal(
                source, what, number, hint=error.hint, where=error.where or _where(candidate.factory)
            ) from error
    return candidate


def _with_data(source: Source, candidate: Candidate, number: int, entry: type | None) -> Candidate:
    """*candidate* with an instance of *entry* as its data."""
    if candidate.data is None if entry is None else isinstance(candidate.data, entry):
        return candidate
    name = f"candidate {candidate.key} {candidate.provider!r}"
    if candidate.data is None and entry is not None:
        try:
            return attrs.evolve(candidate, data=entry())
        except (TypeError, PluginError):
            what, found = f"a {entry.__name__}", "nothing"
    else:
        what = "nothing" if entry is None else f"a {entry.__name__}"
        found = f"a {type(candidate.data).__name__}"
    raise refusal(
        source,
        f"{name}: the domain {candidate.key.domain} expects {what} as its data, found {found}",
        number,
        hint=None if entry is None else f"give the candidate data={entry.__name__}(...)",
        where=_where(candidate.factory),
    )


def _check_twins(source: Source, group: Sequence[Candidate]) -> None:
    seen: dict[tuple[str, str | None], int] = {}
    for place, candidate in enumerate(group, 1):
        first = seen.setdefault((candidate.provider, candidate.version), place)
        if first != place:
            version = "" if candidate.version is None else f" version {candidate.version}"
            raise refusal(
                source,
                f"declares {candidate.key} {candidate.provider!r}{version} twice, "
                f"as number {first} and {place} of that key",
                hint="give them different versions, or different providers",
                where=_where(candidate.factory),
            )


def _unknown_domain(
    source: Source, candidate: Candidate, number: int, domains: Mapping[str, Domain]
) -> PluginError:
    domain = candidate.key.domain
    words = {word: each.name for each in domains.values() for word in (each.name, each.plural)}
    near = nearest(domain, words)
    meant = f"did you mean {words[near]}?\n  " if near else ""
    return refusal(
        source,
        f"candidate {candidate.key} {candidate.provider!r}: there is no domain {domain!r}",
        number,
        hint=f"{meant}domains: {a_few(domains)}",
        where=_where(candidate.factory),
    )


def refusal(
    source: Source, what: str, number: int | None = None, *, hint: str | None = None, where: str | None = None
) -> PluginError:
    """An error that names who declared it, and which of what was declared it is."""
    nth = "" if number is None else f"its candidate number {number}: "
    if source.kind in ("builtin", "installed"):
        return PluginError(
            f"{nth}{what}", plugin=source.name, distribution=source.distribution, hint=hint, where=where
        )
    who = "stream" if source.kind == "stream" else "source"
    return PluginError(
        f"{who} {source.name}: {nth}{what}", distribution=source.distribution, hint=hint, where=where
    )


#: Code objects of functions that anybody can call without arguments, and how many defaults that takes.
_FILLED: dict[types.CodeType, int] = {}
#: The parameters that must be given, of factories looked at before.
_REQUIRED: dict[Any, tuple[inspect.Parameter, ...]] = {}


def _check_factory(source: Source, candidate: Candidate, number: int) -> None:
    """Refuse a factory with a parameter that nobody can fill, as long as its author is looking."""
    factory = candidate.factory
    required = _required(factory)
    if not required:
        if isinstance(factory, types.FunctionType) and not factory.__dict__ and not factory.__kwdefaults__:
            _bounded(_FILLED)[factory.__code__] = len(factory.__defaults__ or ())
        return
    needs = {need.keyword for need in candidate.needs}
    for parameter in required:
        name = parameter.name
        if parameter.kind is parameter.POSITIONAL_ONLY:
            what = f"takes {name!r} by position only, and factories are called with keywords"
            hint = "take the '/' out of its signature"
        elif name == "settings":
            if candidate.settings_class is not None:
                continue
            what = "requires 'settings', and the candidate has no settings_class"
            hint = "give the candidate settings_class=, an attrs class"
        elif name in {"artifact", "data"} or name in needs:
            continue
        else:
            what = f"requires {name!r}, which nobody can fill"
            near = nearest(name, {"settings", "data", "artifact", *needs})
            meant = f"did you mean {near}?\n  " if near else ""
            hint = (
                f"{meant}a factory gets: settings, data, artifact, and its needs ({a_few(needs)}); "
                f"declare a Need named {name}, or give {name} a default"
            )
        raise refusal(
            source,
            f"candidate {candidate.key} {candidate.provider!r}: its factory {_name(factory)} {what}",
            number,
            hint=hint,
            where=_where(factory),
        )


def _required(factory: Any) -> tuple[inspect.Parameter, ...]:
    plain = inspect.unwrap(factory) if isinstance(factory, types.FunctionType) else factory
    memo: Any
    if isinstance(plain, types.FunctionType) and "__signature__" not in plain.__dict__:
        memo = (plain.__code__, len(plain.__defaults__ or ()), frozenset(plain.__kwdefaults__ or ()))
    elif isinstance(factory, type):
        memo = factory
    elif "__signature__" not in getattr(factory, "__dict__", ()) and isinstance(
        vars(type(factory)).get("__call__"), types.FunctionType
    ):
        memo = type(factory)
    else:
        memo = None  # a bound method, a partial, a builtin: seldom, and each is its own
    kind = isinstance(factory, type)
    if memo is not None and (memo, kind) in _REQUIRED:
        return _REQUIRED[memo, kind]
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (ValueError, TypeError):  # some builtins do not tell
        return ()
    required = tuple(
        each
        for each in parameters
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    )
    if memo is not None:
        _bounded(_REQUIRED)[memo, kind] = required
    return required


def _bounded(memo: dict[Any, Any], limit: int = 4096) -> dict[Any, Any]:
    # Classes and functions that are made while running would otherwise live as long as the process.
    if len(memo) >= limit:
        memo.clear()
    return memo


def _name(factory: Any) -> str:
    return str(getattr(factory, "__qualname__", None) or type(factory).__qualname__)


def _where(factory: Any) -> str | None:
    """``file:line`` of a factory; None where it was not written in Python."""
    if isinstance(factory, str):
        return None
    factory = inspect.unwrap(factory)
    factory = getattr(factory, "__func__", getattr(factory, "func", factory))
    code = getattr(factory, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    cls = factory if isinstance(factory, type) else type(factory)
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return None
