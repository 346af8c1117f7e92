"""The secret source ``env``: variables of the environment.  ``[secrets] db = "env:DB_PASSWORD"``."""

from __future__ import annotations

import os
from collections.abc import Iterable

from oneiric_hookspecs import Secret, SecretError, SecretSource, hookimpl


def get(name: str) -> Secret | None:
    """The variable *name*; one that is empty counts as not set.

    Raises:
        SecretError: It holds bytes that are no text.
    """
    text = os.environ.get(name)
    if not text:
        return None
    # Python has put lone surrogates in the place of bytes that are no UTF-8.
    if any("\ud800" <= character <= "\udfff" for character in text):
        del text  # some tools show the locals of a traceback
        raise SecretError(f"the variable {name} holds bytes that are no text")
    return Secret(text)


@hookimpl
def oneiric_secret_sources() -> Iterable[SecretSource]:
    """Declare ``env``."""
    yield SecretSource("env", get, "a variable of the environment")
