"""What is done about a part that failed, unless another plugin knows better: what ``[restart]`` says.

At most *intensity* failures in *period* are answered by a restart, after a delay that grows with each; then it is
exhausted, and stays so until it has been up for *reset_after*.  What cannot be mended by trying is tried once.
"""

from __future__ import annotations

from oneiric_hookspecs import (
    Delay,
    Failure,
    Fallback,
    GiveUp,
    Restart,
    RestartHistory,
    RestartPolicy,
    hookimpl,
)


@hookimpl(trylast=True)
def oneiric_restart(failure: Failure, history: RestartHistory) -> Restart | None:
    """Start it again after a delay, as long as the policy allows; then what it says for the exhausted."""
    policy = history.policy
    if policy.mode == "never":
        return GiveUp('[restart] mode is "never"')
    if failure.kind == "finished" and policy.mode == "transient":
        return GiveUp('it has finished, and [restart] mode is "transient"')
    if failure.permanent:
        return GiveUp("trying again cannot help before something is changed")
    recent = 1 + sum(each.at > failure.at - policy.period for each in history.failures)
    if recent > policy.intensity or history.exhausted:
        return _exhausted(policy, history)
    return Delay(_delay(policy, len(history.failures)) * (history.jitter if policy.jitter == "full" else 1.0))


def _delay(policy: RestartPolicy, before: int) -> float:
    first, factor, most = policy.backoff
    try:
        return float(min(first * factor**before, most))
    except OverflowError:
        return most


def _exhausted(policy: RestartPolicy, history: RestartHistory) -> Restart:
    said = f"{policy.intensity} restarts in {policy.period:g} s were not enough"
    if policy.on_exhausted == "fail":
        return GiveUp(said)
    if policy.on_exhausted == "fallback" and history.alternatives:
        return Fallback(said)
    # Without another candidate there is nothing better than to go on trying.
    return Delay(policy.slow, slowly=True)
