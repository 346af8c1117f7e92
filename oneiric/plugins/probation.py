"""When a generation on probation is taken back, unless another plugin knows better.

Three probes in a row that fail; or at least five uses that ended by an exception, and more than half of all.
"""

from __future__ import annotations

from oneiric_hookspecs import PROMOTE, ROLL_BACK, Signals, Verdict, hookimpl

PROBES = 3
USES = 5


@hookimpl(trylast=True)
def oneiric_rollback(signals: Signals) -> Verdict | None:
    """Take it back on bad signs; promote it when its time is up; else wait."""
    if signals.failed_probes >= PROBES:
        return ROLL_BACK
    if signals.bad_leases >= USES and signals.bad_leases * 2 > signals.leases:
        return ROLL_BACK
    return PROMOTE if signals.remaining <= 0 else None
