"""Rules about what a kit declares."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from oneiric_hookspecs import Candidate, OneiricError, PluginError, SettingsError, Spec, specs

from .kit import Kit, answers, declaring_specs
from .outcome import Broken, Skip, raised_in
from .places import factory_of, of_candidate, where


def hooks(kit: Kit) -> Iterator[Broken]:
    """The lint finds nothing, neither an error nor a warning."""
    from oneiric.hooks import lint

    # Not by registering it, which stops where the first error is: this is to say all.
    declared = {each.name: each for each in vars(specs).values() if isinstance(each, Spec)}
    known = lint.Known("oneiric", declared, {}, {})
    found = list(lint.scan(kit.plugin, "oneiric"))
    for each in found:
        for finding in lint.lint(each, known, kit.name):
            yield _from(finding)
    if not any(each.options is not None for each in found):
        yield Broken(
            f"{kit.name} implements no hook",
            kit.where,
            "write @hookimpl above its functions; of a class, give the class: plugin = module.Class",
        )


def _from(finding: PluginError) -> Broken:
    code = f"{finding.code}: " if getattr(finding, "code", None) else ""
    return Broken(f"{code}{finding.message}", finding.where, finding.hint or "")


def registers(kit: Kit) -> Iterator[Broken]:
    """A runtime takes it in, with everything it declares and the settings it is tested with."""
    error = kit.refusal
    if isinstance(error, PluginError) and getattr(error, "code", None):
        raise Skip("the lint refuses it; see the rule `hooks`")
    if isinstance(error, SettingsError):
        for problem in error.problems:
            what = f"the settings it is tested with do not fit: {problem.path}: {problem.message}"
            yield Broken(what, kit.where, problem.hint or "")
    elif isinstance(error, OneiricError):
        yield Broken(error.message, error.where or raised_in(kit, error) or kit.where, error.hint or "")
    elif error is not None:
        said = " ".join(str(error).split())[:300]
        yield Broken(f"{type(error).__name__}: {said}", raised_in(kit, error) or kit.where)


def declares_the_same_twice(kit: Kit) -> Iterator[Broken]:
    """Asked again, in the same runtime or another one, it declares equal things."""
    kit.check_registers()
    with kit.assembled() as one, kit.assembled() as other:
        for spec in declaring_specs():
            asked = [answers(runtime, spec, kit.name) for runtime in (one, one, other)]
            for again in asked[1:]:
                if again != asked[0]:
                    what = _difference(asked[0], again)
                    hint = "give the same again; a class that is made in the hook is another one each time"
                    yield Broken(
                        f"{spec.name} declares other things when it is asked again: {what}",
                        _hook(kit, spec.name),
                        hint,
                    )
                    break


def _difference(first: list[Any], again: list[Any]) -> str:
    if len(first) != len(again):
        return f"{len(first)}, then {len(again)}"
    one, other = next((one, other) for one, other in zip(first, again, strict=True) if one != other)
    fields = [
        each.name
        for each in type(one).__attrs_attrs__
        if each.eq and getattr(one, each.name) != getattr(other, each.name, None)
    ]
    return f"{_shown(one)} differs in {', '.join(fields)}"


def _shown(value: Any) -> str:
    if isinstance(value, Candidate):
        return f"{value.key} {value.provider}"
    named = getattr(value, "name", None) or getattr(value, "scheme", None)
    return str(named) if named is not None else repr(value)[:60]


def _hook(kit: Kit, name: str) -> str | None:
    found = getattr(kit.plugin, name, None)
    return (where(found) if callable(found) else None) or kit.where


def says_what_it_is(kit: Kit) -> Iterator[Broken]:
    """Everything it declares has a summary, in one line."""
    for hook, values in kit.registered.answers.items():
        for value in values:
            summary = getattr(value, "summary", None)
            if summary is None:
                continue
            place = of_candidate(kit, value) if isinstance(value, Candidate) else _hook(kit, hook)
            if not summary.strip():
                yield Broken(f"{_shown(value)} has no summary", place, 'give it summary="..."')
            elif "\n" in summary or len(summary) > _LONGEST:
                yield Broken(
                    f"the summary of {_shown(value)} is no line: {len(summary)} letters",
                    place,
                    f"one line, at most {_LONGEST} letters; it stands in tables",
                )


_LONGEST = 100


def needs_make_sense(kit: Kit) -> Iterator[Broken]:
    """What a candidate needs, its factory takes; and what has to be installed, its distribution requires."""
    domains = kit.registered.domains
    for candidate in kit.candidates:
        place, named = of_candidate(kit, candidate), f"{candidate.key} {candidate.provider}"
        yield from _needs(candidate, named, place, domains)
        yield from _distributions(kit, candidate, named, place)
        takes = _parameters(candidate)
        if takes is None or any(each.kind is each.VAR_KEYWORD for each in takes.values()):
            continue
        for need in candidate.needs:
            if need.keyword not in takes:
                yield Broken(
                    f"{named} needs {need.key}, and its factory does not take {need.keyword!r}",
                    place,
                    f"add the parameter {need.keyword}, or give the need another name=",
                )
        if candidate.settings_class is not None and "settings" not in takes:
            yield Broken(
                f"{named} has a settings class, and its factory does not take 'settings'",
                place,
                "add the parameter settings",
            )


def _needs(candidate: Candidate, named: str, place: str | None, domains: Any) -> Iterator[Broken]:
    for need in candidate.needs:
        if need.key == candidate.key:
            yield Broken(f"{named} needs its own key", place, "it would wait for itself")
        elif need.key.domain not in domains:
            yield Broken(
                f"{named} needs {need.key}, and there is no domain {need.key.domain}",
                place,
                f"there are: {', '.join(domains)}",
            )


def _parameters(candidate: Candidate) -> dict[str, inspect.Parameter] | None:
    """What its factory takes; None where nobody can say, or where it is another rule's matter."""
    if candidate.key.domain == "action" or getattr(candidate.factory, "action", None) is not None:
        return None
    try:
        return dict(inspect.signature(factory_of(candidate)).parameters)
    except Exception:
        return None  # a factory that cannot be imported does not come up, and that rule says why


#: What ends the name in a requirement; one that is not well formed is another rule's matter.
_NAME = re.compile(r"[^A-Za-z0-9._-]")


def _distributions(kit: Kit, candidate: Candidate, named: str, place: str | None) -> Iterator[Broken]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    required = None
    if kit.project is not None and not kit.project.dynamic:
        required = {canonicalize_name(_NAME.split(each.strip(), 1)[0]) for each in kit.project.requires}
    for text in candidate.distributions:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            said = str(error).splitlines()[0]
            yield Broken(f"{named}: {text!r} is no requirement: {said}", place, "write it as redis>=5")
            continue
        if required is not None and canonicalize_name(requirement.name) not in required:
            assert kit.project is not None
            yield Broken(
                f"{named} wants {requirement.name}, which {kit.project.name} does not require",
                place,
                "add it to dependencies, or to an extra",
            )
