"""The hooks of one manager: what is declared, by specification and by name, and who is asked for each."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
import pluggy
from oneiric_hookspecs import Deprecation, Form, PluginError, Spec, a_few, nearest

from . import lint
from .declaring import Declarations, Face
from .faults import Faults
from .records import Impl, PluginRecord
from .relay import Hook

AnySpec = Spec[Any, Any, Any]

_RANK = {"tryfirst": 0, "-": 1, "trylast": 2}


class Catalogue:
    """Hooks, with those who implement them.  Not locked: whoever changes it holds the manager's lock.

    Args:
        prefix: What the names of hooks begin with.
        faults: Where the hooks note what goes wrong.

    Attributes:
        known: What the lint needs to know of them.
        hooks: By specification, ready to be called.
    """

    def __init__(self, prefix: str, faults: Faults) -> None:
        self.known = lint.Known(prefix, {}, {}, {})
        self.hooks: dict[AnySpec, Any] = {}
        self._faults = faults
        self._declared = Declarations(prefix)
        self._impls: dict[str, dict[pluggy.HookImpl, Impl]] = {}

    def learn(
        self,
        given: Iterable[AnySpec],
        removed: Mapping[str, str],
        deprecated_arguments: Mapping[str, Mapping[str, Deprecation]],
        now: Callable[[], float],
        limit: float,
    ) -> dict[AnySpec, Hook[..., Any]]:
        """Know the specifications that are *given*, for the lint; nobody can call them before ``declare``.

        Returns:
            Those that are new, each with its hook.
        Raises:
            PluginError: One cannot be a hook of this manager; nothing was learnt.
        """
        new = self._new(given)
        hooks = {spec: Hook.make(spec, self._faults, now, limit) for spec in new}
        self.known = attrs.evolve(
            self.known,
            specs={**self.known.specs, **{spec.name: spec for spec in new}},
            removed={**self.known.removed, **removed},
            deprecated_arguments={**self.known.deprecated_arguments, **deprecated_arguments},
        )
        return hooks

    def declare(self, hooks: Mapping[AnySpec, Hook[..., Any]]) -> None:
        """From now on *hooks* can be called, and ask those who implemented them before they were declared."""
        self._declared.declare(list(hooks))
        self.hooks.update(hooks)
        for spec in hooks:
            self._plan(spec)

    def named(self, name: str) -> AnySpec:
        """The specification of that name.

        Raises:
            PluginError: There is none.
        """
        try:
            return self.known.specs[name]
        except KeyError:
            raise self.missing(name) from None

    def missing(self, name: object) -> PluginError:
        """The error that there is no such hook."""
        if isinstance(name, str) and name in self.known.specs:
            return PluginError(
                f"{name} is the name of a hook; the key is its specification", hint="or use named(...)"
            )
        near = nearest(str(name), self.known.specs)
        hint = f"did you mean {near}?" if near else f"there are: {a_few(self.known.specs)}"
        return PluginError(f"the manager of {self.known.prefix} has no hook {name}", hint=hint)

    def admit(self, face: Face, name: str) -> None:
        """Let pluggy know *face*, or leave nothing of it behind; nobody asks it before ``ask``.

        Raises:
            pluggy.PluginValidationError: pluggy refuses it.
        """
        self._declared.admit(face, name)

    def ask(self, face: Face) -> None:
        """Ask *face*, which was admitted, for all that it implements."""
        touched = {each.hook for each in face.found} & set(self.known.specs)
        face.record.hooks = tuple(sorted(touched))
        for name in touched:
            self._plan(self.known.specs[name])

    def forget(self, face: Face, record: PluginRecord) -> None:
        """Ask *face* no more."""
        self._declared.unregister(face, record.name)
        for name in record.hooks:
            self._plan(self.known.specs[name])

    def block(self, name: str) -> None:
        """Let pluggy refuse the plugin of that name."""
        self._declared.set_blocked(name)

    def unblock(self, name: str) -> None:
        """Take back ``block``."""
        self._declared.unblock(name)

    def _new(self, given: Iterable[AnySpec]) -> list[AnySpec]:
        """Those of *given* that are not declared yet."""
        start, new = f"{self.known.prefix}_", dict[str, AnySpec]()
        for spec in dict.fromkeys(given):
            if spec in self.hooks:
                continue
            place = lint.where(spec.function)
            if not spec.name.startswith(start):
                raise PluginError(f"the hook {spec.name} does not begin with {start}", where=place)
            other = self.known.specs.get(spec.name) or new.get(spec.name)
            if other is not None:
                hint = f"the other: {lint.where(other.function)}"
                raise PluginError(f"two hooks are named {spec.name}", where=place, hint=hint)
            new[spec.name] = spec
        return list(new.values())

    def _plan(self, spec: AnySpec) -> None:
        impls = self._declared.in_order(spec, self._impls.setdefault(spec.name, {}))
        if spec.form is Form.DECLARES:
            impls.sort(key=lambda impl: (_RANK[impl.mark], impl.record.sequence))
        self.hooks[spec].plan(impls)
        for impl in impls:
            if spec.name not in impl.record.hooks:
                impl.record.hooks = tuple(sorted((*impl.record.hooks, spec.name)))


def specifications(given: Any, prefix: str) -> list[AnySpec]:
    """The specifications that *given* is, or holds: a module, a lone one, or several.

    Raises:
        PluginError: It holds something else, or is a module without any that has the *prefix*.
    """
    if isinstance(given, Spec):
        return [given]
    if inspect.ismodule(given):
        there = [each for each in vars(given).values() if isinstance(each, Spec)]
        found = [spec for spec in there if spec.name.startswith(f"{prefix}_")]
        if not found:
            hint = f"its hooks: {a_few(spec.name for spec in there)}"
            raise PluginError(f"{given.__name__} declares no hook that begins with {prefix}_", hint=hint)
        return found
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise _no_specification(given)
    found = list(given)
    for each in found:
        if not isinstance(each, Spec):
            raise _no_specification(each)
    return found


def _no_specification(given: Any) -> PluginError:
    forms = ", ".join(form.value for form in Form)
    return PluginError(
        f"{getattr(given, '__qualname__', None) or reprlib.repr(given)} is no specification of a hook",
        where=lint.where(given) if inspect.isroutine(given) or inspect.isclass(given) else None,
        hint=f"give a module, or functions that are decorated with one of {forms}",
    )
