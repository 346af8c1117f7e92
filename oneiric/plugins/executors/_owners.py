"""Which processes live: each holds a lock, and the system lets go of it when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import weakref
from pathlib import Path

_held: weakref.WeakSet[Owner] = weakref.WeakSet()


class Owner:
    """This process, as others see it; one of several where a process has several runtimes.

    A process's number would not do: another process may have it tomorrow.

    Args:
        folder: Where the locks are; it is made with the first.

    Attributes:
        token: What others ask for.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.token = f"{os.getpid()}-{os.urandom(8).hex()}"
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Be seen to live from now on; a second time does nothing.  Raises: OSError."""
        if self._descriptor is not None:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        path = self._folder / self.token
        while True:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # Between the two lines above somebody may have taken it for a dead one's.
                if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):
                    break
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        self._descriptor = descriptor
        _let_children_go()
        _held.add(self)

    def lives(self, token: str | None) -> bool:
        """Whether who has that token does; this one too, as long as it holds."""
        if token == self.token:
            return self._descriptor is not None
        return token is not None and _lives(self._folder / token)

    def release(self) -> None:
        """Be gone."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # whoever looks finds that nobody holds it
            (self._folder / self.token).unlink()
        self.forget()

    def forget(self) -> None:
        """Close the file, without a word to others: of a child that was forked the lock is not its own."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what those left who were killed."""
        for path in self._folder.iterdir():
            _lives(path)


def _lives(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look at once do not take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)


@functools.cache
def _let_children_go() -> None:
    """See to it that a forked child does not keep its parent's locks when the parent has ended."""

    def forget() -> None:
        for owner in list(_held):
            owner.forget()

    os.register_at_fork(after_in_child=forget)
