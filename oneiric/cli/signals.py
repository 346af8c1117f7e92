"""SIGTERM ends a command as Ctrl-C does: what is open is closed, and what was made for a while is removed."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .context import Context


@contextlib.contextmanager
def terminable(context: Context) -> Iterator[None]:
    """Let SIGTERM, in this block, do what SIGINT would do; ``context.terminated`` says afterwards which it was.

    A command that handles SIGTERM itself does so; and where whoever embeds the command line does, nothing is changed.
    """
    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        context.terminated = True
        # While a loop runs, this is asyncio's: it cancels the main task, and lets it finish.
        interrupt = signal.getsignal(signal.SIGINT)
        if callable(interrupt):
            interrupt(signal.SIGINT, frame)
        else:  # ignored, as in what a shell runs in the background
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
