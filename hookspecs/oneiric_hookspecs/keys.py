"""The name of a part: a domain, and a name in it."""

import re
from typing import NamedTuple, Self

from .errors import PluginError

#: What a domain, a name or a provider may look like; lower-case ASCII, matched in full.
NAME = re.compile(r"(?!.*__)[a-z0-9][a-z0-9._-]{0,127}")

_RULE = "lower-case letters, digits and . _ - (at most 128, a letter or digit first, no '__')"


def check_name(text: object, what: str) -> str:
    """Return *text* if it is a well-formed name.

    Args:
        text: What somebody wrote.
        what: What it names, for the message: ``"provider"``.
    Raises:
        PluginError: It is not a string, or not of the form of ``NAME``, or has ``__`` in it
            (which separates the parts of an environment variable).
    """
    if not isinstance(text, str) or NAME.fullmatch(text) is None:
        raise PluginError(f"{text!r} is not a {what}", hint=f"a {what} is made of {_RULE}")
    return text


class Key(NamedTuple):
    """The name of a part: ``adapter:cache``.

    A tuple, not a class of ours, so that hashing and comparing stay in C: a look-up by
    ``("adapter", "cache")`` and one by ``Key`` are the same look-up.
    """

    domain: str
    name: str

    @classmethod
    def of(cls, domain: str, name: str) -> Self:
        """Make a key from its two parts, checked.

        Raises:
            PluginError: One of the parts is not a well-formed name.
        """
        return cls(check_name(domain, "domain"), check_name(name, "key"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Make a key from ``domain:name``.

        Raises:
            PluginError: There is no colon, or a part is not a well-formed name.
        """
        domain, colon, name = text.partition(":")
        if not colon:
            raise PluginError(
                f"{text!r} is not a key", hint="write it as domain:name, for example adapter:cache"
            )
        return cls.of(domain, name)

    def __str__(self) -> str:
        return f"{self.domain}:{self.name}"
