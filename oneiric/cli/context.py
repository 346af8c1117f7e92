"""What a command has: its options, the settings, a runtime, and a way to show its answer."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import Options
from .output import aside, facts, paint, plain, table, wants_color

if TYPE_CHECKING:
    from oneiric_hookspecs import Host

    from oneiric.runtime import Runtime
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
        self._settings: Settings | None = None
        self._aside = 0
        self._pending: list[str] = []

    # --- what there is -----------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings; bound to what is plugged in, once there was a runtime."""
        if self._settings is None:
            from oneiric.settings import load

            self._settings = load(self.options.config)
        return self._settings

    @contextlib.contextmanager
    def assembled(self) -> Iterator[Runtime]:
        """A runtime of the settings and plugins, not started.

        What anybody prints in the block goes to stderr, and what is shown in it is written at its end.

        Raises:
            OneiricError: The settings are not valid; a plugin fails, and it is ``--strict``; or one that is to be left
                out is not there.
        """
        with self.quiet():
            runtime = self._assemble()
            try:
                self._warn_of(runtime)
                yield runtime
            finally:
                runtime.hooks.close()

    @contextlib.asynccontextmanager
    async def host(self) -> AsyncIterator[Host]:
        """A started runtime of the settings and plugins, closed at the end.

        With ``--json``, what anybody prints in the block goes to stderr.
        """
        with self.quiet():
            runtime = self._assemble()
        self._warn_of(runtime)
        with self.quiet_for_json():
            async with runtime:
                yield runtime

    def _assemble(self) -> Runtime:
        self._log()
        with no_collecting():
            from oneiric.assembly import assemble

            settings = self.settings
            _importable(settings)
            options = self.options
            runtime = assemble(settings, off=options.off, load_plugins=options.plugins)
        hooks = runtime.hooks
        for name, near in hooks.unknown(options.off).items():
            from .naming import NoSuch

            there = [near] if near else [record.name for record in hooks.plugins]
            hooks.close()
            raise NoSuch("plugin", name, there)
        failed = next((record for record in hooks.plugins if record.state == "failed"), None)
        if options.strict and failed is not None:
            from .failures import Failure

            hooks.close()
            raise Failure.of(failed).error(failed)
        self._settings = runtime.settings
        return runtime

    def _warn_of(self, runtime: Runtime) -> None:
        from .failures import Failure

        for record in runtime.hooks.plugins:
            if record.state == "failed":
                failure = Failure.of(record)
                self.warn(f"plugin {record.name} failed: {failure.what}{failure.at}", failure.hint)
            for finding in record.findings if record.state == "on" else ():
                self.warn(*str(finding).split("\n", 1))
        for problem in runtime.settings.warnings:
            self.warn(str(problem))

    def _log(self) -> None:
        import logging

        # What is worth a warning is said by ``warn``, once; more of it with -v.
        logging.getLogger("oneiric").addHandler(logging.NullHandler())
        verbosity = self.options.verbosity
        if verbosity:
            if verbosity < 0:
                logging.disable(logging.WARNING)
            else:
                level = logging.INFO if verbosity == 1 else logging.DEBUG
                logging.basicConfig(
                    stream=sys.stderr, level=level, format="%(levelname)s %(name)s: %(message)s"
                )

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
        text, hints = plain(text), [plain(line) for line in hint.splitlines() if line.strip()]
        self.warnings.append("; ".join([text, *hints]))
        if not self.options.json and self.options.verbosity >= 0:
            word = click.style("warning:", fg="yellow", bold=True) if self.color_err else "warning:"
            for line in (f"{word} {text}", *(f"  {each}" for each in hints)):
                click.echo(line, err=True, color=self.color_err)

    def show(self, value: Any, schema: str, human: Callable[[Any], str] | None = None) -> None:
        """Give the command's answer.

        Args:
            value: Plain data: a mapping, or a sequence of mappings.
            schema: Its name, such as ``oneiric/list/1``.
            human: Makes the text for people; None makes a table of a sequence, and lines of a mapping.
        """
        if self.options.json:
            body = dict(value) if isinstance(value, Mapping) else {"items": list(value)}
            text = json.dumps({"schema": schema, **body, "warnings": self.warnings})
        elif human is not None:
            text = human(value)
        else:
            text = self._usual(value)
        self._pending.append(text)
        if not self._aside:
            self.flush()

    def flush(self) -> None:
        """Write what was to be shown while stdout was kept free for it."""
        pending, self._pending = self._pending, []
        for text in pending:
            click.echo(text, color=self.color)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]], *, whole: bool = False) -> str:
        """A table as wide as the terminal; see ``output.table``."""
        return table(head, rows, color=self.color, whole=whole)

    def facts(self, pairs: Mapping[str, object]) -> str:
        """Names and values."""
        return facts(pairs, color=self.color)

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
            with aside():
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
