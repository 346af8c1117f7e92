"""What is left to pluggy: declaration, validation, order, blocking."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pluggy
from oneiric_hookspecs import Spec

from .dispatch import adapt
from .lint import Found
from .records import Impl, Mark, PluginRecord

_SPEC: pluggy.HookspecOpts = {
    "firstresult": False,
    "historic": False,
    "warn_on_impl": None,
    "warn_on_impl_args": None,
}


class Face:
    """The one thing of a plugin that pluggy sees: the functions that were found in it.

    So pluggy neither reads a plugin's properties, nor compares plugins, nor asks whether one is true.
    """

    def __init__(self, record: PluginRecord, found: list[Found]) -> None:
        self.record, self.found = record, found
        self.options = {each.attribute: each.options for each in found}
        vars(self).update({each.attribute: each.function for each in found})

    def __dir__(self) -> list[str]:
        return list(self.options)


class Declarations(pluggy.PluginManager):
    """pluggy, given our specifications, which are objects, and one marker for all prefixes."""

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> pluggy.HookspecOpts | None:
        """Every name of the namespace made by ``declare`` is a specification."""
        return _SPEC.copy() if name in vars(module_or_class) else None

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        """What the marker said; a copy, for pluggy completes it."""
        face: Face = plugin
        options = face.options[name]
        return None if options is None else options.copy()

    def declare(self, specs: list[Spec[Any, Any, Any]]) -> None:
        """Add *specs*; of no effect where there are none."""
        if specs:
            # Without defaults, for pluggy 1.6 takes an argument that has one for none of the specification's.
            plain = {spec.name: eval(f"lambda {', '.join(spec.arguments)}: None") for spec in specs}  # noqa: S307
            namespace: Any = SimpleNamespace(**plain)
            self.add_hookspecs(namespace)

    def admit(self, face: Face, name: str) -> None:
        """Register *face*, or leave nothing of it behind.

        Raises:
            pluggy.PluginValidationError: pluggy refuses it.
        """
        try:
            self.register(face, name)
        except BaseException:
            # 1.6 leaves what was added before the error; 1.7 and newer leave nothing.
            if (
                self.get_plugin(name) is face
            ):  # pragma: no cover - the tests are run with 1.6 by `tox -e compat`
                self.unregister(face, name)
            raise

    def in_order(self, spec: Spec[Any, Any, Any], known: dict[pluggy.HookImpl, Impl]) -> list[Impl]:
        """The implementations of *spec*, as pluggy would ask them: newest first.

        Args:
            spec: A declared specification.
            known: Those made before, which keep what is known of them; replaced by those there are now.
        """
        found = list(reversed(getattr(self.hook, spec.name).get_hookimpls()))
        now = {impl: known.get(impl) or _impl(spec, impl) for impl in found}
        known.clear()
        known.update(now)
        return list(now.values())


def _impl(spec: Spec[Any, Any, Any], impl: pluggy.HookImpl) -> Impl:
    face: Any = impl.plugin
    mark: Mark = "tryfirst" if impl.tryfirst else "trylast" if impl.trylast else "-"
    # pluggy 1.6 puts an argument with a default into kwargnames and then never passes it; we pass both.
    ask = adapt(impl.function, spec.arguments, impl.argnames, impl.kwargnames)
    return Impl(impl.plugin_name, impl.function, face.record, mark, spec.name, ask)
