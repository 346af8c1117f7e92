"""The command line: ``oneiric``.

Each command is a module, imported when its word is typed; so what stands here is what ``--help`` costs.
"""

from __future__ import annotations

from .group import Main

#: Each command's module, and its help in one line, which is the first of its docstring.
COMMANDS = {
    "list": ("oneiric.cli.listing", "List the parts there are, and which candidate wins each."),
    "explain": ("oneiric.cli.explain", "Say which candidate fills a part, why, and why not the others."),
    "config": ("oneiric.cli.config", "Show the settings in force, check them, and say what there is to set."),
    "plan": ("oneiric.cli.plan", "Say what another settings file would change; touch nothing."),
    "plugins": ("oneiric.cli.plugins", "List what is plugged in, and what is not, and why."),
    "hooks": ("oneiric.cli.hooks", "List the hooks, how each is called, and who implements it."),
    "secrets": (
        "oneiric.cli.secrets",
        "List the secrets that the settings name, and whether they can be had.",
    ),
    "remote-sync": (
        "oneiric.cli.remote.sync",
        "Fetch what the streams of [remote] offer, verify it, and keep it for this application.",
    ),
    "remote-status": (
        "oneiric.cli.remote.status",
        "Say what is in force of the streams of [remote], and how asking for them goes.",
    ),
    "check": ("oneiric.cli.check", "Say whether a kit keeps what every kit promises."),
    "new": ("oneiric.cli.new", "Write a plugin or an application to begin with."),
    "doctor": ("oneiric.cli.doctor", "Say what is wrong, and the command that mends it."),
    "bisect": (
        "oneiric.cli.bisect",
        "Find which plugin breaks CMD, by switching off half of them again and again.",
    ),
    "completion": (
        "oneiric.cli.completion",
        "Print the script by which a shell completes words of this command line.",
    ),
    "demo": ("oneiric.cli.demo", "See it work: swaps under load, a refusal, a rollback."),
}

main = Main(COMMANDS)

__all__ = ["COMMANDS", "main"]
