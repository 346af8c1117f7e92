"""What a command has: its options, the settings, a runtime, and a way to show its answer."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .options import Options
from .output import aside, facts, paint, plain, table, wants_color

if TYPE_CHECKING:
    from oneiric_hookspecs import Host

    from oneiric.runtime import Runtime
    from oneiric.settings import Settings


class Context:
    """The ``ctx.obj`` of every command, of kits' too.

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
        """A runtime of the settings and plugins, not started.  What anybody prints in the block goes to stderr.

        Raises:
            OneiricError: The settings are not valid; a plugin fails, with ``--strict``; or one to be left out is not there.
        """
        with self.quiet():
            runtime = self._assemble(strict=self.options.strict)
            try:
                self._warn_of(runtime)
                yield runtime
            finally:
                runtime.hooks.close()

    @contextlib.asynccontextmanager
    async def host(self) -> AsyncIterator[Host]:
        """A started runtime of the settings and plugins, closed at the end.  With ``--json`` what is printed goes to stderr."""
        with contextlib.ExitStack() as stack:
            loading = stack.enter_context(contextlib.ExitStack())
            loading.enter_context(self.quiet())
            if self.options.json:
                stack.push(loading.pop_all())
            with loading:
                runtime = self._assemble(strict=self.options.strict)
            self._warn_of(runtime)
            async with runtime:
                yield runtime

    def _assemble(self, *, strict: bool) -> Runtime:
        from oneiric.assembly import assemble

        self._log()
        settings = self.settings
        _importable(settings)
        options = self.options
        runtime = assemble(settings, off=options.off, load_plugins=options.plugins, strict=strict)
        for name, near in runtime.hooks.unknown(options.off).items():
            from .naming import NoSuch

            runtime.hooks.close()
            raise NoSuch("plugin", name, [near] if near else [record.name for record in runtime.hooks.plugins])
        self._settings = runtime.settings
        return runtime

    def _warn_of(self, runtime: Runtime) -> None:
        hooks = runtime.hooks
        for record in hooks.plugins:
            if record.state == "failed":
                place = f" ({record.where})" if record.where else ""
                self.warn(f"plugin {record.name} failed: {record.reason}{place}")
        for name, near in hooks.unknown(runtime.settings.plugins.off).items():
            meant = f"; did you mean {near}?" if near else ""
            self.warn(f"[plugins] off names {name}, which is not there{meant}")
        for problem in runtime.settings.warnings:
            self.warn(str(problem))

    def _log(self) -> None:
        verbosity = self.options.verbosity
        if verbosity:
            import logging

            if verbosity < 0:
                logging.disable(logging.WARNING)
            else:
                level = logging.INFO if verbosity == 1 else logging.DEBUG
                logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname)s %(name)s: %(message)s")

    # --- what is shown -----------------------------------------------------------------------------------------

    @property
    def color(self) -> bool:
        """Whether stdout gets colours."""
        return wants_color(self.options.color, sys.stdout)

    @property
    def color_err(self) -> bool:
        """Whether stderr gets colours."""
        return wants_color(self.options.color, sys.stderr)

    def warn(self, text: str) -> None:
        """Say it on stderr; with ``--json`` it is one of the object's ``warnings``."""
        self.warnings.append(plain(text))
        if not self.options.json and self.options.verbosity >= 0:
            word = click.style("warning:", fg="yellow", bold=True) if self.color_err else "warning:"
            print(f"{word} {plain(text)}", file=sys.stderr)

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

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
        """A table as wide as the terminal."""
        return table(head, rows, color=self.color)

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
        return self.table([name.upper() for name in head], [[row.get(name, "") for name in head] for row in rows])

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


def _importable(settings: Settings) -> None:
    """Let an application's modules be found beside its settings: a console script has only its own folder on the path.

    At the end, so that a file there hides nothing that is installed.
    """
    folder = os.getcwd() if settings.file is None else str(settings.file.parent)
    if folder not in sys.path:
        sys.path.append(folder)
