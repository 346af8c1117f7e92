"""The command line: ``oneiric``.

Each command is a module, imported when its word is typed; so what stands here is what ``--help`` costs.
"""

from __future__ import annotations

from .group import Main

#: Each command's module, and its help in one line, which is the first of its docstring.
COMMANDS = {
    "list": ("oneiric.cli.listing", "List the parts there are, and which candidate wins each."),
    "explain": ("oneiric.cli.explain", "Say which candidate fills a part, why, and why not the others."),
    "plan": ("oneiric.cli.plan", "Say what another settings file would change; touch nothing."),
    "plugins": ("oneiric.cli.plugins", "List what is plugged in, and what is not, and why."),
    "hooks": ("oneiric.cli.hooks", "List the hooks, how each is called, and who implements it."),
    "demo": ("oneiric.cli.demo", "See it work: swaps under load, a refusal, a rollback."),
}

main = Main(COMMANDS)

__all__ = ["COMMANDS", "main"]
