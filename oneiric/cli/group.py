"""The group ``oneiric``: finds commands without importing them, and turns whatever happens into an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from .context import Context, no_collecting
from .errors import finish
from .options import globals_for, with_globals
from .output import seal


class Group(click.Group):
    """A group that says which of its words was meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant, or what was meant by it."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None:
            return name, command, args[1:]
        from difflib import get_close_matches

        near = get_close_matches(name, self.list_commands(ctx), n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise click.UsageError(f"there is no command {name}{meant}", ctx)


class Main(Group):
    """A group whose commands are loaded when they are typed.

    Args:
        table: For each built-in command its module and its help in one line.
    """

    def __init__(self, table: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(
            "oneiric",
            help="Parts of an application that can be explained, swapped and rolled back while it runs.",
            epilog="Options may stand before or after the command.",
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        )
        self.table = table
        self.params += globals_for(self, hidden=False)
        version = sys.modules["oneiric"].__version__
        self.params.append(
            click.Option(
                ["-V", "--version"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=lambda ctx, _, value: _say_version(ctx, version) if value else None,
                help="Show the version.",
            )
        )

    # --- commands ----------------------------------------------------------------------------------------------

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The built-in words, in their order, and then those of kits."""
        from . import kits

        return [*self.table, *(word for word in sorted(kits.words()) if word not in self.table)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that word, imported now; None where there is none."""
        completing = ctx.resilient_parsing
        if name in self.table:
            with no_collecting():
                found = import_module(self.table[name][0]).command
        else:
            from . import kits

            if name not in kits.words():
                return None
            # What is not ours is imported only to be run.
            found = kits.load(name) if not completing or kits.is_ours(name) else click.Command(name)
        found = with_globals(found)
        if completing:
            from .completion.words import attach

            attach(found, name)
        return found

    # --- help, without importing -------------------------------------------------------------------------------

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The words with their help; those of kits with who brings them."""
        from . import kits

        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])
        others = {word: who for word, who in sorted(kits.words().items()) if word not in self.table}
        mine = [word for word, who in others.items() if all(each.distribution == "oneiric" for each in who)]
        sections = {
            "Of domains": [(word, f"see oneiric {word} --help") for word in mine],
            "From kits": [(word, kits.whose(who)) for word, who in others.items() if word not in mine],
        }
        for title, words in sections.items():
            if words:
                with formatter.section(title):
                    formatter.write_dl(words)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """The words that begin so; options, where it begins with a dash."""
        from click.shell_completion import CompletionItem

        words = [word for word in self.list_commands(ctx) if word.startswith(incomplete)]
        helps = {name: text for name, (_, text) in self.table.items()}
        found = [CompletionItem(word, help=helps.get(word)) for word in words]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    # --- running -----------------------------------------------------------------------------------------------

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command of *args*, and exit as it ends; with *standalone_mode* off, give the exit code."""
        words = list(sys.argv[1:] if args is None else args)
        asked = os.environ.get("_ONEIRIC_COMPLETE")
        if asked:
            from .completion.words import complete

            sys.exit(complete(self, asked))
        context = Context(words)
        try:
            code = finish(lambda: self._run(words, context), context)
        finally:
            context.end()
        if not standalone_mode:
            return code
        if context.options.json:
            seal()  # what plugins do at the very end, too
        # When the process ends, its memory goes with it: a last look for garbage is a sixth of a short command.
        atexit.register(gc.freeze)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was typed; SIGTERM ends it as Ctrl-C does."""
        from .signals import terminable

        with terminable(ctx.obj):
            return super().invoke(ctx)

    def _run(self, words: list[str], context: Context) -> None:
        with self.make_context("oneiric", words, obj=context) as ctx:
            self.invoke(ctx)


def _say_version(ctx: click.Context, version: str) -> None:
    click.echo(f"oneiric {version}")
    ctx.exit()
