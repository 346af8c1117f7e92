"""Secrets: a text that never shows itself, and where such texts come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn, Self

import attrs

from .errors import PluginError
from .keys import check_name

#: What is shown in place of a secret.
MASK = "***"


class Secret:
    """A text that shows itself as ``***``: in ``str``, ``repr``, formats, logs and tracebacks.

    It is no ``str``, since JSON, ``"".join`` and ``+`` read those without asking.  ``reveal`` and ``encode`` give what
    it holds, so a search for these two words finds every place where a secret leaves its wrapping.  It cannot be
    pickled; a copy is the same object; two are compared in a time that does not tell how much of them is equal.

    Args:
        text: What is secret; another secret is taken over.
    """

    __slots__ = ("__weakref__", "_text")
    _text: str

    def __init__(self, text: str | Secret) -> None:
        if not isinstance(text, (str, Secret)):
            raise TypeError(f"a secret is a text, found a {type(text).__name__}")
        object.__setattr__(self, "_text", text.reveal() if isinstance(text, Secret) else str(text))

    def reveal(self) -> str:
        """What it holds."""
        return self._text

    def encode(self, encoding: str = "utf-8") -> bytes:
        """What it holds, as bytes."""
        return self.reveal().encode(encoding)

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __len__(self) -> int:
        return len(self.reveal())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Secret):
            import hmac  # with openssl in its train

            # Lone surrogates come from undecodable bytes of the environment.
            mine, theirs = (each.reveal().encode("utf-8", "surrogatepass") for each in (self, other))
            return hmac.compare_digest(mine, theirs)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a secret does not change")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


@attrs.frozen
class SecretSource:
    """Where secrets come from, declared by ``oneiric_secret_sources``; chosen by the scheme in ``[secrets]``.

    ``get`` takes what stands behind the colon of ``"env:DB_PASSWORD"``, and gives the secret, or None where there is
    none of that name.  An ``async def`` is awaited on the runtime's loop; any other function is called in a thread, as
    it may wait.  It may raise ``SecretError`` with a reason for people; of any other exception only the type and the
    place are shown, since its text may hold what was read.

    Args:
        scheme: What stands before the colon.
        get: Gives one secret.
        summary: One line for people.
    """

    scheme: str
    get: Callable[[str], str | Secret | Awaitable[str | Secret | None] | None] = attrs.field(
        eq=False, repr=False
    )
    summary: str = ""

    def __attrs_post_init__(self) -> None:
        check_name(self.scheme, "scheme of a secret source")
        if not callable(self.get):
            raise PluginError(f"secret source {self.scheme}: get is called, found {self.get!r}")
