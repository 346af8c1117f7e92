"""What a command has: its options, the settings, a runtime, and a way to show its answer."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import Options
from .output import aside, facts, longer_than_terminal, mask, paged, paint, plain, table, wants_color

if TYPE_CHECKING:
    from oneiric_hookspecs import Host

    from oneiric.hooks import PluginRecord
    from oneiric.runtime import Runtime
    from oneiric.secrets import Secrets
    from oneiric.settings import Settings


class Context:
    """The ``ctx.obj`` of every command, of kits' too: a ``CommandContext`` of the contract.

    Args:
        words: The command line; what is said there about JSON and debugging holds for errors in it, too.
    """

    def __init__(self, words: Sequence[str] = ()) -> None:
        self.options = Options()
        before = list(words)[: list(words).index("--")] if "--" in words else list(words)
        self.options.json = "--json" in before
        self.options.debug = "--debug" in before
        self.warnings: list[str] = []
        self.terminated = False
        self._settings: Settings | None = None
        self._secrets: Secrets | None = None
        self._aside = 0
        self._at_end: list[Callable[[], object]] = []
        self._write: Callable[[str], object] = getattr(
            sys.stdout, "write", str
        )  # past what keeps stdout free
        self._pending: list[tuple[str, bool]] = []

    # --- what there is -----------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings; bound to what is plugged in, once there was a runtime."""
        if self._settings is None:
            self._settings = self.load()
        return self._settings

    def take(self, settings: Settings) -> None:
        """Go on with *settings* instead of those of the options."""
        self._settings = settings

    def load(self, *files: str, examine: bool = False) -> Settings:
        """The settings of the options; or of *files*, and the options that are about no file.

        Args:
            files: Instead of those of ``--config``.
            examine: Whether what is wrong with them is left to who binds them.
        Raises:
            SettingsError: They cannot be read; or, unless only examined, they are not valid.
        """
        from oneiric.settings import Flag, loading

        options = self.options
        flags = [Flag(f"-p no:{name}", ("plugins", "off"), name) for name in options.off]
        flags += [Flag(f"-p {name}", ("app", "plugins"), name) for name in options.plugins]
        read = loading.examine if examine else loading.load
        return read([*(files or options.config)] or None, profile=options.profile, flags=flags)

    @contextlib.contextmanager
    def assembled(self, *, failures: bool = True) -> Iterator[Runtime]:
        """A runtime of the settings and plugins, not started.

        What anybody prints in the block goes to stderr, and what is shown in it is written at its end.

        Args:
            failures: Whether people are warned of plugins that fail; not where the answer says so itself.
        Raises:
            OneiricError: The settings are not valid; a plugin fails, and it is ``--strict``; or one that is to be left
                out is not there.
        """
        with self.quiet():
            runtime = self._assemble()
            try:
                self._warn_of(runtime, failures=failures or self.options.json)
                yield runtime
            finally:
                runtime.hooks.close()

    @contextlib.asynccontextmanager
    async def host(self, *, brief: bool = True) -> AsyncIterator[Host]:
        """A started runtime of the settings and plugins, closed at the end.

        With ``--json``, what anybody prints in the block goes to stderr.

        What operators want is in force in it: what is pinned, held, paused or drained.
        """
        runtime = self.runtime()
        runtime.brief = brief

        async def restored() -> None:
            from oneiric.orchestrator import restore

            await restore(runtime)

        runtime.first_things.append(restored)
        with self.quiet_for_json():
            async with runtime:
                yield runtime

    def runtime(self) -> Runtime:
        """A runtime of the settings and plugins, assembled and not started; whoever asks closes it."""
        with self.quiet():
            runtime = self._assemble()
        self._warn_of(runtime)
        return runtime

    def _assemble(self) -> Runtime:
        self.log()
        with no_collecting():
            from oneiric.assembly import assemble
            from oneiric.hooks.switching import strict_by_environment

            settings = self.load(examine=True) if self._settings is None else self._settings
            _importable(settings)
            options = self.options
            strict = options.strict or strict_by_environment()
            with self._watched() as watch:
                runtime = assemble(settings, strict=False, watch=watch, began=self._began)
        hooks = runtime.hooks
        for name, near in hooks.unknown(options.off).items():
            from .naming import NoSuch

            there = [near] if near else [record.name for record in hooks.plugins]
            hooks.close()
            raise NoSuch("plugin", name, there)
        failed = next((record for record in hooks.plugins if record.state == "failed"), None)
        if strict and failed is not None:
            from .failures import Failure

            hooks.close()
            raise Failure.of(failed).error(failed)
        self._settings = runtime.settings
        from .completion.index import remember

        remember(runtime, options)
        return runtime

    def _began(self, runtime: Runtime) -> None:
        self._secrets = runtime.secrets

    def _watched(self) -> contextlib.AbstractContextManager[Callable[[PluginRecord], object] | None]:
        """What says on a terminal which plugin is being imported, where that takes long."""
        if self.options.verbosity < 0 or not getattr(sys.stderr, "isatty", lambda: False)():
            return contextlib.nullcontext()
        from .importing import shown

        return shown(sys.stderr)

    def _warn_of(self, runtime: Runtime, *, failures: bool = True) -> None:
        from .failures import Failure

        for record in runtime.hooks.plugins if failures else ():
            if record.state == "failed":
                failure = Failure.of(record)
                self.warn(f"plugin {record.name} failed: {failure.what}{failure.at}", failure.hint)
            for finding in record.findings if record.state == "on" else ():
                self.warn(*str(finding).split("\n", 1))
        for problem in runtime.settings.warnings:
            self.warn(str(problem))

    def log(self) -> None:
        """Log to stderr what ``-v`` asks for; without it nothing but what a store warns of."""
        import logging

        # What is worth a warning is said by ``warn``, once; more of it with -v.
        logging.getLogger("oneiric").addHandler(logging.NullHandler())
        verbosity = self.options.verbosity
        if verbosity:
            if verbosity < 0:
                self._at_end.append(partial(logging.disable, logging.root.manager.disable))
                logging.disable(logging.WARNING)
            elif not logging.root.handlers:
                level = logging.INFO if verbosity == 1 else logging.DEBUG
                from .masking import Masking

                handler = logging.StreamHandler(sys.stderr)
                handler.setFormatter(Masking("%(levelname)s %(name)s: %(message)s", self.masked))
                self._at_end += [
                    partial(logging.root.removeHandler, handler),
                    partial(logging.root.setLevel, logging.root.level),
                ]
                logging.root.addHandler(handler)
                logging.root.setLevel(level)
        else:
            from .masking import Telling

            # That a store was set aside is known to nobody but the store, and the answer is a wrong one without it.
            stores, telling = logging.getLogger("oneiric.plugin.stores"), Telling(self.warn)
            self._at_end.append(partial(stores.removeHandler, telling))
            stores.addHandler(telling)

    def end(self) -> None:
        """Leave logging as it was: a command may be run inside another program, such as a test."""
        while self._at_end:
            self._at_end.pop()()

    @property
    def json(self) -> bool:
        """Whether the answer is to be one JSON object."""
        return self.options.json

    # --- what is shown -----------------------------------------------------------------------------------------

    @property
    def color(self) -> bool:
        """Whether stdout gets colours."""
        return wants_color(self.options.color, sys.stdout)

    @property
    def color_err(self) -> bool:
        """Whether stderr gets colours."""
        return wants_color(self.options.color, sys.stderr)

    def warn(self, text: str, hint: str = "") -> None:
        """Say it on stderr; with ``--json`` it is one of the object's ``warnings``."""
        text, hint = self.masked(text), self.masked(hint)
        text, hints = plain(text), [plain(line) for line in hint.splitlines() if line.strip()]
        self.warnings.append("; ".join([text, *hints]))
        if not self.options.json and self.options.verbosity >= 0:
            word = click.style("warning:", fg="yellow", bold=True) if self.color_err else "warning:"
            for line in (f"{word} {text}", *(f"  {each}" for each in hints)):
                click.echo(line, err=True, color=self.color_err)

    def show(
        self, value: Any, schema: str, human: Callable[[Any], str] | None = None, *, page: bool = False
    ) -> None:
        """Give the command's answer.

        Args:
            value: Plain data: a mapping, or a sequence of mappings.
            schema: Its name, such as ``oneiric/list/1``.
            human: Makes the text for people; None makes a table of a sequence, and lines of a mapping.
            page: Whether a text that is longer than the terminal goes through a pager.
        """
        if self.options.json:
            body = dict(value) if isinstance(value, Mapping) else {"items": list(value)}
            text = json.dumps({"schema": schema, **mask(body, self.masked), "warnings": self.warnings})
        else:
            text = self.masked(human(value) if human is not None else self._usual(value))
        self._pending.append((text, page and not self.options.json))
        if not self._aside:
            self.flush()

    def tell(self, value: Mapping[str, Any], schema: str, text: str) -> None:
        """Give one of several answers, at once: one object in a line with ``--json``, else *text*.

        Args:
            value: Plain data.
            schema: Its name, such as ``oneiric/event-heard/1``.
            text: The same for people.
        """
        line = (
            json.dumps({"schema": schema, **mask(dict(value), self.masked)})
            if self.json
            else self.masked(text)
        )
        if self._aside:
            self._write(line + "\n")
        else:
            click.echo(line, color=self.color)

    def tell_aside(self, text: str) -> None:
        """Say on stderr what goes on, unless people want it quiet; it is no part of the answer."""
        if self.options.verbosity >= 0:
            click.echo(plain(self.masked(text)), err=True)

    def masked(self, text: str) -> str:
        """*text* without the secrets that are known here: whoever made it may have shown one."""
        return text if self._secrets is None else self._secrets.masked(text)

    def flush(self) -> None:
        """Write what was to be shown while stdout was kept free for it."""
        pending, self._pending = self._pending, []
        for text, page in pending:
            if page and not self.options.no_pager and longer_than_terminal(text):
                paged(text, color=self.color)
            else:
                click.echo(text, color=self.color)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]], *, whole: bool = False) -> str:
        """A table as wide as the terminal; see ``output.table``."""
        # Before anything is cut or wrapped: half a secret is not found.
        return table(head, mask(rows, self.masked), color=self.color, whole=whole)

    def facts(self, pairs: Mapping[str, object]) -> str:
        """Names and values."""
        return facts(mask(pairs, self.masked), color=self.color)

    def paint(self, word: str) -> str:
        """A state's word in its colour."""
        return paint(word) if self.color else word

    def _usual(self, value: Any) -> str:
        if isinstance(value, Mapping):
            return self.facts(value)
        rows = list(value)
        head = list(dict.fromkeys(name for row in rows for name in row))
        return self.table(
            [name.upper() for name in head], [[row.get(name, "") for name in head] for row in rows]
        )

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """What anybody prints in this block goes to stderr; what is shown there is written at its end."""
        self._aside += 1
        try:
            with aside() as write:
                if self._aside == 1:
                    self._write = write
                yield
        finally:
            self._aside -= 1
            if not self._aside:
                self.flush()

    def quiet_for_json(self) -> contextlib.AbstractContextManager[None]:
        """The same where the answer is JSON; else people are to see what is printed."""
        return self.quiet() if self.options.json else contextlib.nullcontext()


@contextlib.contextmanager
def no_collecting() -> Iterator[None]:
    """Importing makes much that stays, and nothing to collect: looking for it is a twentieth of a short command."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            # All of it counts as old from now on; else the next look for garbage would go through it.
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def _importable(settings: Settings) -> None:
    """Let an application's modules be found beside its settings: a console script has only its own folder on the path.

    At the end, so that a file there hides nothing that is installed.
    """
    find_beside(Path.cwd() if settings.file is None else settings.file.parent)


def find_beside(folder: Path) -> None:
    """Let modules in *folder* be found, after everything else."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
