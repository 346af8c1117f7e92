"""What belongs to the application and not to a plugin that is being loaded: put back where its import took it.

Importing a plugin is to make functions and classes.  Some set up logging, catch signals or silence every warning
while they are at it, and whoever installed them wonders why his own set-up is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, Self

import attrs

#: The signals by which people and supervisors talk to a process.
_SIGNALS = [
    getattr(signal, name)
    for name in (
        "SIGINT",
        "SIGTERM",
        "SIGHUP",
        "SIGQUIT",
        "SIGUSR1",
        "SIGUSR2",
        "SIGALRM",
        "SIGCHLD",
        "SIGPIPE",
    )
    if hasattr(signal, name)
]


@attrs.frozen
class Surroundings:
    """How things stand before a plugin is loaded.

    Watched: signal handlers, the root logger, filters that concern every warning, the standard streams,
    ``sys.excepthook`` and the working directory.  A filter for warnings of one's own module is nobody else's
    business, and stays.  What an import does to other modules, starts or opens cannot be taken back.
    """

    signals: tuple[Any, ...]
    level: int
    disabled: int
    handlers: tuple[logging.Handler, ...]
    filters: tuple[Any, ...]
    streams: tuple[Any, ...]
    folder: str | None

    @classmethod
    def now(cls) -> Self:
        """As they are."""
        root = logging.getLogger()
        return cls(
            tuple(map(signal.getsignal, _SIGNALS)),
            root.level,
            root.manager.disable,
            tuple(root.handlers),
            tuple(warnings.filters),
            _streams(),
            _folder(),
        )

    def put_back(self) -> list[str]:
        """Undo what was changed since; what that was, in words."""
        return list(self._put_back())

    def _put_back(self) -> Iterator[str]:
        # Only the main thread can set a handler: what has changed in another one was not the plugin.
        mine = threading.current_thread() is threading.main_thread()
        for number, before in zip(_SIGNALS, self.signals, strict=True):
            if mine and signal.getsignal(number) is not before:
                if before is not None:  # None: it was not Python that set it, and Python cannot set it again
                    signal.signal(number, before)
                yield f"the handler of {number.name}"
        root = logging.getLogger()
        if (root.level, root.manager.disable, tuple(root.handlers)) != (
            self.level,
            self.disabled,
            self.handlers,
        ):
            root.setLevel(self.level)
            root.handlers[:] = self.handlers
            logging.disable(self.disabled)
            yield "the root logger"
        if set(filter(_for_all, warnings.filters)) != set(filter(_for_all, self.filters)):
            own = [each for each in warnings.filters if each not in self.filters and not _for_all(each)]
            with (
                warnings.catch_warnings()
            ):  # entering and leaving it tells those who remember what was filtered
                pass
            warnings.filters[:] = [*own, *self.filters]  # type: ignore[index]
            yield "the filter of all warnings"
        if _streams() != self.streams:
            sys.stdout, sys.stderr, sys.stdin, sys.excepthook = self.streams
            yield "the standard streams or sys.excepthook"
        if self.folder is not None and _folder() != self.folder:
            os.chdir(self.folder)
            yield "the working directory"


def _for_all(each: Any) -> bool:
    """Whether a filter is for warnings of every text, category and module."""
    _, message, category, module, line = each
    return message is None and category is Warning and module is None and line == 0


def _streams() -> tuple[Any, ...]:
    return sys.stdout, sys.stderr, sys.stdin, sys.excepthook


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a text to compare
    except OSError:
        return None  # it was removed under us
