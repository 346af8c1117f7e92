"""Commands that are shown to be pasted."""

from __future__ import annotations

import shlex

from .context import Context


def pasteable(context: Context, *words: str) -> str:
    """``oneiric WORDS`` about the same settings as the command that says so, quoted for a shell."""
    options = context.options
    before = [each for file in options.config for each in ("-c", file)]
    before += ["--profile", options.profile] if options.profile else []
    return shlex.join(["oneiric", *before, *words])
