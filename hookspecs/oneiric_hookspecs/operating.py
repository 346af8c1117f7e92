"""Values of a process that keeps going: what operators impose, what is done about failures, what it serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import attrs

from .errors import PluginError
from .health import Health
from .keys import Key

#: What an operator may impose on a part, the strongest last.
Mode: TypeAlias = Literal["hold", "pause", "drain"]
MODES: tuple[Mode, ...] = ("hold", "pause", "drain")


@attrs.frozen
class Activity:
    """What an operator has imposed on a part, as it is in force.

    Args:
        mode: The strongest of its own and its domain's; None where nothing is imposed.
        actor: Who did; empty where nobody in particular.
        reason: Why, in that one's words.
        since: Seconds since 1970.
        until: When it ends by itself, in seconds since 1970; None for never.
        drained: Whether it was drained, and everything of it is closed.
        left: Who still had it when it was drained, and lost it: names of tasks and threads.
    """

    mode: Mode | None = None
    actor: str = ""
    reason: str = ""
    since: float = 0.0
    until: float | None = None
    drained: bool = False
    left: tuple[str, ...] = ()


@attrs.frozen
class DrainReport:
    """What came of draining one part.

    Args:
        key: Which.
        finished: Whether its last user had gone before it was closed.
        seconds: How long that took.
        left: Who still had it when it was closed over their heads: names of tasks and threads.
        provider: What served; None where nothing did.
    """

    key: Key
    finished: bool
    seconds: float
    left: tuple[str, ...] = ()
    provider: str | None = None


# --- what is done about failures ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class RestartPolicy:
    """When something that failed is started again.

    Args:
        mode: ``permanent``: whenever it ends.  ``transient``: where it failed.  ``never``: not at all.
        intensity: How many failures in *period* are still answered by a restart.
        period: Seconds.
        backoff: Seconds before the first restart, the factor by which it grows, and the most it grows to.
        jitter: ``full`` waits for any time between none and that; ``none`` for exactly that.
        reset_after: Seconds without a failure after which counting begins anew.
        on_exhausted: What to do after that: take the next candidate, give up, or go on, slowly.
        slow: Seconds between two tries of ``retry_slowly``.
    """

    mode: Literal["permanent", "transient", "never"] = "transient"
    intensity: int = 3
    period: float = 60.0
    backoff: tuple[float, float, float] = (0.5, 2.0, 30.0)
    jitter: Literal["full", "none"] = "full"
    reset_after: float = 60.0
    on_exhausted: Literal["fallback", "fail", "retry_slowly"] = "retry_slowly"
    slow: float = 300.0


@attrs.frozen
class Failure:
    """A part failed by itself: nobody was changing it.

    Args:
        kind: ``activation``: it did not come up.  ``liveness``: its liveness probes failed.  ``ended``: its ``run()``
            failed.  ``finished``: its ``run()`` returned.
        reason: In a sentence.
        at: When, in seconds on the runtime's clock.
        provider: Of what; empty where nobody was chosen.
        permanent: Whether trying again cannot help: an import, settings.
    """

    kind: Literal["activation", "liveness", "ended", "finished"]
    reason: str
    at: float
    provider: str = ""
    permanent: bool = False


@attrs.frozen
class RestartHistory:
    """What a decision about a restart may go by.

    Args:
        failures: Earlier ones since counting began, oldest first; not the one it is about.
        policy: The settings' for this part.
        jitter: A number from 0 to 1, drawn for this decision, so that deciding stays pure.
        alternatives: Whether another candidate could take its place.
        exhausted: Whether it was given up, or is only tried slowly, since counting began.
    """

    failures: tuple[Failure, ...]
    policy: RestartPolicy
    jitter: float = 1.0
    alternatives: bool = False
    exhausted: bool = False


@attrs.frozen
class Restart:
    """What ``oneiric_restart`` answers: a ``Delay``, a ``Fallback`` or a ``GiveUp``."""


@attrs.frozen
class Delay(Restart):
    """Start it again after so many *seconds*; *slowly* where it was given up, and is tried now and then."""

    seconds: float
    slowly: bool = False


@attrs.frozen
class Fallback(Restart):
    """Leave this candidate out for a while, and take the next one."""

    reason: str = ""


@attrs.frozen
class GiveUp(Restart):
    """Leave it as it is, until an operator, or other settings, change something."""

    reason: str = ""


# --- what is served ---------------------------------------------------------------------------------------------------


@attrs.frozen
class Route:
    """Something to read at an address of ``oneiric orchestrate --http``.

    Args:
        path: Begins with a slash, such as ``/metrics``; letters, digits, and ``/ - _ .``.
        content_type: Of what is given.
        get: Gives the body, text (sent as UTF-8) or bytes; async on the loop, else in a thread.
        summary: One line for people.
    """

    path: str
    content_type: str
    get: Callable[[], str | bytes | Awaitable[str | bytes]] = attrs.field(eq=False, repr=False)
    summary: str = ""

    def __attrs_post_init__(self) -> None:
        path = self.path
        if (
            len(path) < 2
            or not path.startswith("/")
            or not path.isascii()
            or not path.replace("/", "").replace("-", "").replace("_", "").replace(".", "").isalnum()
            or any(part in ("", ".", "..") for part in path[1:].split("/"))
        ):
            raise PluginError(f"the path of a route begins with a slash, as in /metrics, found {path!r}")
        if not self.content_type or not self.content_type.isprintable():
            raise PluginError(
                f"route {path}: a content type is a text, as text/plain, found {self.content_type!r}"
            )
        if not callable(self.get):
            raise PluginError(f"route {path}: get is called, found {self.get!r}")


@attrs.frozen
class HealthSummary:
    """How a group of parts is.

    Args:
        status: The worst of the critical ones; a failed one that is not critical makes it ``degraded``.
        members: The effective health of each part in it.
        reasons: What is wrong, a sentence each, the worst first.
    """

    status: Literal["ok", "degraded", "unknown", "failed"]
    members: dict[Key, Health] = attrs.field(factory=dict)
    reasons: tuple[str, ...] = ()
