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
    "orchestrate": ("oneiric.cli.orchestrate", "Keep the application going, and do what operators say."),
    "swap": (
        "oneiric.cli.operating.swap",
        "Have another provider in every running process, and wait until it serves there.",
    ),
    "rollback": (
        "oneiric.cli.operating.rollback",
        "Go back to the provider before, in every running process.",
    ),
    "pin": (
        "oneiric.cli.operating.pin",
        "Keep the provider that a part has, whatever settings and streams bring, over restarts, too.",
    ),
    "unpin": (
        "oneiric.cli.operating.unpin",
        "Leave a part to the settings again: whoever wins without the pin takes its place.",
    ),
    "hold": (
        "oneiric.cli.operating.hold",
        "Let nothing change a part, or a domain, by itself: settings and streams wait until it is resumed.",
    ),
    "pause": (
        "oneiric.cli.operating.pause",
        "Let no new users come to a part, or a domain; those it has go on.",
    ),
    "drain": (
        "oneiric.cli.operating.drain",
        "Let no new users come to a part, or a domain, and close it when the last has gone.",
    ),
    "resume": (
        "oneiric.cli.operating.resume",
        "Let a part, or a domain, go on: take back what hold, pause and drain have imposed.",
    ),
    "note": (
        "oneiric.cli.operating.note",
        "Note something about a part for everybody who looks: oneiric note adapter cache 'moving on Friday'.",
    ),
    "status": (
        "oneiric.cli.operating.status",
        "Say what runs, since when, and how well: of every process of the application that keeps going.",
    ),
    "health": (
        "oneiric.cli.operating.health",
        "Say whether the application is well: by the exit code, and in a line.",
    ),
    "activity": (
        "oneiric.cli.operating.activity",
        "Say what is paused, draining, held, or has a note: by whom, since when, until when, and why.",
    ),
    "history": (
        "oneiric.cli.operating.history",
        "Say what has happened: swaps, failures, other settings, what operators said; by whom, and why.",
    ),
    "secrets": (
        "oneiric.cli.secrets",
        "List the secrets that the settings name, and whether they can be had; fetch them anew.",
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
