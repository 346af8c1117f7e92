"""What is known of a part that failed by itself."""

from __future__ import annotations

import asyncio

import attrs
from oneiric_hookspecs import (
    Candidate,
    Failure,
    Identity,
    Key,
    OneiricError,
    Permanent,
    PluginError,
    ResolutionError,
    RestartPolicy,
    SettingsError,
)

from oneiric.activation import Generation

#: How many failures are remembered; more would say no more.
REMEMBERED = 100


@attrs.define(eq=False)
class Trouble:
    """One part that failed, from its first failure until it has been up for long enough.

    Attributes:
        failures: Since counting began, oldest first.
        generation: What failed and is still bound; None where nothing is.
        exhausted: Whether it was given up, or is only tried slowly.
        given_up: Why it is left as it is; empty where it is not.
        owed: A failure that is not decided about yet, because an operator holds the part.
        due: Whether it is to be started, as soon as that may be.
        timer: What will start it.
        at: When it will.
        up: Since when it is up again; None while it is not.
        against: Who won when it failed, and the settings that were written for that one.
        policy: What its restarts go by.
    """

    key: Key
    failures: list[Failure] = attrs.field(factory=list)
    generation: Generation | None = None
    exhausted: bool = False
    given_up: str = ""
    owed: Failure | None = None
    due: bool = False
    timer: asyncio.TimerHandle | None = None
    at: float | None = None
    up: float | None = None
    against: Candidate | None = None
    written: str = ""
    policy: RestartPolicy | None = None

    @property
    def waits(self) -> bool:
        """Whether something is still to be done about it, or was given up."""
        return self.up is None

    @property
    def worn_out(self) -> bool:
        """Whether starting it again was tried, and could have helped."""
        return len(self.failures) > 1 and not self.failures[-1].permanent

    def remember(self, failure: Failure) -> None:
        """One more failure."""
        self.failures.append(failure)
        del self.failures[:-REMEMBERED]
        self.up = None

    def anew(self) -> None:
        """Begin to count anew."""
        self.failures.clear()
        self.exhausted, self.given_up, self.owed = False, "", None

    def stop(self) -> None:
        """Let no timer start it."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer, self.at, self.due = None, None, False


@attrs.define(eq=False)
class Fallen:
    """A candidate that another one stands in for.

    Attributes:
        identity: What is left out.
        due: Whether it is to be tried again, as soon as that may be.
    """

    identity: Identity
    due: bool = False


def reason_of(error: OneiricError) -> str:
    """Why it did not come up, in a sentence."""
    why = getattr(error, "reason", None) or str(error).splitlines()[0]
    return f"it did not come up: {why}"


def is_permanent(error: OneiricError) -> bool:
    """Whether trying again cannot help before something is changed."""
    if isinstance(error, Permanent | ResolutionError | PluginError | SettingsError):
        return True
    return isinstance(error.__cause__, PermissionError)
