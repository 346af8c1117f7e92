"""What may go wrong, by what a caller can do about it."""

from __future__ import annotations

import errno


class HttpError(OSError):
    """Something went wrong on the way; never raised itself.

    Attributes:
        setting: The field of the policy that decides about it; None for none.
        attempts: How often it was tried.
    """

    setting: str | None = None
    attempts: int = 0

    def __init__(self, message: str, *, setting: str | None = None) -> None:
        super().__init__(message)
        self.setting = setting


class Refused(HttpError, PermissionError):
    """The policy forbids it; nothing was sent to whom it forbids."""


class Unreachable(HttpError, ConnectionError):
    """There was no answer, or none that can be understood."""


class TookTooLong(HttpError, TimeoutError):
    """The time is up."""

    def __init__(self, message: str) -> None:
        super().__init__(message, setting="timeout")


class TooLarge(HttpError):
    """The body is larger than it may be; its ``errno`` is ``EFBIG``."""

    def __init__(self, message: str) -> None:
        super().__init__(message, setting="max_bytes")
        self.errno = errno.EFBIG


class Unfit(ValueError):
    """What was to be sent cannot be.

    Args:
        field: Which part of it: ``url``, ``headers``, ``method``.
        message: What is wrong with it.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field, self.message = field, message
