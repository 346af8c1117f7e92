"""A domain: a kind of part."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .errors import PluginError
from .keys import check_name

_NO_CATEGORIES: Mapping[str, type] = {}


@attrs.frozen
class Domain:
    """A kind of part, brought by a plugin.

    Args:
        name: In the singular: ``adapter``.
        plural: The settings section, and what commands take too: ``adapters``.
        summary: One line for people.
        contract: A runtime-checkable protocol that every instance satisfies; None for any object.
        categories: The same for well-known keys: ``{"cache": Cache}``.
    """

    name: str
    plural: str
    summary: str = ""
    contract: type | None = None
    categories: Mapping[str, type] = _NO_CATEGORIES

    def __attrs_post_init__(self) -> None:
        check_name(self.name, "domain")
        check_name(self.plural, "domain's plural")
        for contract in (self.contract, *self.categories.values()):
            if contract is not None and not getattr(contract, "_is_runtime_protocol", False):
                raise PluginError(
                    f"domain {self.name}: the contract {contract!r} cannot be checked",
                    hint="make it a typing.Protocol with @runtime_checkable",
                )

    def contract_of(self, name: str) -> type | None:
        """What an instance under *name* has to satisfy; None for any object."""
        return self.categories.get(name, self.contract)
