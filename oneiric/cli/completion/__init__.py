"""``oneiric completion``: the TAB key."""

from __future__ import annotations

import click

from oneiric.cli.context import Context

#: The variable by which a shell asks for words.
VARIABLE = "_ONEIRIC_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_obj
def command(context: Context, shell: str) -> None:
    """Print the script by which a shell completes words of this command line.

    \b
    bash  oneiric completion bash > ~/.local/share/bash-completion/completions/oneiric
    zsh   oneiric completion zsh > ~/.zfunc/_oneiric, and in ~/.zshrc, above compinit:
          fpath+=~/.zfunc
    fish  oneiric completion fish > ~/.config/fish/completions/oneiric.fish

    It takes effect in the next shell.  Commands, options, domains, keys, providers, plugins, hooks and settings are
    completed; names are those that were there when a command such as list last looked, for no plugin is imported by
    the TAB key.
    """  # noqa: D301 - click is to find the character itself
    from click.shell_completion import get_completion_class

    from oneiric.cli.group import Main

    from . import index

    root = click.get_current_context().find_root().command
    assert isinstance(root, Main)
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(root, {}, "oneiric", VARIABLE).source().strip()
    index.begin()
    context.show({"shell": shell, "script": script}, "oneiric/completion/1", lambda _: script)
