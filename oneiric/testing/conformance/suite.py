"""The rules as a class of tests."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from oneiric_hookspecs import Candidate

from . import declaring, distributing, importing, living, shapes
from .kit import Kit
from .outcome import Rule, held
from .places import nearer


class KitConformance:
    """What every kit promises, as tests; subclass it and say which::

        import oneiric_hello
        from oneiric.testing import KitConformance

        class TestHello(KitConformance):
            plugin = oneiric_hello

    Attributes:
        plugin: The module, class or object with the hook implementations; a module whose entry point names a class in
            it stands for that class.
        settings: As in a settings file, for the candidates that have settings without a default.
        plugins: Other plugins that it needs beside it.
        environment: Variables to be set meanwhile.
        allow: Top-level modules that importing it may load, besides the contract's.
        timeout: Seconds that each scenario may take.
    """

    plugin: Any  # no ClassVar: mypy would not have a module in its place
    settings: ClassVar[Mapping[str, Any]] = {}
    plugins: ClassVar[Iterable[Any]] = ()
    environment: ClassVar[Mapping[str, str]] = {}
    allow: ClassVar[Iterable[str]] = ()
    timeout: ClassVar[float] = 30.0
    _made: ClassVar[tuple[Any, Kit]]

    @classmethod
    def kit(cls) -> Kit:
        """What is tested, and with what; the same for all tests, until one of the attributes is another."""
        if not hasattr(cls, "plugin"):
            raise TypeError(f"{cls.__name__} does not say which plugin: write `plugin = module` in it")
        given = (cls.plugin, cls.settings, tuple(cls.plugins), cls.environment, tuple(cls.allow), cls.timeout)
        if "_made" not in cls.__dict__ or cls._made[0] != given:
            plugin, settings, plugins, environment, allow, timeout = given
            kit = Kit.of(
                plugin,
                settings=copy.deepcopy(settings),
                plugins=plugins,
                environment=environment,
                allow=allow,
                timeout=timeout,
            )
            # A copy, since a fixture may change the settings in place.
            cls._made = ((plugin, kit.settings, plugins, dict(environment), allow, timeout), kit)
        return cls._made[1]

    @classmethod
    def pytest_generate_tests(cls, metafunc: Any) -> None:
        """One test for each candidate; pytest calls this when it collects."""
        if "candidate" in metafunc.fixturenames:
            found = cls.kit().candidates
            ids = [f"{each.key}-{each.provider}" for each in found]
            metafunc.parametrize("candidate", found or [None], ids=ids or ["none"])

    def _hold(self, check: Any, candidate: Candidate | None = None) -> None:
        import pytest

        outcome = held(Rule(check.__name__, check), self.kit(), candidate)
        if outcome.outcome == "skipped":
            pytest.skip(outcome.reason)
        if outcome.broken:
            lines = []
            for each in outcome.broken:
                place = nearer(each.where)
                lines.append(f"{place}: {each.what}" if place else each.what)
                lines += [f"  {each.hint}"] if each.hint else []
            promise = " ".join((check.__doc__ or "").split())
            pytest.fail("\n".join([*lines, f"broken: {promise}"]), pytrace=False)

    def _hold_each(self, check: Any, candidate: Candidate | None) -> None:
        if candidate is None:
            import pytest

            pytest.skip("it declares no candidate, or does not register")
        self._hold(check, candidate)

    # --- importing it --------------------------------------------------------------------------------------------

    def test_imports_lightly(self) -> None:
        """Importing the plugin loads the contract and itself, and no client library."""
        self._hold(importing.imports_lightly)

    def test_importing_does_nothing(self) -> None:
        """Importing the plugin changes nothing: no thread, no logging, no signal, no variable, no output."""
        self._hold(importing.importing_does_nothing)

    def test_leaves_the_kernel_alone(self) -> None:
        """The kit imports the contract, never the kernel."""
        self._hold(importing.leaves_the_kernel_alone)

    # --- what it declares ----------------------------------------------------------------------------------------

    def test_hooks(self) -> None:
        """The lint finds nothing, neither an error nor a warning."""
        self._hold(declaring.hooks)

    def test_registers(self) -> None:
        """A runtime takes it in, with everything it declares and the settings it is tested with."""
        self._hold(declaring.registers)

    def test_declares_the_same_twice(self) -> None:
        """Asked again, in the same runtime or another one, it declares equal things."""
        self._hold(declaring.declares_the_same_twice)

    def test_says_what_it_is(self) -> None:
        """Everything it declares has a summary, in one line."""
        self._hold(declaring.says_what_it_is)

    def test_needs_make_sense(self) -> None:
        """What a candidate needs, its factory takes; and what has to be installed, its distribution requires."""
        self._hold(declaring.needs_make_sense)

    # --- settings and requests -----------------------------------------------------------------------------------

    def test_settings_are_strict(self) -> None:
        """Settings come back from plain data as they were, defaults fit their types, and nothing passes unread."""
        self._hold(shapes.settings_are_strict)

    def test_schemas_can_be_made(self) -> None:
        """A JSON Schema can be made of every settings class, and of what every action takes and gives."""
        self._hold(shapes.schemas_can_be_made)

    def test_secrets_stay_hidden(self) -> None:
        """No secret shows in the representation of settings or requests."""
        self._hold(shapes.secrets_stay_hidden)

    def test_actions_refuse_bad_requests(self) -> None:
        """A request that does not fit is refused before the action runs."""
        self._hold(shapes.actions_refuse_bad_requests)

    # --- the life of each candidate ------------------------------------------------------------------------------

    def test_comes_up(self, candidate: Candidate) -> None:
        """It comes up with its settings, and can be used."""
        self._hold_each(living.comes_up, candidate)

    def test_satisfies_its_contract(self, candidate: Candidate) -> None:
        """What it makes has the methods that its key promises, called in the same way."""
        self._hold_each(living.satisfies_its_contract, candidate)

    def test_is_well(self, candidate: Candidate) -> None:
        """Its probes pass when it has come up."""
        self._hold_each(living.is_well, candidate)

    def test_leaves_nothing(self, candidate: Candidate) -> None:
        """Closing it ends well, and leaves no task, no thread and no open file."""
        self._hold_each(living.leaves_nothing, candidate)

    def test_is_swapped(self, candidate: Candidate) -> None:
        """It is swapped for another and rolled back to while it is used, and no call fails."""
        self._hold_each(living.is_swapped, candidate)

    def test_survives_cancellation(self, candidate: Candidate) -> None:
        """Cancelled at any step of coming up, it leaves nothing, and comes up the next time."""
        self._hold_each(living.survives_cancellation, candidate)

    # --- its distribution ----------------------------------------------------------------------------------------

    def test_names_agree(self) -> None:
        """Distribution, import package and entry point are one name, spelled in three ways."""
        self._hold(distributing.names_agree)

    def test_is_typed(self) -> None:
        """Its package says that it has types: there is a ``py.typed``."""
        self._hold(distributing.is_typed)

    def test_requires_the_contract(self) -> None:
        """It requires ``oneiric-hookspecs>=1.0,<2``, and not the kernel."""
        self._hold(distributing.requires_the_contract)
