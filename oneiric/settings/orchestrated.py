"""``[orchestrate]``: what a process that keeps going does by itself."""

from __future__ import annotations

import attrs

from .rules import seconds


@attrs.frozen(kw_only=True)
class OrchestrateSection:
    """``[orchestrate]``: what ``oneiric orchestrate``, and ``async with orchestrate(runtime)``, do by themselves.

    Args:
        start: Parts to activate at once, beside those of domains that say so, such as services: texts of keys, with
            ``*`` for anything.
        watch: Whether the settings files are watched, and taken when they change.
        poll: Seconds between two looks at them.
        remote: Whether the streams of ``[remote]`` are followed.
        rescan: Seconds between two looks at what operators want, where no hint comes.
        heartbeat: Seconds between two signs of life; one that is silent for three times that is not counted any more.
    """

    start: tuple[str, ...] = ()
    watch: bool = True
    poll: float = attrs.field(default=2.0, validator=seconds())
    remote: bool = True
    rescan: float = attrs.field(default=2.0, validator=seconds())
    heartbeat: float = attrs.field(default=5.0, validator=seconds())
