"""Executor ``local``: runs go on in this process, on the loop of the runtime."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs
from attrs.validators import optional
from oneiric_hookspecs import Capability, Executing, Executor, Host, PluginContext, hookimpl

from oneiric.plugins._cache import a_count, some_seconds
from oneiric.plugins._sqlite import a_file

from ._memory import Journal, MemoryJournal
from ._running import Local

#: What it can do without a journal, and what it can do with one besides.
ALWAYS: frozenset[Capability] = frozenset({"keys", "cancel"})
WRITTEN: frozenset[Capability] = frozenset({"durable", "resume"})


@attrs.frozen
class Settings:
    """``[plugins.settings."executors.local"]``.

    Args:
        journal: Whether runs are written down; where not, nothing is known of them when the process has ended.
        path: The file they are written to; ``~`` is understood, what is relative is relative to the state directory.
            None is ``runs.db`` there.
        concurrency: How many runs go on at once; more wait for their turn.
        keep_runs: How many runs that have ended are kept, with their keys; the oldest go.
        keep_days: For how many days they are kept.
        busy_timeout: Seconds to wait for another process that writes to the file.
    """

    journal: bool = True
    path: str | None = attrs.field(default=None, validator=optional(a_file))
    concurrency: int = attrs.field(default=100, validator=a_count)
    keep_runs: int = attrs.field(default=10_000, validator=a_count)
    keep_days: float = attrs.field(default=30.0, validator=some_seconds)
    busy_timeout: float = attrs.field(default=5.0, validator=some_seconds)


class Plugin:
    """Declares the executor."""

    Settings = Settings

    def __init__(self, context: PluginContext) -> None:
        self._settings: Settings = context.settings
        self._capabilities = ALWAYS | WRITTEN if self._settings.journal else ALWAYS

    @hookimpl
    def oneiric_executors(self) -> Iterable[Executor]:
        """Declare ``local``."""
        yield Executor("local", self._capabilities, self._start, "in this process")

    def _start(self, host: Host, folder: Path) -> Executing:
        settings = self._settings
        return Local(
            host,
            self._journal(folder),
            capabilities=self._capabilities,
            concurrency=settings.concurrency,
            advice='set journal = true in [plugins.settings."executors.local"]',
        )

    def _journal(self, folder: Path) -> Journal:
        settings = self._settings
        if not settings.journal:
            return MemoryJournal(settings.keep_runs)
        from ._journal import FileJournal  # with SQLite in its train

        path = Path(settings.path).expanduser() if settings.path is not None else Path("runs.db")
        return FileJournal(
            folder / path,
            keep=settings.keep_runs,
            keep_seconds=settings.keep_days * 86_400,
            busy_timeout=settings.busy_timeout,
        )
