"""A domain: a kind of part."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from .errors import PluginError
from .grammar import Form, Spec
from .keys import check_name

if TYPE_CHECKING:
    from .candidates import Candidate
    from .plugins import Host

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
        call: ``await call(host, name, payload)`` does what calling a part of this kind means, for
            ``runtime.call(domain, name, payload)``; None where there is nothing to call, only to use.
        face: ``face(host)`` gives the typed interface that ``runtime.domain(name)`` hands out; None for none.
        entry: The attrs class of what the domain wants to know of each candidate, ``Candidate.data``; None for nothing.
            A candidate that brings none gets the class's defaults, where it has them.
        check: ``check(candidate)`` raises a PluginError where the domain cannot take it; called before anything of its
            source is registered.
        declared_by: A hook of the form ``declares`` with values that become candidates of this domain.
        to_candidate: ``to_candidate(value, plugin)`` makes the candidate of one of them; *plugin* is the name of who
            declared it.
        eager: Whether a process that keeps going activates each part of this kind at its start.
        settings_by: Whose a table of settings is: ``provider`` for ``[adapters.settings.cache.disk]``, ``key`` where
            a part has one provider as a rule, and its settings are ``[actions.settings."http.fetch"]``.
    """

    name: str
    plural: str
    summary: str = ""
    contract: type | None = None
    categories: Mapping[str, type] = _NO_CATEGORIES
    call: Callable[[Host, str, Any], Awaitable[Any]] | None = attrs.field(default=None, kw_only=True)
    face: Callable[[Host], Any] | None = attrs.field(default=None, kw_only=True)
    entry: type | None = attrs.field(default=None, kw_only=True)
    check: Callable[[Candidate], None] | None = attrs.field(default=None, kw_only=True)
    declared_by: Spec[Any, Any, Any] | None = attrs.field(default=None, kw_only=True)
    to_candidate: Callable[[Any, str], Candidate] | None = attrs.field(default=None, kw_only=True)
    settings_by: Literal["provider", "key"] = attrs.field(default="provider", kw_only=True)
    eager: bool = attrs.field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_name(self.name, "domain")
        check_name(self.plural, "domain's plural")
        for contract in (self.contract, *self.categories.values()):
            if contract is not None and not getattr(contract, "_is_runtime_protocol", False):
                raise PluginError(
                    f"domain {self.name}: the contract {contract!r} cannot be checked",
                    hint="make it a typing.Protocol with @runtime_checkable",
                )

        if self.settings_by not in ("provider", "key"):
            raise PluginError(
                f"domain {self.name}: settings_by is provider or key, found {self.settings_by!r}"
            )
        if self.entry is not None and not attrs.has(self.entry):
            raise PluginError(f"domain {self.name}: entry is an attrs class, found {self.entry!r}")
        if (self.declared_by is None) != (self.to_candidate is None):
            raise PluginError(f"domain {self.name}: declared_by and to_candidate go together")
        if self.declared_by is not None and (
            self.declared_by.form is not Form.DECLARES or self.declared_by.is_async
        ):
            raise PluginError(f"domain {self.name}: {self.declared_by.name} is no sync hook that declares")

    def contract_of(self, name: str) -> type | None:
        """What an instance under *name* has to satisfy; None for any object."""
        return self.categories.get(name, self.contract)
