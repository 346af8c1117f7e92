"""What a new plugin consists of."""

from __future__ import annotations

import re

import click
from oneiric_hookspecs import Domain, OneiricError, PluginError, check_name

from oneiric.cli.naming import domain_of

from .folder import render
from .names import LONGEST, Names, camel, for_plugin

#: A line of settings for the README, by template; there is no other template.
EXAMPLES = {
    "adapter": "times = 2",
    "adapter.cache": "max_items = 500",
    "service": "every = 10",
    "action": "longest = 100",
    "task": "step = 10",
    "event": "keep = 10",
    "workflow": "rounds = 2",
}


class NoTemplate(OneiricError):
    """The key has a contract, and there is no template that satisfies it."""

    exit_code = 3


def plugin(name: str, domain: str, key: str | None) -> tuple[Names, dict[str, str]]:
    """The files of a new plugin, by name.

    Args:
        name: The plugin's.
        domain: Of the part it provides, by name or plural.
        key: The name of that part; None takes the plugin's.
    Raises:
        UsageError: A name is not of a good form.
        Taken: The name is somebody's.
        NoSuch: There is no such domain.
        NoTemplate: Nothing to begin with is known for that part.
    """
    names = for_plugin(name)
    kind = _domain(domain)
    key = _key(name if key is None else key)
    part = _part(kind, key)
    section = f"{kind.plural}.settings.{_toml(key)}" + ("" if kind.settings_by == "key" else f".{name}")
    values = {
        "name": name,
        "distribution": names.distribution,
        "module": names.module,
        "camel": names.camel,
        "cls": names.camel + ("" if key == name else camel(key)),
        "domain": kind.name,
        "plural": kind.plural,
        "key": key,
        "section": section,
        "summary": f"{kind.name}:{key}, provided by {name}"
        if kind.settings_by == "provider"
        else f"The {kind.name} {key}",
        "settings_example": f"[{section}]\n{EXAMPLES[part]}",
    }
    package, test = names.module, f"tests/test_{name.replace('-', '_')}.py"
    return names, {
        **{
            each: render(f"plugin/{each}", values)
            for each in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")
        },
        f"{package}/__init__.py": render(f"plugin/parts/{part}", values),
        f"{package}/py.typed": "",
        test: render(f"plugin/parts/{part}.test", values),
    }


def _domain(word: str) -> Domain:
    """The built-in domain of that name: what it is written for has to be there when its tests run."""
    from oneiric.assembly import assemble

    with_builtins = assemble({}, environment=False)
    try:
        return with_builtins.snapshot.domains[domain_of(with_builtins, word)]
    finally:
        with_builtins.hooks.close()


def _key(key: str) -> str:
    try:
        check_name(key, "key")
    except PluginError as error:
        raise click.UsageError(f"{error.message}: {error.hint}") from None
    if len(key) > LONGEST or not re.fullmatch(r"[a-z0-9]+([._-][a-z0-9]+)*", key):
        raise click.UsageError(
            f"{key!r} is a key, but none to begin with: at most {LONGEST} letters, no . _ - at its end"
        )
    return key


def _part(domain: Domain, key: str) -> str:
    """The template for the part."""
    known = (part for part in (f"{domain.name}.{key}", domain.name) if part in EXAMPLES)
    part = next(known, "adapter")
    contract = domain.categories.get(key)
    if contract is not None and part != f"{domain.name}.{key}":
        raise NoTemplate(
            f"there is nothing to begin with for {domain.name}:{key}, whose contract is {contract.__name__}",
            hint=f"begin with another --key, and write the methods of {contract.__module__}.{contract.__name__}",
        )
    return part


def _toml(key: str) -> str:
    return f'"{key}"' if "." in key else key
