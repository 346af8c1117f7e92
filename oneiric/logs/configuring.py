"""Puts sinks in their place, and takes them away again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .facts import Context
from .lines import JsonLines, TextLines

if TYPE_CHECKING:
    from .posting import Secrets

#: Libraries that say what nobody needs to know: each change of a file, even of the one that this is written to.
QUIET = {"watchfiles": "warning", "uvicorn": "warning"}


class Logs:
    """What ``configured`` has put in place.

    Args:
        masked: Takes the secrets out of a text.
        secrets: Who gives the secrets that headers hold.
        context: Gives what is known where something is logged: ``domain``, ``key``, ``provider``, ``operation``.
        folder: What paths of files are relative to; None for the working directory.
    """

    def __init__(
        self,
        *,
        masked: Callable[[str], str] = str,
        secrets: Secrets | None = None,
        context: Callable[[], Mapping[str, str]] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._masked, self._secrets = masked, secrets
        self._folder = Path() if folder is None else folder
        self._context = Context(context)
        self._sinks: dict[str, tuple[Any, logging.Handler]] = {}
        self._levels: dict[str, int] = {}
        self._section: Any = None

    @property
    def node(self) -> str:
        """What this process is called, on every record; empty where it has no name yet."""
        return self._context.node

    @node.setter
    def node(self, name: str) -> None:
        self._context.node = name

    def reconfigure(self, section: Any, *, level: str | None = None) -> None:
        """Take other settings; files are opened anew, as they may have been moved away.

        Records that wait to be sent to an address that stays are sent.

        Args:
            section: ``[logging]``.
            level: The least that is logged, instead of what *section* says.
        Raises:
            SettingsError: A file cannot be written; everything stays as it was.
        """
        kept: dict[str, tuple[Any, logging.Handler]] = {}
        made: dict[str, tuple[Any, logging.Handler]] = {}
        try:
            for name, sink in section.sinks.items():
                wanted = (sink, section.format)
                before = self._sinks.get(name)
                if before is not None and before[0] == wanted and sink.to == "http":
                    kept[name] = before
                else:
                    made[name] = wanted, self._made(name, sink, section.format)
            if not section.sinks:
                made["stderr"] = (None, section.format), self._stream("stderr", "stderr", section.format)
        except BaseException:
            for _, handler in made.values():
                handler.close()
            raise
        root = logging.getLogger()
        gone = [handler for name, (_, handler) in self._sinks.items() if name not in kept]
        for _, handler in made.values():
            root.addHandler(handler)
        for handler in gone:
            root.removeHandler(handler)
        self._sinks = kept | made
        self._section = section
        self._set_levels({"": level or section.level, **QUIET, **section.levels})
        for handler in gone:
            end(handler)  # nobody waits for what it has still to send

    def end(self, seconds: float = 5.0) -> None:
        """Leave logging as it was; what waits to be sent is, within *seconds* for each address."""
        root = logging.getLogger()
        sinks, self._sinks = self._sinks, {}
        for _, handler in sinks.values():
            root.removeHandler(handler)
        self._set_levels({})
        for _, handler in sinks.values():
            end(handler, seconds)

    def _set_levels(self, levels: Mapping[str, str]) -> None:
        for name in self._levels.keys() - levels.keys():
            logging.getLogger(name or None).setLevel(self._levels.pop(name))
        for name, level in levels.items():
            logger = logging.getLogger(name or None)
            self._levels.setdefault(name, logger.level)
            logger.setLevel(level.upper())

    def _made(self, name: str, sink: Any, usual: str) -> logging.Handler:
        handler: logging.Handler
        if sink.to == "http":
            from .posting import HttpSink

            form = sink.format or "json"
            handler = HttpSink(
                name,
                sink.url,
                batch=sink.batch,
                interval=sink.interval,
                queue=sink.queue,
                timeout=sink.timeout,
                headers=sink.headers,
                secrets=self._secrets,
                content_type="application/x-ndjson" if form == "json" else "text/plain; charset=utf-8",
            )
        elif sink.to == "file":
            from .sinks import FileSink

            form = sink.format or usual
            handler = FileSink(name, self._folder / sink.path, sink.max_bytes, sink.backups)
        else:
            return self._stream(name, sink.to, sink.format or usual, sink.level)
        return self._dressed(handler, form, sink.level)

    def _stream(self, name: str, to: str, form: str, level: str | None = None) -> logging.Handler:
        from .sinks import StreamSink

        return self._dressed(StreamSink(name, to), form, level)

    def _dressed(self, handler: logging.Handler, form: str, level: str | None) -> logging.Handler:
        handler.setFormatter((JsonLines if form == "json" else TextLines)(self._masked))
        handler.addFilter(self._context)
        if level is not None:
            handler.setLevel(level.upper())
        return handler


def end(handler: logging.Handler, seconds: float | None = None) -> None:
    """Close a sink; one that has to send records is waited for *seconds*, or not at all."""
    sending = getattr(handler, "end", None)
    if sending is None:
        handler.close()
    elif seconds is None:
        sending()
    else:
        handler.close(seconds)  # type: ignore[call-arg]


@contextlib.contextmanager
def configured(
    section: Any,
    *,
    masked: Callable[[str], str] = str,
    secrets: Secrets | None = None,
    context: Callable[[], Mapping[str, str]] | None = None,
    folder: Path | None = None,
    level: str | None = None,
) -> Iterator[Logs]:
    """Log as ``[logging]`` says in this block; everything is as before after it.

    For a process that is the framework's own: it adds handlers to the root logger, and sets levels.  Handlers that
    are there stay.

    Args:
        section: ``[logging]``.
        masked: Takes the secrets out of a text.
        secrets: Who gives the secrets that headers hold, on the loop that runs here.
        context: Gives what is known where something is logged: ``domain``, ``key``, ``provider``, ``operation``.
        folder: What paths of files are relative to; None for the working directory.
        level: The least that is logged, instead of what *section* says.
    Yields:
        What takes other settings, and the name of the node.
    Raises:
        SettingsError: A file cannot be written.
    """
    logs = Logs(masked=masked, secrets=secrets, context=context, folder=folder)
    logs.reconfigure(section, level=level)
    try:
        yield logs
    finally:
        logs.end()
