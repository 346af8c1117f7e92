"""The options of every command, accepted before and after its word."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import click


class Options:
    """What was given, wherever it stood.

    Attributes:
        config: The settings files, the weakest first; where there are none, one is looked for.
        profile: The profile; None leaves it to the environment.
        off: Plugins to leave out.
        plugins: Modules to load as plugins.
        json: Whether the answer is one JSON object.
        verbosity: ``-v`` counts up, ``-q`` down.
        color: ``auto``, ``always`` or ``never``.
        strict: Whether a plugin that fails is an error.
        debug: Whether errors come with their traceback.
        no_pager: Whether a long answer is written at once, on a terminal, too.
    """

    def __init__(self) -> None:
        self.config: list[str] = []
        self.profile: str | None = None
        self.off: list[str] = []
        self.plugins: list[str] = []
        self.json = False
        self.verbosity = 0
        self.color = "auto"
        self.strict = False
        self.debug = False
        self.no_pager = False

    def plug(self, names: tuple[str, ...]) -> None:
        """Take in ``-p``: ``no:NAME`` leaves a plugin out, anything else is a module."""
        for name in names:
            bare = name.removeprefix("no:")
            if not bare:
                raise click.BadParameter("name a plugin, as in -p no:cache.disk or -p shop.plugin")
            (self.off if name.startswith("no:") else self.plugins).append(bare)


def _into(put: Callable[[Options, Any], None]) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        # Not given here says nothing: it may have been given on the other side of the word.
        if ctx.get_parameter_source(param.name or "") is not click.core.ParameterSource.DEFAULT:
            put(ctx.obj.options, value)

    return callback


def _sets(name: str) -> Callable[[Options, Any], None]:
    return lambda options, value: setattr(options, name, value)


def _counts(by: int) -> Callable[[Options, Any], None]:
    def count(options: Options, times: int) -> None:
        options.verbosity += by * times

    return count


_COLORS = click.Choice(["auto", "always", "never"])

#: The spellings of each, what it puts where, its help, and what else click wants to know.
_GLOBAL: list[tuple[list[str], Callable[[Options, Any], None], str, dict[str, Any]]] = [
    (
        ["-c", "--config"],
        lambda options, files: options.config.extend(files),
        "The settings; else the nearest oneiric.toml. May be repeated; the later wins.",
        {"multiple": True, "metavar": "FILE"},
    ),
    (
        ["--profile"],
        _sets("profile"),
        "A profile of the settings: default, serverless, test or yours.",
        {"metavar": "NAME"},
    ),
    (
        ["-p", "--plugin"],
        Options.plug,
        "Load a plugin, or leave one out; may be repeated.",
        {"multiple": True, "metavar": "MODULE|no:NAME"},
    ),
    (["--json"], _sets("json"), "Answer with one JSON object.", {"is_flag": True}),
    (["-q", "--quiet"], _counts(-1), "No warnings.", {"count": True}),
    (["-v", "--verbose"], _counts(1), "Log what happens; -vv logs more.", {"count": True}),
    (["--color"], _sets("color"), "Colours; auto is for a terminal.", {"type": _COLORS}),
    (["--strict"], _sets("strict"), "A plugin that fails is an error.", {"is_flag": True}),
    (["--debug"], _sets("debug"), "Errors with their traceback.", {"is_flag": True}),
    (["--no-pager"], _sets("no_pager"), "Long answers at once, in a terminal, too.", {"is_flag": True}),
]


def globals_for(command: click.Command, *, hidden: bool) -> list[click.Parameter]:
    """The global options, less what *command* means otherwise."""
    taken = {text for param in command.params for text in (*param.opts, *param.secondary_opts)}
    found: list[click.Parameter] = []
    for texts, put, about, more in _GLOBAL:
        free = [text for text in texts if text not in taken]
        if free:
            name = "global_" + texts[-1].lstrip("-").replace("-", "_")
            option = click.Option(
                [name, *free], callback=_into(put), expose_value=False, hidden=hidden, help=about, **more
            )
            found.append(option)
    return found


def with_globals(command: click.Command) -> click.Command:
    """A copy of *command*, and of its commands, that takes the global options too."""
    one = copy.copy(command)
    one.params = [*command.params, *globals_for(command, hidden=True)]
    if isinstance(one, click.Group):
        one.commands = {name: with_globals(each) for name, each in one.commands.items()}
    if one.epilog is None:
        one.epilog = "-c --profile -p --json -q -v --color --strict --debug --no-pager: see oneiric --help"
    return one
