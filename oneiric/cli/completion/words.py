"""What a TAB is answered: the words that may stand there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, shell_complete

from oneiric.cli.context import Context

from . import VARIABLE, index

if TYPE_CHECKING:
    from .index import Names


def complete(group: click.Group, instruction: str) -> int:
    """Answer a shell.

    Args:
        group: The command line.
        instruction: What the shell asks for, such as ``bash_complete``.
    Returns:
        The exit code.  Nothing is ever said beside the words: it would stand in the middle of what is being typed.
    """
    index.begin()
    options(group, "")
    try:
        return shell_complete(group, {"obj": Context()}, "oneiric", VARIABLE, instruction)
    except Exception:
        return 1


Find = Callable[["Names", click.Context], Iterable[str]]


def _domains(names: Names, ctx: click.Context) -> Iterable[str]:
    return [word for both in names.domains.items() for word in both]


def _keys(names: Names, ctx: click.Context) -> Iterable[str]:
    word = ctx.params.get("domain")
    domain = names.domain(word) if isinstance(word, str) else None
    return {name for of, name in names.keys if word is None or of == domain}


def _keys_of(word: str) -> Find:
    """The keys of the domain that brings the command *word*; none where no domain is called so."""
    return lambda names, _: [name for domain, name in names.keys if domain == word]


def _providers(names: Names, ctx: click.Context) -> Iterable[str]:
    word, key = ctx.params.get("domain"), ctx.params.get("key")
    domain = names.domain(word) if isinstance(word, str) else None
    return {
        provider
        for (of, name), providers in names.keys.items()
        if word is None or (of == domain and key in (None, name))
        for provider in providers
    }


def _plugins(names: Names, ctx: click.Context) -> Iterable[str]:
    return names.plugins


def _left_out(names: Names, ctx: click.Context) -> Iterable[str]:
    return [f"no:{name}" for name in names.plugins]


def _hooks(names: Names, ctx: click.Context) -> Iterable[str]:
    return names.hooks


def _settings(names: Names, ctx: click.Context) -> Iterable[str]:
    return names.settings


#: By the name of a parameter, whatever command has it.
_BY_NAME: dict[str, Find] = {
    "domain": _domains,
    "key": _keys,
    "provider": _providers,
    "why_not": _providers,
    "hook": _hooks,
    "require": _plugins,
    "global_plugin": _left_out,
}
#: By the word of a command, and then the name of a parameter, where the name alone would mean anything.
_BY_COMMAND: dict[str, dict[str, Find]] = {
    "plugins": {"name": _plugins, "names": _plugins},
    "hooks": {"name": _hooks},
    "config": {"path": _settings, "paths": _settings},
}
#: Names of parameters that take a file.
_FILES = {"global_config", "new", "cmd", "keep", "file"}


def attach(command: click.Command, word: str) -> None:
    """Let the parameters of a built-in *command*, and of its commands, be completed from the index."""
    options(command, word)
    for each in getattr(command, "commands", {}).values():
        attach(each, word)


def options(command: click.Command, word: str) -> None:
    """The same for the parameters of *command* alone."""
    for param in command.params:
        name = param.name or ""
        find = _BY_COMMAND.get(word, {}).get(name) or _BY_NAME.get(name)
        if find is None and name == "name":
            find = _keys_of(word)
        plain = type(param.type) is type(click.STRING) or isinstance(
            param.type, click.types.UnprocessedParamType
        )
        if not plain:
            continue  # it knows its words
        if find is not None:
            setattr(param, "shell_complete", _completer(find))  # noqa: B010 - a method of this one alone
        elif name in _FILES:
            setattr(param, "shell_complete", _file)  # noqa: B010


def _completer(find: Find) -> Callable[[click.Context, str], list[CompletionItem]]:
    def completed(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        context: Any = ctx.obj
        names = index.read(context.options.config)
        return [CompletionItem(word) for word in sorted(find(names, ctx)) if word.startswith(incomplete)]

    return completed


def _file(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]
