"""What becomes of log lines; apart from the rest, as not every command logs."""

from __future__ import annotations

import logging
from collections.abc import Callable


class Masking(logging.Formatter):
    """Formats log lines, with their tracebacks, and masks them.

    Args:
        form: As of ``logging.Formatter``.
        masked: What masks a text.
    """

    def __init__(self, form: str, masked: Callable[[str], str]) -> None:
        super().__init__(form)
        self._masked = masked

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return self._masked(super().format(record))


class Telling(logging.Handler):
    """Says what is logged as a warning of the command.

    Args:
        warn: Called with the first line, and with the others.
    """

    def __init__(self, warn: Callable[[str, str], object]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        first, _, more = record.getMessage().partition("\n")
        self._warn(first, more)
