"""What is looked at: the settings, the plugins and the installation, as far as they can be had."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import OneiricError, PluginError, Problem, SettingsError

from oneiric.cli.context import Context, find_beside, no_collecting
from oneiric.hooks.refusals import culprit

from .preflight import Crash, fly

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from oneiric_hookspecs import Decision

    from oneiric.runtime import Runtime
    from oneiric.settings import Settings


class Patient:
    """One application, looked at by many checks; what takes its time is done once.

    Args:
        context: The command's.
        timeout: Seconds that loading the plugins may take.

    Attributes:
        problems: Everything that is wrong with the settings.
        crashes: Plugins that end or hang whatever process imports them; they were left out.
        damaged: What is wrong with the ``plugins.toml`` of operators; empty if nothing is.
        refusal: Why there is no runtime of the application's own plugins; None where there is.
    """

    def __init__(self, context: Context, timeout: float) -> None:
        self.context, self.timeout = context, timeout
        self.problems: list[Problem] = []
        self.crashes: list[Crash] = []
        self.damaged: tuple[Problem, ...] = ()
        self.refusal: OneiricError | None = None
        self.settings = self._read()
        self.runtime = self._assembled()

    def close(self) -> None:
        """Let the plugins go."""
        self.runtime.hooks.close()

    # --- what there is -----------------------------------------------------------------------------------------

    @property
    def records(self) -> tuple[Any, ...]:
        """Every plugin."""
        return tuple(self.runtime.hooks.plugins)

    @functools.cached_property
    def decisions(self) -> list[Decision]:
        """Who fills each key."""
        from oneiric_hookspecs import Request

        snapshot = self.runtime.snapshot
        return [snapshot.decide(Request(key)) for key in tuple(snapshot.keys())]

    @functools.cached_property
    def distributions(self) -> list[Distribution]:
        """Every distribution of ``sys.path``, those that are hidden by others too."""
        from importlib.metadata import distributions

        return list(distributions())

    @functools.cached_property
    def installed(self) -> Mapping[str, Distribution]:
        """Those that count, by name as packaging compares it."""
        from oneiric.installed import name_and_version

        found: dict[str, Distribution] = {}
        for each in self.distributions:
            found.setdefault(name_and_version(each)[0], each)
        return found

    # --- having it ---------------------------------------------------------------------------------------------

    def _read(self) -> Settings:
        from oneiric.settings import Settings

        try:
            return self.context.load(examine=True)
        except SettingsError as error:
            self.problems = list(error.problems)
        # Nobody knows what would have been left out: what is installed is not touched.
        settings = Settings()
        return attrs.evolve(settings, plugins=attrs.evolve(settings.plugins, auto_load=False))

    def _assembled(self) -> Runtime:
        settings = self._with_readable_switches(self.settings)
        find_beside(Path.cwd() if settings.file is None else settings.file.parent)
        off: dict[str, str] = {}
        # Where not even a temporary file can be made, they are loaded unseen.
        with contextlib.suppress(OSError):
            self.crashes += fly(settings, self.context, self.timeout)
        for crash in self.crashes:
            if crash.plugin:
                off[crash.plugin] = "doctor, for it ends or hangs its process"
            else:
                settings = _alone(settings)
        for lesser in _lesser(settings):
            try:
                return _assemble(lesser, off)
            except SettingsError as error:
                self.problems += [each for each in error.problems if each not in self.problems]
            except OneiricError as error:
                self.refusal = self.refusal or error
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
                self.refusal = self.refusal or PluginError(text, where=culprit(error))
        raise AssertionError("without settings and plugins there is a runtime")

    def _with_readable_switches(self, settings: Settings) -> Settings:
        """*settings*; if nobody knows what operators have switched off, such as load nothing."""
        from oneiric.hooks.switching import operators

        try:
            operators(settings).read()
        except SettingsError as error:
            self.damaged = tuple(error.problems)
        except OneiricError as error:
            self.damaged = (Problem("", error.message, error.where, error.hint),)
        if not self.damaged:
            return settings
        # A place where there is no such file.
        elsewhere = attrs.evolve(settings.app, state_dir=Path(os.devnull, "nowhere"), plugins=())
        return attrs.evolve(_alone(settings), app=elsewhere)


def _assemble(settings: Settings, off: Mapping[str, str]) -> Runtime:
    from oneiric.assembly import assemble

    with no_collecting():
        return assemble(settings, off=off, strict=False)


def _alone(settings: Settings) -> Settings:
    """*settings*, with nothing that is not built in."""
    plugins = attrs.evolve(settings.plugins, auto_load=False, only=None)
    return attrs.evolve(settings, plugins=plugins, app=attrs.evolve(settings.app, plugins=()))


def _lesser(settings: Settings) -> Iterator[Settings]:
    """*settings*, and less and less of them, so that one problem does not hide what else there is to be seen."""
    from oneiric.assembly import BUILTINS
    from oneiric.installed import alike
    from oneiric.settings import Settings

    yield settings
    less = settings.without_domains()
    yield less
    guards = {alike(name) for name, always in BUILTINS.items() if always}
    off = tuple(name for name in less.plugins.off if alike(name) not in guards)
    plain = attrs.evolve(less, plugins=attrs.evolve(less.plugins, off=off, settings={}), secrets={})
    yield plain
    nowhere = Path(os.devnull, "nowhere")
    yield _alone(attrs.evolve(Settings(), app=attrs.evolve(Settings().app, state_dir=nowhere)))
